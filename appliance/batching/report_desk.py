"""Who answers for reports: what there is, a file of it, one made for whoever asks, one issued now. What HTTP and the screen call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from appliance.batching.report_definitions import Definition
from appliance.batching.reports import Reports
from appliance.batching.work import Runner
from appliance.cold.batch.reports.forms import FORMATS
from appliance.errors import StoreDamaged, UsageRefused
from appliance.hot import issued
from appliance.observe.reports import DefinitionRow, IssueRow, ReportsPicture
from appliance.serving.report_rows import stored_reports

ASKED: Final = "asked"
MEDIA_TYPES: Final[Mapping[str, str]] = {
    "html": "text/html; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
}


class ReportDesk:
    """``picture`` and ``file`` block and may be called in any thread; ``render`` and ``issue`` belong to the event loop."""

    def __init__(self, reports: Reports, *, runner: Callable[[], Runner]) -> None:
        """``runner``: for what a person waits for."""
        self._reports = reports
        self._runner = runner

    def picture(self) -> ReportsPicture:
        """What can be made, and what was issued."""
        s = self._reports.surroundings
        with s.reader() as reader:
            return stored_reports(reader, now_us=s.clock.now_us(), definitions=definition_rows(s.definitions()))

    def file(self, path: str) -> tuple[bytes, str] | None:
        """A registered file and its media type; None for any other path. Raises ``StoreDamaged`` where it is not what was issued."""
        s = self._reports.surroundings
        with s.reader() as reader:
            found = issued.with_path(reader, path)
        if found is None:
            return None
        content = s.files.read(path)
        if content is None or len(content) != found[1].bytes:
            raise StoreDamaged("is missing or not what was issued", path=s.files.root / path, hint="issue it again")
        return content, MEDIA_TYPES[found[1].format]

    async def render(self, name: str, *, day: str | None, parameters: Mapping[str, str], format: str) -> tuple[str, str]:
        """A report as of now and its media type; nothing is kept. Raises ``UsageRefused``, ``QueryRefused``."""
        if format not in FORMATS:
            raise UsageRefused(f"format {format[:40]!r} is unknown; use one of {', '.join(FORMATS)}")
        return await self._reports.render(name, parameters, day, format, self._runner()), MEDIA_TYPES[format]

    async def issue(self, name: str, *, day: str | None, parameters: Mapping[str, str]) -> tuple[str, IssueRow]:
        """What came of it, in a line, and the newest revision. Raises as ``render``."""
        reports = self._reports
        definition = reports.definition(name)
        period = reports.period(definition, day, now_us=reports.surroundings.clock.now_us())
        made = await reports.issue(definition, period, parameters, reason=ASKED, runner=self._runner())
        row = next(i for i in self.picture().issues if i.id == made.issue.id)
        return made.words, row


def definition_rows(definitions: Mapping[str, Definition]) -> tuple[DefinitionRow, ...]:
    """What can be made, for surfaces."""
    return tuple(
        DefinitionRow(
            name=d.name,
            title=d.title,
            covers=d.options.covers,
            schedule=d.options.schedule or (f"after {d.options.after}" if d.options.after else ""),
            parameters=dict(d.options.parameters),
            formats=d.options.formats,
            is_built_in=d.is_built_in,
        )
        for d in definitions.values()
    )
