"""No history of a box is reported: whatever comes, is rolled, deleted, compacted, expired, made anew, broken off and restarted."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from appliance.clock import US_PER_DAY
from tests.clock import NOON_US
from tests.derived.looking import found
from tests.derived.test_records import follow
from tests.views.house import HOUR_US
from tests.views.test_exact import Views, rows


class Undisturbed(Views):
    """Boxes to which nothing is done but what people and senders do."""

    a_view_stands_in_exactly: Any = None
    each_view_is_what_its_sql_gives_over_all_records: Any = None
    a_question_over_the_stream_is_asked: Any = None

    @rule()
    def deletions_are_followed(self) -> None:
        follow(self.house)

    @rule(days=st.integers(1, 4))
    def old_days_expire(self, days: int) -> None:
        self.house.roll()
        self.house.compact()
        self.house.expire(NOON_US // US_PER_DAY * US_PER_DAY - days * US_PER_DAY)

    @rule(turn=st.integers(0, 9))
    def it_is_looked_at(self, turn: int) -> None:
        assert found(self.house, "newest", turn=turn) == []

    @rule(rows=rows, hours=st.integers(1, 9), what=st.sampled_from(["roll", "compact", "refresh", "delete", "expire"]))
    def it_is_looked_at_while_much_happens(self, rows: list[tuple[float, str | None, int | None]], hours: int, what: str) -> None:
        house = self.house

        def meanwhile() -> None:
            house.come(rows)
            house.pass_hours(hours)
            house.roll()
            if what == "refresh":
                house.refresh()
            elif what in ("compact", "expire"):
                house.compact()
            elif what == "delete":
                house.delete(NOON_US - 50 * HOUR_US, NOON_US - hours * HOUR_US, "a")
            if what == "expire":
                house.expire(NOON_US // US_PER_DAY * US_PER_DAY - US_PER_DAY)
            house.come(rows[::-1])

        assert found(house, "full", meanwhile=meanwhile) == []

    def teardown(self) -> None:
        if self.opened:
            assert found(self.house) == []
        super().teardown()


TestUndisturbed = Undisturbed.TestCase
TestUndisturbed.settings = settings(
    max_examples=int(os.environ.get("HISTORIES", "2")),
    stateful_step_count=12,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
