"""A view's life broken off at each named step: the answer is right at once, nothing is left behind, and it goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.errors import OutcomeUnknown
from tests.views.house import HOURLY, House, view

STEPS = (
    "views.note.written",
    "views.define.written",
    "views.define.durable",
    "views.computed",
    "views.written",
    "views.synced",
    "views.renamed",
    "views.folder_synced",
    "views.refresh.written",
    "views.refresh.durable",
    "views.switch.written",
    "views.switch.durable",
    "views.remove.written",
    "views.remove.durable",
)


class Broken(BaseException):
    """The process ends here."""


class Death:
    """Ends the process at a step, once."""

    def __init__(self) -> None:
        self.at: str | None = None
        self.seen: set[str] = set()

    def __call__(self, step: str) -> None:
        self.seen.add(step)
        if step == self.at:
            self.at = None
            raise Broken(step)


def broken_off(house: House, what: Callable[[], object]) -> None:
    """Does something that ends the process, and starts another."""
    with pytest.raises((Broken, OutcomeUnknown)):
        what()
    house.die()


def test_a_death_at_any_step_is_harmless(tmp_path: Path) -> None:
    death = Death()
    house = House(tmp_path, {}, step=death)
    changed = HOURLY.replace("sum(value)", "sum(value + 1)")
    house.come([(h / 2 - 40, "a", h) for h in range(60)])

    def go_through() -> None:
        """Every step of a view's life."""
        house.configure({"hourly": view()})
        house.refresh()
        house.come([(-20.2, "b", 5)])
        house.refresh()
        house.configure({"hourly": view(changed)})
        house.refresh()
        house.configure({})

    for step in STEPS:
        death.at = step
        broken_off(house, go_through)
        if "hourly" in house.box.state.views and house.state().active is not None:
            house.check()
        known = {f.path for v in house.box.state.views.values() for w in (v.active, v.building) if w for f in w.files}
        assert {str(p.relative_to(house.folder)) for p in (house.folder / "views").rglob("*.parquet")} == known, step
        assert not list((house.folder / "views").rglob("*.tmp")), step
        house.views = {}
        house.configure({})
    go_through()
    assert death.seen >= set(STEPS)
    house.close()
