"""A view's answer is what its SQL gives over all records, at every moment: whatever comes, is made anew, changed or broken off."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from appliance.errors import OutcomeUnknown
from tests.clock import NOON_US
from tests.views.house import DAILY, HOUR_US, HOURLY, House, rows_of, view
from tests.views.questions import questions

CHANGED = HOURLY.replace("count(*) AS n", "2 * count(*) AS n")
CUT = "2026-11-21 05:10:00"
rows = st.lists(
    st.tuples(st.integers(-400, 40).map(lambda q: q / 4), st.sampled_from(["a", "b", None]), st.none() | st.integers(0, 9)),
    min_size=1,
    max_size=5,
)


class Broken(BaseException):
    """The process ends here."""


class Views(RuleBasedStateMachine):
    """An hourly view and a daily one on it, through which records come in any order."""

    house: House

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="views"))
        self.sealed: dict[str, tuple[int, list[str]]] = {}
        self.dies_at: tuple[str, int] | None = None
        self.opened = False

    @initialize(ring=st.sampled_from(["1KiB", "64MiB"]))
    def open(self, ring: str) -> None:
        self.house = House(self.root, {}, ring=ring, step=self.step)
        self.house.come([(-99.0, "a", 1)])
        self.house.configure({"hourly": view(), "daily": view(DAILY, bucket_s=86_400)})
        self.opened = True

    def step(self, name: str) -> None:
        """Dies at the n-th time of a step."""
        if self.dies_at is not None and self.dies_at[0] == name:
            self.dies_at = (name, self.dies_at[1] - 1) if self.dies_at[1] else None
            if self.dies_at is None:
                raise Broken(name)

    @rule(rows=rows)
    def records_come(self, rows: list[tuple[float, str | None, int | None]]) -> None:
        self.house.come(rows)

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours: int) -> None:
        self.house.pass_hours(hours)

    @rule(share=st.floats(0.1, 1))
    def it_rolls(self, share: float) -> None:
        state = self.house.box.state.streams["readings"]
        if state.hot_rows:
            self.house.roll(state.mark + max(1, int(state.hot_rows * share)))

    @rule(hours=st.tuples(st.integers(-100, 10), st.integers(-100, 10)), device=st.sampled_from(["*", "a", None]))
    def records_are_deleted(self, hours: tuple[int, int], device: str | None) -> None:
        self.house.delete(NOON_US + min(hours) * HOUR_US, NOON_US + max(hours) * HOUR_US, device)

    @rule()
    def days_are_compacted(self) -> None:
        self.house.compact()

    @rule(names=st.sampled_from([(), ("hourly",), ("daily",)]))
    def views_are_refreshed(self, names: tuple[str, ...]) -> None:
        self.house.refresh(*names)

    @rule(rows=rows, names=st.sampled_from([(), ("hourly",), ("daily",)]))
    def records_come_while_a_view_is_refreshed(self, rows: list[tuple[float, str | None, int | None]], names: tuple[str, ...]) -> None:
        self.house.between = lambda: self.house.come(rows)
        self.house.refresh(*names)
        self.house.between = lambda: None

    @rule(sql=st.sampled_from([HOURLY, CHANGED]))
    def the_sql_of_the_lower_view_changes(self, sql: str) -> None:
        self.house.configure({**self.house.views, "hourly": view(sql)})

    @rule(
        name=st.sampled_from(["views.computed", "views.renamed", "views.refresh.written"]),
        times=st.integers(0, 2),
        names=st.sampled_from([(), ("hourly",), ("daily",)]),
    )
    def a_refresh_is_broken_off(self, name: str, times: int, names: tuple[str, ...]) -> None:
        self.dies_at = (name, times)
        with suppress(Broken, OutcomeUnknown):
            self.house.refresh(*names)
        self.dies_at = None
        self.house.die()

    @rule(sql=questions())
    def a_question_over_the_stream_is_asked(self, sql: str) -> None:
        self.house.check_stand_in(sql)

    @rule()
    def it_restarts(self) -> None:
        self.house.restart()

    @invariant()
    def a_view_stands_in_exactly(self) -> None:
        if self.opened:
            self.house.check_stand_in(
                "SELECT device, count(*), sum(value), max(value) FROM readings WHERE ts > '2026-11-21 05:10' GROUP BY 1"
            )

    @invariant()
    def each_view_is_what_its_sql_gives_over_all_records(self) -> None:
        if self.opened:
            self.house.check("hourly")
            self.house.check("daily")

    def teardown(self) -> None:
        if self.opened:
            for name in ("hourly", "daily"):
                assert rows_of(self.house.ask(f"SELECT * FROM {name}")) == rows_of(self.house.offline(f"SELECT * FROM {name}"))
            self.house.close()
        shutil.rmtree(self.root)


TestViews = Views.TestCase
TestViews.settings = settings(
    max_examples=int(os.environ.get("VIEWS_EXAMPLES", "6")),
    stateful_step_count=10,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
