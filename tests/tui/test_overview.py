"""The first screen: what it shows, and what its keys do."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from appliance.observe.ladder import LadderStatus
from appliance.observe.status import LakeStatus, Problem
from tests.tui.driven import driven
from tests.tui.fake import NOON_US, FakeClient, FakeClock, S
from tui.app import ApplianceApp
from tui.look import Look
from tui.symbols import BRAILLE
from tui.theme import PALETTES, paint_of
from tui.widgets.panels import cold

SIZES = [(80, 24), (120, 40), (200, 50)]


@pytest.mark.parametrize("size", SIZES)
async def test_the_first_screen_says_how_things_are(size: tuple[int, int]) -> None:
    async with driven(size=size) as ui:
        await ui.sees(
            "press-line-3", "● OK", "12:00:00 UTC", "chiller_power", "11:59:59", "of 64.0 MiB", "GiB free", "p99", "MiB", "wal", "17 kept"
        )
        await ui.sees("Ingest  4.76k rec/s", "⣿", "636 segments", "power-loss", "data 0.0 s old")


async def test_what_is_large_enough_for_panels_shows_them() -> None:
    async with driven(size=(120, 40)) as ui:
        await ui.sees(
            "Problems",
            "Acknowledged in",
            "Hot",
            "Cold",
            "Sources",
            "Refused",
            "This process",
            "broker not re",
            "mark    35.5M of 35.5M",
            "full    2027-02-05",
        )


NONE = LakeStatus(0, 0, 0, 0, None, None, False, None, 1, 2)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"bytes_per_day": 312 << 20, "full_us": NOON_US + 86_400 * S, "eater": "cpu"}, "full    2026-11-23 · 312 MiB/d · cpu"),
        ({"bytes_per_day": 1, "full_us": NOON_US, "eater": "a\x1b[31m"}, "full    today · 1 B/d · a"),
        ({"bytes_per_day": 1024, "trim_us": NOON_US + 86_400 * S, "eater": "cpu"}, "full    oldest go 2026-11-23 · 1.00 KiB/d · cpu"),
        ({"bytes_per_day": 1024, "eater": "cpu"}, "full    not in 10 years · 1.00 KiB/d · cpu"),
        ({}, None),
    ],
)
def test_the_panel_of_the_cold_side_foretells_the_disk(given: dict[str, Any], told: str | None) -> None:
    status = msgspec.structs.replace(FakeClient(FakeClock()).status(), lake=msgspec.structs.replace(NONE, **given))
    look = Look(paint_of(PALETTES["dark"], colour=False), BRAILLE, now_us=NOON_US, as_of_us=NOON_US)
    lines = ["".join(text for text, _ in line) for line in cold(status, look, 60, None)]
    found = [line for line in lines if line.startswith("full")]
    assert [line[: len(told or "")] for line in found] == ([] if told is None else [told])
    assert "\x1b" not in "".join(lines)


async def test_it_follows_what_comes() -> None:
    async with driven() as ui:
        await ui.tick(65)
        await ui.sees("12:01:05 UTC", "12:01:04", "next in 3.9 min")


async def test_every_stream_is_reached_and_the_cursor_stays_in_sight() -> None:
    async with driven(size=(80, 24)) as ui:
        await ui.press("G")
        await ui.sees("▸ room", "30 of 30")
        await ui.press("g")
        await ui.sees("▸ chiller_events", "1 of 30")
        await ui.press(*["j"] * 12)
        await ui.sees("▸ host_load", "13 of 30")


async def test_rows_sort_by_any_column_and_the_cursor_stays_on_its_stream() -> None:
    async with driven() as ui:
        await ui.press("down", "greater_than_sign", "r")
        await ui.sees("by rec/s ▼")
        rates = [row.rate for row in ui.app.query_one("#streams").rows]  # type: ignore[attr-defined]
        assert rates == sorted(rates, reverse=True)
        await ui.sees("▸ chiller_power")
        await ui.press("less_than_sign", "less_than_sign")
        await ui.sees("by dirty ▲")


async def test_the_filter_keeps_names_that_hold_its_letters() -> None:
    async with driven() as ui:
        await ui.press("slash")
        await ui.type("OVEN")
        await ui.sees("1 of 5", "/OVEN", "oven_power")
        await ui.misses("chiller_power")
        await ui.press("enter", "n", "n")
        await ui.sees("3 of 5", "▸ oven_state")
        await ui.press("N", "N", "N")
        await ui.sees("▸ oven_vibration")
        await ui.press("escape")
        await ui.sees("of 30")


async def test_a_filter_that_nothing_passes_says_so() -> None:
    async with driven() as ui:
        await ui.press("slash")
        await ui.type("zz")
        await ui.sees("no name holds 'zz'; Esc clears the filter", "0 of 0")


async def test_a_frozen_picture_stands_while_the_banner_counts() -> None:
    async with driven() as ui:
        await ui.press("space")
        await ui.sees("FROZEN at 12:00:00 · +0 new · space goes on")
        before = ui.line_with("chiller_power")
        await ui.tick(5)
        await ui.sees("+25.5k new", "12:00:00 UTC")
        assert ui.line_with("chiller_power") == before
        await ui.press("space")
        await ui.misses("FROZEN")
        await ui.sees("12:00:05 UTC")


async def test_a_lost_service_is_said_with_the_age_of_the_data_and_found_again() -> None:
    async with driven() as ui:
        ui.box.lost = True
        await ui.tick(7)
        await ui.sees("✖ NO ANSWER", "last data 7 s old", "asking again", "7 s old ─", "data 7 s old", "chiller_power")
        ui.box.lost = False
        await ui.tick(1)
        await ui.sees("● OK", "data 0.0 s old")
        await ui.misses("NO ANSWER")


async def test_no_service_from_the_start_says_how_to_start_one() -> None:
    async with driven(lost=True) as ui:
        await ui.sees("NO ANSWER · no data yet", "start it with")
        ui.box.lost = False
        await ui.tick(1)
        await ui.sees("press-line-3", "chiller_power")


async def test_a_box_without_streams_says_what_to_do() -> None:
    async with driven(names=()) as ui:
        await ui.sees("no stream yet: send a record, or drop a file into the inbox", "no record in this time")


async def test_problems_come_gravest_first_with_a_word_and_a_hint() -> None:
    problems = (
        Problem("WARN", "the broker is not reached", NOON_US - 190 * S, "check that it runs"),
        Problem("CRIT", "the disk is full", NOON_US - 1200 * S, "free some space"),
    )
    async with driven(problems=problems) as ui:
        await ui.sees("✖ CRIT the disk is full", "for 20 min: free some space", "▲ WARN the broker is not reached", "press-line-3  ✖ CRIT")
        assert ui.text.index("the disk is full") < ui.text.index("the broker is not reached")


async def test_panels_give_way_in_order_when_there_is_much_to_say() -> None:
    problems = tuple(Problem("WARN", f"problem number {n} with a rather long text to wrap", NOON_US, "and a hint") for n in range(4))
    async with driven(problems=problems) as ui:
        await ui.sees("This process", "cpu ", "Sources", "more: x shows them")


async def test_zoom_shows_more_time_and_less() -> None:
    async with driven() as ui:
        await ui.sees("last 2.3 min")
        await ui.press("left_square_bracket")
        await ui.sees("last 5.7 min")
        await ui.press("right_square_bracket", "right_square_bracket")
        await ui.sees("last 1.1 min")
        await ui.press("0")
        await ui.sees("last 2.3 min")


async def test_a_moved_chart_stops_following_until_told() -> None:
    async with driven() as ui:
        ui.app.screen.set_focus(ui.app.screen.query_one("#rate"))
        await ui.press("right_square_bracket", "left")
        await ui.sees("G follows again")
        await ui.press("G")
        await ui.misses("G follows again")


async def test_the_refresh_rate_is_shown_and_changed() -> None:
    async with driven() as ui:
        assert ui.app.rate_words == "by hand"
    for period_s, words in ((0.25, "4/s"), (2.0, "every 2 s")):
        assert ApplianceApp(FakeClient(FakeClock()), period_s=period_s).rate_words == words


async def test_a_panel_gets_the_whole_screen_and_gives_it_back() -> None:
    async with driven() as ui:
        ui.app.screen.set_focus(ui.app.screen.query_one("#sources"))
        await ui.press("x")
        await ui.misses("Ingest")
        await ui.sees("Sources", "broker not reached, again in 8 s")
        await ui.press("x")
        await ui.sees("Ingest", "Streams", "Sources")


@pytest.mark.parametrize("size", [(59, 24), (80, 19), (20, 5)])
async def test_a_terminal_too_small_gets_a_plain_notice(size: tuple[int, int]) -> None:
    async with driven(size=size) as ui:
        await ui.sees(f"{size[0]}x{size[1]}")
        await ui.misses("chiller")


async def test_a_terminal_made_larger_shows_more() -> None:
    async with driven(size=(80, 24)) as ui:
        await ui.misses("Acknowledged in")
        await ui.pilot.resize_terminal(120, 40)
        await ui.sees("Acknowledged in", "Problems")


async def test_every_theme_draws_and_returns_to_the_first() -> None:
    async with driven() as ui:
        for theme in ("light", "contrast", "dark"):
            await ui.press("t")
            assert ui.app.theme == theme
            await ui.sees("chiller_power")


async def test_a_copied_row_goes_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    async with driven() as ui:
        copied: list[str] = []
        monkeypatch.setattr(ui.app, "copy_to_clipboard", copied.append)
        await ui.press("down", "y")
        assert copied[0].startswith("chiller_power\t")
        await ui.sees("Copied")


async def test_a_degraded_box_says_so_in_the_banner() -> None:
    async with driven() as ui:
        ui.box.ladder = LadderStatus(step=1, name="batch paused", since_us=NOON_US, kind="disk", why="the disk has 200 MiB left")
        await ui.tick()
        await ui.sees("DEGRADED to step 1 · batch paused · the disk has 200 MiB left")
        ui.box.ladder = LadderStatus()
        await ui.tick()
        await ui.misses("DEGRADED")
