"""Batch work of a data folder that no service holds: as it was stored."""

from __future__ import annotations

from pathlib import Path

import msgspec

from appliance.hot.job_tables import load_jobs, load_open, load_runs
from appliance.observe.jobs import JobRow, JobsPicture, RunRow
from appliance.serving.folder import open_folder


def folder_jobs(folder: Path) -> JobsPicture:
    """What there was when the service ended; ``at_us`` is the newest time in it."""
    with open_folder(folder) as (reader, _state):
        entries, queue = load_jobs(reader), load_open(reader)
    jobs = [
        JobRow(
            name=e.name,
            kind=e.kind,
            when=e.whence,
            priority=e.priority,
            next_us=e.next_us,
            state=e.last_state,
            last_us=e.last_us,
            last_words=e.last_words,
            failures=e.failures,
        )
        for e in entries.values()
        if not e.name.startswith("_")
    ]
    at_us = max((*(j.last_us or 0 for j in jobs), *(r.queued_us for r in queue)), default=0)
    return JobsPicture(at_us=at_us, jobs=tuple(jobs), queue=tuple(msgspec.structs.replace(r, state="waiting") for r in queue), jobs_max=0)


def folder_runs(folder: Path, *, limit: int, name: str | None = None, run_id: int | None = None) -> list[RunRow]:
    """Runs, the newest first."""
    with open_folder(folder) as (reader, _state):
        return load_runs(reader, limit=limit, name=name, run_id=run_id)
