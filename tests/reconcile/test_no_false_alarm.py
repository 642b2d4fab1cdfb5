"""Nothing is reported where nothing is wrong: after each step of random histories of one box."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from appliance.reconcile.finding import Finding
from appliance.reconcile.folder import pass_folder
from appliance.reconcile.look import Scope
from appliance.reconcile.passing import pass_live
from tests.promises.test_exactly_once import CONFIG, Records

EXAMPLES = 20
STEPS = 40
"""Each step of each example is a history of its own: the box as it is then has been made by all steps before."""


class Undisturbed(Records):
    """Records come, roll, are compacted, deleted, expire; the box restarts. After each step a pass looks at what is hot, after each second
    one another at everything: what such a pass wrongly takes for wrong lies there for longer than a step."""

    @initialize(ring=st.sampled_from(["1KiB", "64MiB"]))
    def open(self, ring: str) -> None:
        self.config_file = self.root / "box.toml"
        self.config_file.write_text(CONFIG.format(ring=ring))
        (self.folder / "lake").mkdir(parents=True)
        self.memo: dict[str, Any] = {}
        self.turn = self.restarted = 0
        self.start()
        self.records_come([("a", self.clock.now_us(), 0.0, 0)], 0)

    def start(self) -> None:
        self.memo = {}
        super().start()

    @invariant()
    def nothing_is_reported(self) -> None:
        if self.box is None or self.stream is None:
            return
        self.turn += 1
        scopes: tuple[Scope, ...] = (("hot", "newest", "full"), ("hot",), ("hot", "full"), ("hot",))[self.turn % 4]
        found: list[Finding] = []
        for scope in scopes:
            found += pass_live(self.live, scope, memo=self.memo, turn=self.turn).result.findings
        if self.turn % 4 == 0:
            found += pass_folder(self.folder, "full", now_us=self.clock.now_us()).result.findings
        assert [f.what for f in found] == []

    @precondition(lambda self: self.turn >= self.restarted + 10)
    @rule()
    def it_restarts(self) -> None:
        self.restarted = self.turn
        super().it_restarts()

    def the_merged_view_is_the_flat_list(self) -> None:
        """Told elsewhere."""

    def the_last_values_are_those_of_the_flat_list(self) -> None:
        """Told elsewhere."""

    def teardown(self) -> None:
        if self.box is not None:
            self.box.close()
        shutil.rmtree(self.root)


TestUndisturbed = pytest.mark.timeout(600)(Undisturbed.TestCase)
TestUndisturbed.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
