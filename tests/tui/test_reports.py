"""The reports screen: what was issued with its revisions, read as text, issued now."""

from __future__ import annotations

import pytest

from appliance.errors import NotRunning
from tests.tui.driven import Driven, driven
from tests.tui.test_hostile import is_harmless


async def open_reports(ui: Driven, *keys: str) -> None:
    await ui.press("4")
    await ui.tick(1)
    if keys:
        await ui.press(*keys)
        await ui.tick(1)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_it_lists_revisions_what_differs_and_what_was_never_issued(size: tuple[int, int]) -> None:
    async with driven(size=size) as ui:
        await open_reports(ui)
        await ui.sees("● ok", "▲ 1 failed", "○ revised", "○ never", "2026-11-21", "r2", "1 row of", "monthly")
        await ui.sees("The daily report", "complete", "all up to _seq 4711, dirty")
        is_harmless(ui)


async def test_the_story_below_follows_the_cursor() -> None:
    async with driven() as ui:
        await open_reports(ui, "down")
        await ui.sees("1 of 9 parts could not be answered", "device=[red]d1")
        await ui.press("G")
        await ui.sees("never issued: i issues it now", "0 6 1 * *")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_enter_opens_the_text_and_what_stands_in_it_is_data(size: tuple[int, int]) -> None:
    async with driven(size=size) as ui:
        await open_reports(ui, "enter")
        await ui.sees("The day of the box", "room", "4711", "hostile", "Esc closes")
        await ui.misses("|---|")
        is_harmless(ui)
        assert ui.box.asked[-1] != "" and "report text reports/daily/2026-11-21.r2.md" in ui.box.asked  # noqa: PT018 - one claim
        await ui.press("escape")
        await ui.sees("rev")


async def test_i_issues_the_chosen_report_of_its_day_and_parameters() -> None:
    async with driven() as ui:
        await open_reports(ui, "down", "i")
        await ui.sees("overheating 2026-11-21 revision 3")
        assert ui.box.report_box.issued == [("overheating", "2026-11-21", {"device": "[red]d1"})]
        await ui.press("G", "i")
        await ui.tick(1)
        assert ui.box.report_box.issued[-1] == ("monthly", None, {})


async def test_what_can_t_be_issued_is_said() -> None:
    async with driven() as ui:
        ui.box.report_box.refuse = NotRunning("no service runs on /data")
        await open_reports(ui, "i")
        await ui.sees("no service runs on /data")
        await ui.press("G", "enter")
        await ui.sees("There is no text to open")
