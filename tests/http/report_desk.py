"""Reports behind the HTTP interface: what was asked is noted, what is answered is prepared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance.errors import UsageRefused
from appliance.observe.reports import ReportsPicture

PATH = "reports/daily/2026-11-21.r1.html"


class ReportsInMemory:
    """One report, ``daily``, with one file."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, Mapping[str, str]]] = []

    def picture(self) -> ReportsPicture:
        return ReportsPicture(at_us=0)

    def file(self, path: str) -> tuple[bytes, str] | None:
        return (b"<!doctype html>", "text/html; charset=utf-8") if path == PATH else None

    async def render(self, name: str, *, day: str | None, parameters: Mapping[str, str], format: str) -> tuple[str, str]:
        self._take(name, day, parameters)
        return f"as {format}", "text/html; charset=utf-8"

    async def issue(self, name: str, *, day: str | None, parameters: Mapping[str, str]) -> tuple[str, Any]:
        self._take(name, day, parameters)
        return "daily 2026-11-21 revision 1", {"id": 1}

    def _take(self, name: str, day: str | None, parameters: Mapping[str, str]) -> None:
        if name != "daily":
            raise UsageRefused(f"there is no report {name!r}")
        self.asked.append((name, day, parameters))
