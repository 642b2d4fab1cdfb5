"""Incidents of a data folder that no service holds: looked at as they lie, and a person's word put into it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from appliance.box import open_box
from appliance.config import Config
from appliance.door.commit import Committer
from appliance.hot import incident_tables
from appliance.hot.incident_tables import Change
from appliance.hybrid.analysis.incidents.answering import worded_by
from appliance.hybrid.analysis.keeping.shown import missing, quality_rows
from appliance.observe.analysis import AnalysisPicture, IncidentPicture, IncidentRow
from appliance.serving.folder import open_folder


def folder_picture(folder: Path, *, limit: int, state: str | None) -> AnalysisPicture:
    """Everything that is stored; what is being learned only a service knows. Raises as ``open_folder``."""
    with open_folder(folder) as (reader, _):
        rows = incident_tables.load_many(reader, state=state, limit=limit)
        counts = incident_tables.counts(reader)
    return AnalysisPicture(incidents=tuple(rows), learning=(), quality=quality_rows(counts, {name: {} for name in counts}), memory=0)


def folder_incident(folder: Path, incident_id: int) -> IncidentPicture | None:
    """One incident, whole; None where there is none."""
    with open_folder(folder) as (reader, _):
        return incident_tables.load_picture(reader, incident_id)


def say_in_folder(config: Config, incident_id: int, verdict: str, *, author: str, comment: str) -> IncidentRow:
    """``confirm`` or ``dismiss``, durable when it returns; the alert of an incident that is none ends at the next start.

    Raises ``UsageRefused`` where there is no such incident, and as ``open_box``.
    """
    with open_box(config) as box:
        with closing(box.reader()) as reader:
            row = incident_tables.load(reader, incident_id)
            before = None if row is None else incident_tables.load_counting(reader, incident_id)
        if row is None or before is None:
            raise missing(incident_id)
        said, found = worded_by(row, before, verdict, author=author, comment=comment, now_us=box.clock.now_us())

        def run(committer: Committer) -> None:
            with committer.store.transaction():
                change = Change(row=found.row, answer=found.answer, feedback=said)
                incident_tables.write(committer.store.connection, change)

        box.writer.call(run).result()
    return found.row
