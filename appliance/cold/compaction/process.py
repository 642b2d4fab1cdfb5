"""What the compaction process does with one job: check, read in order, make twins one, write.

Bounded memory whatever the size of the day: slices of the inputs, one row group of the output. It writes nothing but
segments below the lake (and spill files, where DuckDB has to sort), touches no manifest, and leaves its inputs as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import pyarrow as pa

from appliance.cold.compaction.coded import Coding, Input, in_order
from appliance.cold.compaction.job import Done, Event, Job, Progress, Stepped, Writing
from appliance.cold.compaction.merge import merge
from appliance.cold.compaction.twins import fold_twins
from appliance.cold.files import Publisher, locate, remove
from appliance.cold.layout import mergeable, sort_columns
from appliance.cold.segments import (
    GROUP_ROWS,
    SegmentMeta,
    check_segment,
    generation_of,
    read_facts,
    read_rows,
    read_tallies,
    write_segment,
)
from appliance.errors import StoreDamaged
from appliance.hiding import without_hidden
from appliance.manifest import Deletion, Segment
from appliance.records import EVERYTHING, fold
from appliance.tally import Tallies, difference, joined

OWNER = "compact"
"""Begins the temporary names of this process."""
_GROUP_COPIES = 6
"""How often a row group is in memory at most: in pieces, in one, decoded, encoded, and read back."""

Emit = Callable[[Event], None]


def run_job(job: Job, *, root: Path, spill: Path, emit: Emit) -> Done:
    """The job's outputs, published and synced; every path is told before its file is there.

    Raises StoreDamaged when an input is not what the manifest says (its ``path`` names it), RetryLater when the disk is
    full; what was written until then is removed.
    """
    started = time.process_time()
    for segment in job.inputs:
        if reason := check_segment(root, segment, deep=True):
            raise StoreDamaged(reason, path=root / segment.path, hint="set it aside")
    if job.deletions and len(job.inputs) == 1 and not job.dedup and not _holds_deleted(root / job.inputs[0].path, job.deletions):
        return Done(outputs=(), folded=0, cpu_s=time.process_time() - started, untouched=True)
    schema = job.schema
    inputs: list[Input] = [(path, read_facts(path)) for path in (locate(root, s.path) for s in job.inputs)]
    coding = Coding.of(schema, inputs, job.deletions)
    outputs: list[Segment] = []
    try:
        counted = _Counter(_ordered_rows(job, coding, inputs, spill), emit)
        for segment in _write(job, counted, root, emit):
            outputs.append(segment)  # noqa: PERF402 - those that are written must be known when the next fails
    except BaseException:
        remove(root, [s.path for s in outputs])
        raise
    taken, written = sum(s.rows for s in job.inputs) - coding.removed, sum(s.rows for s in outputs)
    assert written == counted.rows, f"{written} records written of {counted.rows}"
    assert written == taken or (job.dedup and written < taken), f"{written} records out of {taken}"
    _compare(job, root, outputs, coding.changes)
    cpu_s = time.process_time() - started
    return Done(outputs=tuple(outputs), folded=taken - written, cpu_s=cpu_s, removed=coding.removed, changes=coding.changes)


def _compare(job: Job, root: Path, outputs: Sequence[Segment], changes: Tallies) -> None:
    """Each record of the inputs is in the outputs, but for what was changed on purpose. Raises AssertionError when it isn't so."""
    wanted = difference(joined(s.tallies or {} for s in outputs), changes)
    if all(s.tallies is not None for s in job.inputs) and joined(s.tallies or {} for s in job.inputs) == wanted:
        return
    held = joined(read_tallies(root / s.path) for s in job.inputs)  # the files themselves, where the manifest doesn't know or is wrong
    assert held == wanted, f"the outputs differ from the inputs on {sorted(difference(held, wanted))}"


def _holds_deleted(path: Path, deletions: Sequence[Deletion]) -> bool:
    """Looks only at times, sequences and the tags that the deletions name."""
    facts = read_facts(path)
    wanted = {fold(name) for d in deletions for name in d.matching}
    tags = [t for t in facts.schema.tags if fold(t) in wanted]
    found = read_rows(path, tags=tags, columns={"ts", "_seq", *tags}, rows=GROUP_ROWS, span=EVERYTHING)
    return any(without_hidden(batch, deletions).num_rows < batch.num_rows for batch in found)


class _Counter:
    """Passes row groups on and tells how far it is."""

    def __init__(self, groups: Iterable[pa.Table], emit: Emit) -> None:
        self.rows = 0
        self._groups = groups
        self._emit = emit

    def __iter__(self) -> Iterator[pa.Table]:
        for group in self._groups:
            self.rows += group.num_rows
            yield group
            self._emit(Progress(self.rows))


def regroup(tables: Iterable[pa.Table], *, rows_max: int, bytes_max: int) -> Iterator[pa.Table]:
    """The same rows, cut anew: each table as full as both limits allow, but for the last."""
    held: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        while table.num_rows:
            width = max(1, table.nbytes // table.num_rows)
            fits = max(min(rows_max - rows, (bytes_max - size) // width), 0 if rows else 1)
            part, table = table.slice(0, fits), table.slice(fits)
            held.append(part)
            rows, size = rows + part.num_rows, size + part.num_rows * width
            if table.num_rows or rows == rows_max:
                yield pa.concat_tables(held)
                held, rows, size = [], 0, 0
    if rows:
        yield pa.concat_tables(held)


def _ordered_rows(job: Job, coding: Coding, inputs: Sequence[Input], spill: Path) -> Iterator[pa.Table]:
    schema = job.schema
    order = sort_columns(schema, job.identity)
    if mergeable(schema, order) and all(in_order(facts, schema, order) for _, facts in inputs):
        rows = merge(inputs, coding, order, memory_bytes=job.memory_bytes // 3)
    else:
        from appliance.cold.compaction.sort import sort  # DuckDB takes 40 MB and is hardly ever needed

        rows = sort(inputs, coding, order, memory_bytes=job.memory_bytes // 2, spill=spill)
    if job.dedup:
        rows = fold_twins(rows, order, lambda before, after: coding.note(coding.decode(before), coding.decode(after)))
    for group in regroup(rows, rows_max=GROUP_ROWS, bytes_max=job.memory_bytes // _GROUP_COPIES):
        yield coding.decode(group)


def _write(job: Job, groups: Iterable[pa.Table], root: Path, emit: Emit) -> Iterator[Segment]:
    publisher = Publisher(root, owner=OWNER, step=lambda name: emit(Stepped(name)))
    purged = max((d.id for d in job.deletions), default=min(s.purged for s in job.inputs))
    meta = SegmentMeta(job.schema, job.node, job.day, job.level, sort_columns(job.schema, job.identity), job.days, purged)
    generation = 1 + max(generation_of(s.path) for s in job.inputs)
    waiting = iter(groups)
    for group in waiting:
        yield write_segment(
            _upto(chain((group,), waiting), rows_max=job.rows_max),
            publisher=publisher,
            folder=job.folder,
            meta=meta,
            generation=generation,
            announce=lambda path: emit(Writing(path)),
        )


def _upto(groups: Iterable[pa.Table], *, rows_max: int) -> Iterator[pa.Table]:
    rows = 0
    for group in groups:
        yield group
        rows += group.num_rows
        if rows + GROUP_ROWS > rows_max:
            return
