"""The paths screen: each workload with its path, the rule, latency against budget and cost; the chosen one explained."""

from __future__ import annotations

import pytest

from tests.tui.driven import Driven, driven
from tests.tui.test_hostile import is_harmless

SIZES = [(80, 24), (120, 40), (200, 50)]


async def open_paths(ui: Driven, *keys: str) -> None:
    await ui.press("5")
    await ui.tick(1)
    for key in keys:
        await ui.press(key)
        await ui.tick(1)


@pytest.mark.parametrize("size", SIZES)
async def test_it_shows_each_workload_with_path_rule_and_latency_against_its_budget(size: tuple[int, int]) -> None:
    async with driven(size=size) as ui:
        await open_paths(ui)
        await ui.sees("overheating", "trigger", "84 ms", "press_now", "3800 ms", "daily_load", "batch", "2 hot", "1 over budget")
        assert "✖" in ui.line_with("press_now")
        assert "●" in ui.line_with("overheating")
        assert ui.line_with("daily_load").split().index("cold") < 3


@pytest.mark.parametrize("size", SIZES)
async def test_the_chosen_one_says_why_it_runs_there_and_what_would_be_better(size: tuple[int, int]) -> None:
    async with driven(size=size) as ui:
        await open_paths(ui)
        await ui.sees("it triggers an alert")
        await ui.press("down")
        await ui.sees("needs answers of 2s, below 5s", "to hybrid:", "2,100,000 records", "missed")
        await ui.press("enter")
        await ui.tick(1)
        await ui.sees("before on cold", "freshness 2s (config)", "2,100,000", "(measured)", "by a trial run", "from cold to hot")
        await ui.press("escape", "up")
        await ui.sees("it triggers an alert")


async def test_rows_are_sorted_and_filtered_as_everywhere() -> None:
    async with driven() as ui:
        await open_paths(ui, "slash")
        await ui.type("daily")
        await ui.press("enter")
        await ui.tick(1)
        await ui.misses("overheating")
        await ui.press("escape", "greater_than_sign", "r")
        await ui.tick(1)
        lines = ui.text.splitlines()
        first = {name: next(i for i, line in enumerate(lines) if name in line) for name in ("press_now", "overheating", "daily_load")}
        assert first["press_now"] < first["overheating"] < first["daily_load"]


async def test_a_box_without_workloads_says_so() -> None:
    async with driven() as ui:
        ui.box.path_box.is_quiet = True
        await open_paths(ui)
        await ui.sees("no workload yet")


async def test_foreign_words_move_no_terminal() -> None:
    async with driven() as ui:
        await open_paths(ui, "G", "up")
        await ui.sees("anomalies")
        is_harmless(ui)
