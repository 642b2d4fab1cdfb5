"""Names and texts that come from outside are data: never markup, never commands to the terminal."""

from __future__ import annotations

import pyarrow as pa
import pytest

from appliance.observe.status import Problem
from tests.tui.driven import Driven, driven
from tests.tui.fake import NOON_US

NAMES = (
    "[bold red]x[/]",
    "[@click=app.quit]quit[/]",
    "[/]",
    "\x1b[2Jcleared",
    "\x1b]52;c;aGFja2Vk\x07",
    "abc\u202edef",
    "zero\u200bwidth",
    "\x9b31mred",
    "漢字テスト",
    "a" * 1000,
)
SEEN = (
    "[bold red]x[/]",
    "[@click=app.quit",
    "[/]",
    "␛[2Jcleared",
    "␛]52;c;",
    "abc‹202e›def",
    "zero‹200b›width",
    "‹9b›31mred",
    "漢字テスト",
    "aaaaaaaaaaa",
)


def is_harmless(ui: Driven) -> None:
    for strip in ui.app.screen._compositor.render_strips():
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u200b" for c in strip.text), repr(strip.text)
        assert strip.cell_length == ui.app.size.width
        assert not any(style is not None and style.meta.get("@click") == "app.quit" for _, style, _ in strip)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_names_of_streams_are_shown_as_they_are(size: tuple[int, int]) -> None:
    async with driven(size=size, names=NAMES) as ui:
        await ui.press("g")
        shown = ui.text
        for _ in NAMES:
            is_harmless(ui)
            await ui.press("j")
            shown += ui.text
        assert [seen for seen in SEEN if seen not in shown] == []


async def test_a_hostile_stream_opens_and_is_asked_for_by_its_name() -> None:
    async with driven(names=("\x1b[2J[/b]",)) as ui:
        await ui.press("enter")
        await ui.tick(1)
        await ui.sees("␛[2J[/b]", "Last values")
        assert "latest \x1b[2J[/b]" in ui.box.asked
        is_harmless(ui)


async def test_hostile_problems_and_errors() -> None:
    evil = "\x1b]0;title\x07[red]" + "x" * 500
    async with driven(problems=(Problem("CRIT", evil, NOON_US, evil),)) as ui:
        await ui.sees("␛]0;title␇[red]")
        is_harmless(ui)
        ui.box.where = "/var/\x1b[31m[/]"
        ui.box.lost = True
        await ui.tick(5)
        await ui.sees("NO ANSWER", "/var/␛[31m[/]")
        is_harmless(ui)


async def test_hostile_values_in_an_answer() -> None:
    async with driven(answer=pa.table({"[b]\x1b": ["[@click=app.quit]x[/]", "\x1b[2J", "\u202e"]})) as ui:
        await ui.press("s", "enter")
        await ui.sees("3 rows", "[b]␛", "[@click=app.quit]x[/]", "␛[2J", "‹202e›")
        is_harmless(ui)


async def test_hostile_names_in_the_palette_and_in_a_filter() -> None:
    async with driven(names=NAMES) as ui:
        await ui.press("colon")
        await ui.type("stream")
        await ui.sees("Stream: ")
        is_harmless(ui)
        await ui.press("escape")
        await ui.press("slash", "left_square_bracket", "slash")
        await ui.sees("/[/")
        is_harmless(ui)
