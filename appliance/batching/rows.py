"""How a run and its work change, as rows: queued, ended, tried again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from appliance.batching.notices import Notice
from appliance.batching.under_way import Ended
from appliance.batching.work import When, Work
from appliance.cold.batch.queue import Queued
from appliance.hot.job_tables import JobEntry
from appliance.observe.jobs import RunRow

ASKED = "asked"
OWN = "_"
"""Begins the names of work that is not in the config; it has no standing and rests for nothing."""


def is_remembered(work: Work) -> bool:
    """Whether there is anything to remember of a piece of work: not of what the appliance itself asks for and nothing else makes due."""
    return not (work.name.startswith(OWN) and work.when == When())


def new_run(work: Work, *, due_us: int, now_us: int, reason: str, day: int | None = None, parameters: Mapping[str, str]) -> RunRow:
    """A run without an id; what somebody has asked for goes first."""
    return RunRow(
        id=0,
        name=work.name,
        kind=work.kind,
        reason=reason,
        due_us=due_us,
        queued_us=now_us,
        priority="high" if reason == ASKED else work.priority,
        day=day,
        parameters=parameters,
    )


def over(run: RunRow, state: str, now_us: int, *, words: str = "", rows: int = 0) -> RunRow:
    """A run that is over."""
    return msgspec.structs.replace(run, state=state, ended_us=now_us, words=words, rows=rows, error="" if state == "done" else run.error)


def with_cost(run: RunRow, ended: Ended) -> RunRow:
    """With what its last attempt has used."""
    used = ended.usage
    return msgspec.structs.replace(
        run,
        cpu_s=round(run.cpu_s + used.cpu_s, 3),
        read_bytes=run.read_bytes + used.read_bytes,
        written_bytes=run.written_bytes + used.written_bytes,
    )


def entry_of(work: Work, known: JobEntry | None, now_us: int) -> JobEntry:
    """What is remembered of a piece of work, with what the config says of it now. The appliance's own is first due an interval after it
    was first seen: a new box has better to do."""
    entry = known or JobEntry(work.name, work.kind, "", "", now_us, now_us if work.name.startswith(OWN) else None)
    return replace(entry, kind=work.kind, whence=work.when.words, priority=work.priority)


def entry_after(entry: JobEntry | None, row: RunRow) -> list[JobEntry]:
    """How a piece of work does after a run that is over; nothing where it is not known (any more)."""
    if entry is None:
        return []
    counts = not row.name.startswith(OWN)
    failed = row.state == "failed" and counts
    words = row.error if row.state == "failed" else row.words
    return [
        replace(
            entry,
            failures=0 if row.state == "done" else entry.failures + failed,
            failed_us=row.ended_us if failed else entry.failed_us,
            last_state=row.state,
            last_us=row.ended_us,
            last_words=words,
        )
    ]


def told_of(work: Work, row: RunRow, *, failures: int) -> list[Notice]:
    """Messages about a run: the work has failed for good, or is well again after ``failures``; and what the run itself names."""
    asked = [c for c in row.parameters.get("notify", "").split(",") if c]
    if row.state == "failed" and (asked or not failures):
        words, text = "has failed", row.error
    elif row.state == "done" and (asked or failures):
        words, text = "is done" if asked else "is well again", row.words
    else:
        return []
    about, severity = f"{work.kind} {row.name.lstrip(OWN)}", "warning" if row.state == "failed" else "info"
    channels = dict.fromkeys((*work.notify, *asked))
    return [
        Notice(c, f"{about} {words}", f"Run {row.id}: {text}", about, f"run {row.id} {row.state}", row.ended_us or 0, severity)
        for c in channels
    ]


def queued_of(run: RunRow) -> Queued:
    """A row as the queue's decisions see it."""
    return Queued(
        id=run.id,
        name=run.name,
        kind=run.kind,
        due_us=run.due_us,
        reason=run.reason,
        priority=run.priority,  # type: ignore[arg-type]  # one of PRIORITIES, since nobody else writes it
        queued_us=run.queued_us,
        not_before_us=run.not_before_us,
        attempt=run.attempt,
        interrupted=run.interrupted,
        is_running=run.state == "running",
        day=run.day,
        error=run.error,
        parameters=run.parameters,
    )
