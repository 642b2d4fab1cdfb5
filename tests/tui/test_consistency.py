"""The consistency screen: the last looks, what is wrong, what was repaired, each stream, and how it was on the days before."""

from __future__ import annotations

import pytest

from tests.tui.driven import Driven, driven
from tests.tui.test_hostile import is_harmless

SIZES = [(80, 24), (120, 40), (200, 50)]


async def open_consistency(ui: Driven, *keys: str) -> None:
    await ui.press("6")
    await ui.tick(1)
    for key in keys:
        await ui.press(key)
        await ui.tick(1)


@pytest.mark.parametrize("size", SIZES)
async def test_it_says_what_was_looked_at_what_is_dirty_and_what_is_wrong(size: tuple[int, int]) -> None:
    async with driven(size=size) as ui:
        await open_consistency(ui)
        await ui.sees("hot side", "newest hour", "whole lake", "running, 42 %", "hourly 3", "12 in 30 days", "2 wrong")
        await ui.sees("bucket_differs", "segment_missing", "unmendable")


@pytest.mark.parametrize("size", SIZES)
async def test_the_chosen_finding_says_what_can_be_done(size: tuple[int, int]) -> None:
    async with driven(size=size) as ui:
        await open_consistency(ui, "enter")
        await ui.sees("make it anew", "appliance reconcile --repair", "1 to 41,200")
        await ui.press("escape", "down", "enter")
        await ui.tick(1)
        await ui.sees("nothing that is left proves what it should be")


@pytest.mark.parametrize("size", SIZES)
async def test_the_views_go_round_and_each_says_its_own(size: tuple[int, int]) -> None:
    async with driven(size=size) as ui:
        await open_consistency(ui, "l")
        await ui.sees("row_missing", "written again from the ring")
        await ui.press("l")
        await ui.tick(1)
        await ui.sees("press", "differ", "pump", "not yet", "not what lies in hot and")
        await ui.press("l")
        await ui.tick(1)
        await ui.sees("2026-11-22", "2026-11-18", "9")
        await ui.press("l")
        await ui.tick(1)
        await ui.sees("segment_missing")


async def test_agreement_is_said_in_words() -> None:
    async with driven() as ui:
        ui.box.agreement_box.agrees = True
        await open_consistency(ui)
        await ui.sees("both sides agree", "nothing is wrong", "nothing in 30 days")


async def test_foreign_words_move_no_terminal() -> None:
    async with driven() as ui:
        await open_consistency(ui)
        is_harmless(ui)
