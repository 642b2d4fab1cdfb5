"""One registry makes the keys, the help, the palette and the line at the bottom."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.errors import UsageRefused
from tests.tui.driven import driven
from tests.tui.fake import FakeClient, FakeClock
from tui.actions import ALERTS, CANCEL, CHART, COLUMNS, EVERYWHERE, OPEN, PAN, ROWS, SQL, TABLE, VIEWS, Group, foot_keys
from tui.app import ApplianceApp, run_app
from tui.screens import SCREENS
from tui.screens.alerts import AlertsScreen
from tui.screens.overview import OverviewScreen
from tui.screens.sql import SqlField, SqlScreen
from tui.screens.stream import StreamScreen
from tui.widgets.chart import Chart
from tui.widgets.table import FastTable


@pytest.mark.parametrize(
    ("group", "owners"),
    [
        (EVERYWHERE, (ApplianceApp,)),
        (TABLE, (FastTable,)),
        (PAN, (Chart,)),
        (ROWS, (OverviewScreen, StreamScreen)),
        (CHART, (OverviewScreen, StreamScreen, AlertsScreen)),
        (COLUMNS, (StreamScreen,)),
        (VIEWS, (AlertsScreen,)),
        (ALERTS, (AlertsScreen,)),
        (CANCEL, (SqlScreen,)),
        (SQL, (SqlField, SqlScreen)),
    ],
)
def test_every_key_has_something_that_it_does(group: Group, owners: tuple[object, ...]) -> None:
    for action in group.actions:
        if action.keys:
            method = f"action_{action.run.removeprefix('screen.')}"
            assert any(hasattr(owner, method) for owner in owners), f"{action.keys}: {method}"


@pytest.mark.parametrize(
    "groups",
    [
        (EVERYWHERE, TABLE, ROWS, CHART),
        (EVERYWHERE, TABLE, ROWS, CHART, COLUMNS),
        (EVERYWHERE, TABLE, ROWS, CHART, VIEWS, ALERTS),
        (EVERYWHERE, PAN, CHART, ROWS, ALERTS),
    ],
)
def test_no_key_means_two_things_at_once(groups: tuple[Group, ...]) -> None:
    keys = [key for group in groups for action in group.actions for key in action.keys]
    keys += [entry.key for entry in SCREENS if entry.key.isdigit()]
    assert sorted(keys) == sorted(set(keys))


def test_the_line_of_keys_joins_what_belongs_together() -> None:
    assert foot_keys((EVERYWHERE, OPEN, ROWS, CHART))[:4] == [("?", "help"), ("Enter", "open"), ("/", "filter"), ("< >", "sort")]


async def test_the_help_lists_every_action_and_word_and_closes() -> None:
    async with driven(size=(120, 80)) as ui:
        await ui.press("question_mark")
        await ui.sees(
            "Overview: keys", "Everywhere", "In a table", "Rows", "The chart", "With the chart focused", "Screens", "Words", "dirty", "wal"
        )
        await ui.sees(*(action.help[:40] for group in (EVERYWHERE, TABLE, ROWS, CHART, PAN) for action in group.actions if action.help))
        await ui.press("escape")
        await ui.misses("Everywhere")


async def test_the_help_of_another_screen_is_about_that_screen() -> None:
    async with driven(size=(120, 70)) as ui:
        await ui.press("down", "enter", "f1")
        await ui.sees("The columns of the stream")


async def test_the_palette_finds_an_action_a_screen_and_a_stream() -> None:
    async with driven() as ui:
        await ui.press("colon")
        await ui.type("freeze")
        await ui.sees("Freeze")
        await ui.press("enter")
        await ui.sees("FROZEN")
        await ui.press("ctrl+p")
        await ui.type("screen: sql")
        await ui.sees("Screen: SQL")
        await ui.press("enter")
        await ui.sees("Enter runs it")
        await ui.press("escape", "colon")
        await ui.type("stream: oven_power")
        await ui.sees("Stream: oven_power")
        await ui.press("enter")
        await ui.tick(1)
        await ui.sees("Last values")


async def test_digits_and_s_change_screens_and_each_stays_as_it_was() -> None:
    async with driven() as ui:
        await ui.press("greater_than_sign", "s")
        await ui.sees("▸s SQL")
        await ui.press("tab", "1")
        await ui.sees("▸1 Overview", "by rec/s")
        await ui.press("2", "l")
        await ui.sees("▸2 Alerts", "◂ rules")
        await ui.press("s")
        await ui.sees("▸s SQL")
        await ui.press("escape")
        await ui.sees("▸2 Alerts", "◂ rules")
        await ui.press("1", "2", "1", "2")
        await ui.sees("▸2 Alerts", "◂ rules")


@pytest.mark.parametrize(
    "keys", [("q",), ("ctrl+c",), ("s", "ctrl+c"), ("question_mark", "ctrl+c"), ("slash", "ctrl+c"), ("colon", "ctrl+c")]
)
async def test_leaving_is_possible_from_everywhere(keys: tuple[str, ...]) -> None:
    async with driven() as ui:
        await ui.pilot.press(*keys)
        await ui.until(lambda: ui.app._exit, "the end")


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
async def test_a_view_is_exported_and_nothing_overwritten(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with driven(names=("=cmd|' /C calc'!A0", "oven_power")) as ui:
        await ui.press("e")
        await ui.sees("Export 2 rows")
        ui.app.screen.query_one("#path").value = f"view.{ending}"  # type: ignore[attr-defined]
        await ui.press("enter")
        await ui.sees("Written:")
        written = (tmp_path / f"view.{ending}").read_bytes()
        assert b"oven_power" in written
        if ending == "csv":
            assert b"'=cmd" in written
        await ui.press("e")
        ui.app.screen.query_one("#path").value = f"view.{ending}"  # type: ignore[attr-defined]
        await ui.press("enter")
        await ui.sees("is there already")
        assert (tmp_path / f"view.{ending}").read_bytes() == written


def is_empty(folder: Path) -> bool:
    return not list(folder.iterdir())


async def test_an_unknown_ending_is_refused_and_the_field_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with driven() as ui:
        await ui.press("e")
        ui.app.screen.query_one("#path").value = "view.xlsx"  # type: ignore[attr-defined]
        await ui.press("enter")
        await ui.sees("must end in .csv, .json or .parquet")
    assert is_empty(tmp_path)


def test_without_a_terminal_it_is_refused_with_what_to_use_instead() -> None:
    with pytest.raises(UsageRefused, match="appliance status"):
        run_app(FakeClient(FakeClock()), detach=False)
