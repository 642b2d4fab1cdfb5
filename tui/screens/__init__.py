"""The screens and where they are found; each is loaded when it is first shown.

A new screen is a file in this folder and a line in ``SCREENS``: its key, its place in the bar, the palette and the help follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.screens.base import LiveScreen


@dataclass(frozen=True, slots=True)
class ScreenEntry:
    """One screen that a key leads to."""

    key: str
    name: str
    title: str
    help: str
    target: str
    """``module:Class``."""

    def make(self) -> LiveScreen:
        """A new instance; the app makes one for each and keeps it, so that sort, filter and zoom stay as they were left."""
        module, _, cls = self.target.partition(":")
        screen: LiveScreen = getattr(import_module(module), cls)()
        return screen


SCREENS: tuple[ScreenEntry, ...] = (
    ScreenEntry(
        "1", "overview", "Overview", "every stream and every part that records pass through", "tui.screens.overview:OverviewScreen"
    ),
    ScreenEntry("2", "alerts", "Alerts", "what fires, rules, history, silences and the outbox", "tui.screens.alerts:AlertsScreen"),
    ScreenEntry("3", "jobs", "Jobs", "what runs in batch, its history and cost, and how fresh views are", "tui.screens.jobs:JobsScreen"),
    ScreenEntry(
        "4", "reports", "Reports", "what was issued, its revisions, what differs; read one, issue one", "tui.screens.reports:ReportsScreen"
    ),
    ScreenEntry("5", "paths", "Paths", "which path each workload runs on, why, how fast, at what cost", "tui.screens.paths:PathsScreen"),
    ScreenEntry(
        "6",
        "consistency",
        "Consistency",
        "whether the hot and the cold side agree: what was found, what was repaired",
        "tui.screens.consistency:ConsistencyScreen",
    ),
    ScreenEntry(
        "7",
        "analysis",
        "Analysis",
        "what is unusual: the first answer, the refined one, what stands behind",
        "tui.screens.analysis:AnalysisScreen",
    ),
    ScreenEntry("8", "search", "Search", "find records and names by their words, as you type", "tui.screens.search:SearchScreen"),
    ScreenEntry("s", "sql", "SQL", "ask in SQL over hot and cold as one table", "tui.screens.sql:SqlScreen"),
)
