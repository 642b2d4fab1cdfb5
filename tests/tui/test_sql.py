"""The SQL screen: asks in a worker, shows rows or the reason, can be cancelled."""

from __future__ import annotations

import threading

import pyarrow as pa

from tests.tui.driven import Driven, driven


async def ask(ui: Driven, sql: str) -> None:
    """Opens the screen, types over what is suggested, and runs it."""
    await ui.press("s")
    field = ui.app.screen.query_one("#sql")
    field.text = sql  # type: ignore[attr-defined]
    await ui.press("enter")


async def test_an_answer_shows_rows_their_number_and_the_time() -> None:
    async with driven() as ui:
        await ask(ui, "SELECT * FROM press_power")
        await ui.sees("● 24 rows · 0.0 ms", "2026-11-22 12:00:00", "press-1", "41.25", "checked", "null", "device")
        assert ui.box.asked[-1] == "query SELECT * FROM press_power"


async def test_the_first_stream_is_suggested() -> None:
    async with driven() as ui:
        await ui.press("s")
        await ui.sees("SELECT * FROM host_cpu ORDER BY ts DESC LIMIT 20")


async def test_at_most_a_thousand_rows_are_shown_and_it_says_so() -> None:
    async with driven(answer=pa.table({"n": list(range(5000))})) as ui:
        await ask(ui, "SELECT n")
        await ui.sees("the first 1000 rows, there are more")
        assert ui.app.screen.query_one("#rows").row_count == 1000  # type: ignore[attr-defined]


async def test_a_refused_query_shows_the_reason_in_its_panel_and_the_next_one_runs() -> None:
    async with driven(refuse='Parser Error: syntax error at or near "[SELEC]"\nLINE 1: SELEC 1\n        ^') as ui:
        await ask(ui, "SELEC 1")
        await ui.sees("✖ no answer", 'syntax error at or near "[SELEC]"', "LINE 1: SELEC 1", "Refused")
        ui.box.refuse = None
        await ui.press("enter")
        await ui.sees("24 rows")
        await ui.misses("Refused")


async def test_esc_cancels_what_runs_and_then_goes_back() -> None:
    async with driven() as ui:
        ui.box.hold = threading.Event()
        await ui.press("s")
        await ui.pilot.press("enter")
        await ui.sees("running", "Esc cancels")
        await ui.pilot.press("escape")
        await ui.sees("cancelled")
        await ui.press("escape")
        await ui.sees("Streams")


async def test_the_screen_goes_on_while_a_query_runs() -> None:
    async with driven() as ui:
        ui.box.hold = threading.Event()
        await ui.press("s")
        await ui.pilot.press("enter")
        ui.clock.go_on(65)
        ui.app.refresh_now()
        await ui.sees("12:01:05 UTC", "running 1.1 min")
        ui.box.hold.set()
        await ui.sees("24 rows")


async def test_a_defect_in_the_answer_is_said_and_the_next_query_runs() -> None:
    async with driven() as ui:
        whole = ui.box.query
        ui.box.query = None  # type: ignore[assignment,method-assign]
        await ui.press("s")
        await ui.pilot.press("enter")
        await ui.sees("a defect in the UI")
        ui.box.query = whole  # type: ignore[method-assign]
        await ui.press("enter")
        await ui.sees("24 rows")


async def test_lines_and_earlier_queries() -> None:
    async with driven() as ui:
        await ask(ui, "SELECT 1")
        await ask_again(ui, "SELECT 2")
        await ui.press("ctrl+up", "ctrl+up")
        await ui.sees("SELECT 1")
        await ui.press("ctrl+down")
        await ui.sees("SELECT 2")
        await ui.press("ctrl+j")
        await ui.type("x")
        assert ui.app.screen.query_one("#sql").text == "SELECT 2\nx"  # type: ignore[attr-defined]


async def ask_again(ui: Driven, sql: str) -> None:
    ui.app.screen.query_one("#sql").text = sql  # type: ignore[attr-defined]
    await ui.press("enter")


async def test_odd_columns_are_shown() -> None:
    table = pa.table(
        {
            "big": pa.array([2**63 - 1, None], pa.int64()),
            "blob": pa.array([b"\x00\xff", None]),
            "list": pa.array([[1, 2], None]),
            "nan": pa.array([float("nan"), None]),
            "nano": pa.array([1, None], pa.timestamp("ns")),
        }
    ).rename_columns(["n", "n", "list", "nan", "nano"])
    async with driven(answer=table) as ui:
        await ask(ui, "SELECT")
        await ui.sees("9223372036854775807", "00 ff", "[1, 2]", "nan", "2 rows")
