"""The search screen: hits as the words are typed, the words marked, and the way to the record in its stream."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tests.tui.driven import Driven, driven
from tests.tui.test_hostile import is_harmless

SIZES = [(80, 24), (120, 40), (200, 50)]


async def search(ui: Driven, text: str) -> None:
    await ui.press("8")
    await ui.type(text)
    await ui.tick(1)


@pytest.mark.parametrize("size", SIZES)
async def test_hits_come_as_the_words_are_typed(size: tuple[int, int]) -> None:
    async with driven(size=size) as ui:
        await search(ui, "valve")
        await ui.sees("valve 3 stuck", "valve 1 moved", "2 hits", "newest first", "4.2 ms")
        await ui.press("space", "3")
        await ui.tick(1)
        await ui.sees("1 hit ")
        await ui.misses("valve 1 moved")


async def test_an_order_can_be_chosen_and_the_words_changed() -> None:
    async with driven() as ui:
        await search(ui, "valve")
        await ui.press("enter", "o")
        await ui.tick(1)
        await ui.sees("best first")
        assert ui.text.index("valve 1 moved") < ui.text.index("valve 3 stuck")
        await ui.press("escape", "escape")
        await ui.tick(1)
        await ui.sees("found as you type")


@pytest.mark.parametrize("size", SIZES)
async def test_a_hit_leads_to_the_record_among_those_of_its_stream(size: tuple[int, int]) -> None:
    async with driven(size=size) as ui:
        ui.box.answer = pa.table({"_seq": [99, 100, 101], "message": ["before it", "valve 3 stuck, pressure 4.1 bar", "after it"]})
        await search(ui, "stuck")
        await ui.press("enter", "enter")
        await ui.sees("before it", "after it")
        assert any("WHERE _seq BETWEEN 80 AND 120" in asked and '"plant_log"' in asked for asked in ui.box.asked)
        marked = ui.line_with("valve 3 stuck, pressure")
        assert ui.app.symbols.sides[0] in marked
        await ui.press("escape")
        await ui.sees("Hits")


async def test_a_stream_that_is_found_by_its_name_is_opened() -> None:
    async with driven(size=(120, 40)) as ui:
        await search(ui, "press_temp")
        await ui.press("enter", "enter")
        await ui.sees("press_temp", "Last values")


async def test_a_template_leads_to_its_records() -> None:
    async with driven(size=(120, 40)) as ui:
        await search(ui, "gate")
        await ui.sees("gate <*> shut", "1 hit ")
        await ui.press("enter", "enter")
        await ui.tick(1)
        await ui.sees("stuck, pressure", "valve 3 stuck, pressure 4.1 bar", "1 hit ")


async def test_what_can_not_be_understood_is_said_and_typing_goes_on() -> None:
    async with driven() as ui:
        await search(ui, "AND")
        await ui.sees("AND stands between two words")
        await ui.press("backspace", "backspace", "backspace")
        await ui.type("pump")
        await ui.tick(1)
        await ui.sees("1 hit ")


async def test_foreign_words_move_no_terminal() -> None:
    async with driven() as ui:
        await search(ui, "pump")
        is_harmless(ui)
