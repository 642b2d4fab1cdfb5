"""The analysis screen: the first answer, the refined one, what stands behind them; what is being learned, and how often it held."""

from __future__ import annotations

import pytest

from tests.tui.driven import Driven, driven
from tests.tui.test_hostile import is_harmless

SIZES = [(80, 24), (120, 40), (200, 50)]


async def open_analysis(ui: Driven, *keys: str) -> None:
    await ui.press("7")
    await ui.tick(1)
    for key in keys:
        await ui.press(key)
        await ui.tick(1)


@pytest.mark.parametrize("size", SIZES)
async def test_it_says_what_is_unusual_and_the_answer_that_counts(size: tuple[int, int]) -> None:
    async with driven(size=size) as ui:
        await open_analysis(ui)
        await ui.sees("confirmed", "dismissed", "1 open", "press_temp of A/press-1 rose by 9.1")


@pytest.mark.parametrize("size", SIZES)
async def test_the_first_answer_is_told_as_superseded_with_the_difference_and_what_stands_behind(size: tuple[int, int]) -> None:
    async with driven(size=size) as ui:
        await open_analysis(ui, "enter")
        await ui.sees(
            "refined", "first", "superseded at", "4.2 times the usual spread for", "the rise began 4 s earlier", "4,112 late records"
        )
        await ui.sees("steepest rise in 9 days", "valve <*> stuck", "follows", "ada", "valve 3 again", "valve 3 stuck")
        await ui.press("escape")
        await ui.sees("Incidents")


async def test_a_field_that_was_unusual_is_drawn_over_time() -> None:
    async with driven(size=(120, 40)) as ui:
        await open_analysis(ui, "enter")
        await ui.sees("over time", "value from")
        assert "series press_temp value" in ui.box.asked


@pytest.mark.parametrize("size", SIZES)
async def test_the_views_go_round_and_each_says_its_own(size: tuple[int, int]) -> None:
    async with driven(size=size) as ui:
        await open_analysis(ui, "l")
        await ui.sees("learning, 40 % of a week", "plant_log", "learned")
        await ui.press("l")
        await ui.tick(1)
        await ui.sees("watch", "4 40 %", "2 that the first pass had missed")
        await ui.press("l")
        await ui.tick(1)
        await ui.sees("confirmed")


async def test_a_person_confirms_and_dismisses() -> None:
    async with driven() as ui:
        await open_analysis(ui, "c")
        assert ui.box.insight_box.said == {7: "confirm"}
        await ui.press("d")
        await ui.tick(1)
        assert ui.box.insight_box.said == {7: "dismiss"}
        await ui.sees("nothing unusual", "a restart, as every Sunday")


async def test_a_calm_box_says_so() -> None:
    async with driven() as ui:
        ui.box.insight_box.is_calm = True
        await open_analysis(ui)
        await ui.sees("nothing unusual", "nothing unusual has been seen")


async def test_foreign_words_move_no_terminal() -> None:
    async with driven() as ui:
        await open_analysis(ui, "enter")
        is_harmless(ui)
