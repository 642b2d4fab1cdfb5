"""The jobs screen: what runs and waits, what there is, what has been, how fresh views are, and what a person does about it."""

from __future__ import annotations

import pytest

from tests.tui.driven import Driven, driven
from tests.tui.test_hostile import is_harmless

SIZES = [(80, 24), (120, 40), (200, 50)]


async def open_jobs(ui: Driven, *keys: str) -> None:
    await ui.press("3")
    await ui.tick(1)
    for key in keys:
        await ui.press(key)
        await ui.tick(1)


@pytest.mark.parametrize("size", SIZES)
async def test_it_says_what_runs_how_far_it_is_and_what_waits(size: tuple[int, int]) -> None:
    async with driven(size=size) as ui:
        await open_jobs(ui)
        await ui.sees("running", "hourly", "42 %", "waiting", "query", "archive", "bucket 14 of 33")
        await ui.press("down")
        await ui.sees("again in 31 s", "no room for the result")


@pytest.mark.parametrize("size", SIZES)
async def test_the_views_go_round_and_each_says_its_own(size: tuple[int, int]) -> None:
    async with driven(size=size) as ui:
        await open_jobs(ui, "l")
        await ui.sees("export", "in 2 h", "failed", "rests 8 min", "pump-tool", "1 failed")
        await ui.press("l")
        await ui.tick(1)
        await ui.press("G")
        await ui.sees("12 s", "3.40 s of processor", "48.0 MiB read")
        await ui.press("l")
        await ui.tick(1)
        await ui.sees("fresh until", "its source press is gone", "hourly")
        await ui.press("l")
        await ui.sees("42 %")


async def test_enter_shows_the_history_of_one_and_esc_goes_back() -> None:
    async with driven() as ui:
        await open_jobs(ui, "l", "enter")
        await ui.sees("Esc shows all")
        assert any(a.startswith("job history ") and a != "job history None" for a in ui.box.asked)
        await ui.press("escape")
        await ui.sees("rests 8 min")


async def test_a_job_is_run_and_a_run_is_cancelled() -> None:
    async with driven() as ui:
        await open_jobs(ui, "C")
        await ui.sees("Run 41 of hourly ends")
        await ui.press("l")
        await ui.tick(1)
        await ui.press("G", "R")
        await ui.tick(1)
        assert ui.box.job_box.done[0] == "cancel 41"
        assert ui.box.job_box.done[1].startswith("run ")
        await ui.press("C")
        await ui.sees("Choose a run that waits")


async def test_without_a_service_nothing_can_be_asked_for() -> None:
    async with driven() as ui:
        ui.box.state = "offline"
        await open_jobs(ui, "C")
        await ui.sees("read-only", "can only be looked at")
        assert ui.box.job_box.done == []


async def test_foreign_words_move_no_terminal() -> None:
    async with driven() as ui:
        await open_jobs(ui, "l")
        await ui.press("G")
        await ui.tick(1)
        is_harmless(ui)
