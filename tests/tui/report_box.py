"""Reports of the simulated box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance.clock import Clock
from appliance.observe.reports import DefinitionRow, IssueRow, ReportFile, ReportsPicture, StreamUsed

S = 1_000_000
DAY = 86_400 * S
TEXT = "# The day of the box\n\n| stream | records |\n|---|---:|\n| room | 4711 |\n\n\x1b[2J[bold]hostile[/] <b>x</b>\n"


class ReportBox:
    """Three revisions of two reports, and one that was never issued."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.issued: list[tuple[str, str | None, Mapping[str, str]]] = []
        self.refuse: Exception | None = None

    def picture(self) -> ReportsPicture:
        now = self._clock.now_us()
        issues = [
            self._issue(3, "daily", 2, now - 3600 * S, difference="1 row of Records per stream", delivered=("ops: sent", "log: dead")),
            self._issue(2, "overheating", 1, now - 7200 * S, parameters={"device": "[red]d1"}, failed=1),
            self._issue(1, "daily", 1, now - 9 * 3600 * S, is_newest=False, delivered=("ops: sent",)),
        ]
        issues += [self._issue(4 + n, "daily", 2 + n + 1, now, reason="asked") for n in range(len(self.issued))]
        return ReportsPicture(
            at_us=now,
            definitions=(
                self._definition("daily", schedule="15 0 * * *", is_built_in=True),
                self._definition("overheating", parameters={"device": "d1"}),
                self._definition("monthly", covers="month", schedule="0 6 1 * *"),
            ),
            issues=tuple(sorted(issues, key=lambda i: -i.id)),
        )

    def text(self, path: str) -> str:
        assert path.startswith("reports/")
        return TEXT

    def issue(self, name: str, day: str | None, parameters: Mapping[str, str]) -> str:
        if self.refuse is not None:
            raise self.refuse
        self.issued.append((name, day, dict(parameters)))
        return f"{name} 2026-11-21 revision {2 + len(self.issued)}"

    def _definition(self, name: str, **more: Any) -> DefinitionRow:
        given: dict[str, Any] = {"covers": "day", "schedule": "", "parameters": {}, "is_built_in": False, "formats": ("html", "md")}
        return DefinitionRow(name=name, title=f"The {name} report", **{**given, **more})

    def _issue(self, number: int, name: str, revision: int, at_us: int, **more: Any) -> IssueRow:
        since = self._clock.now_us() // DAY * DAY - DAY
        path = f"reports/{name}/2026-11-21.r{revision}"
        given: dict[str, Any] = {
            "parameters": {},
            "is_newest": True,
            "reason": "schedule",
            "is_over": True,
            "failed": 0,
            "blocks": 9,
            "difference": "",
            "notes": (),
            "delivered": (),
            "removed_us": None,
        }
        return IssueRow(
            id=number,
            name=name,
            title=f"The {name} report",
            day="2026-11-21",
            since_us=since,
            until_us=since + DAY,
            revision=revision,
            issued_us=at_us,
            streams=(StreamUsed("room", 4711, 4000, since + DAY - S, ("2026-11-21",)),),
            files=tuple(ReportFile(f, f"{path}.{f}", 12_345, "0" * 64) for f in ("html", "md", "json")),
            **{**given, **more},
        )
