"""What the headers of a stream's hot batches say together: contiguous from the mark to the newest sequence, nothing twice. Pure.

Mark and last sequence are judged first, by what else knows them; the batches are then judged by the mark and the last sequence that
are true.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from appliance.hot.alerts.reads import Reads
from appliance.hot.batches import Header

MISSING = "rows missing"
TWICE = "rows twice"
MARK = "mark false"
LAST = "last sequence false"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What is stored of one stream, and what else knows of it."""

    mark: int
    last_seq: int
    committed_us: int | None
    """Of the stream's newest commit of records, as its row says."""
    reach: int
    """The highest sequence of any file that the manifest has ever named; 0: none."""
    has_deletions: bool
    """Whether records were ever deleted: then the newest of them need not be in any file."""
    known_mark: int | None = None
    """The mark in the service's memory, taken before the store was read; None: there is no service."""
    known_last: int | None = None
    batches: tuple[Header, ...] = ()
    """By ``first``, then ``id``."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that the headers show."""

    kind: str
    first: int
    last: int
    """Sequences concerned, both included; of ``MARK`` and ``LAST``: what is stored and what is true, in no order."""
    what: str
    proven: int | None = None
    """Of ``MARK`` and ``LAST``: what it has to be."""
    batch: int | None = None
    """Of ``TWICE``: the batch that is one too many, as far as the order tells."""


def reach_of(reads: Reads, stream_id: int) -> tuple[int, bool]:
    """``Line.reach`` and ``Line.has_deletions`` of a stream."""
    found = next(
        iter(
            reads.execute(
                "SELECT max(coalesce((SELECT max(last) FROM segment WHERE stream_id = ?1), 0),"
                " coalesce((SELECT max(last) FROM removal WHERE stream_id = ?1), 0)),"
                " EXISTS (SELECT 1 FROM deletion WHERE stream_id = ?1)",
                (stream_id,),
            )
        )
    )
    return int(found[0]), bool(found[1])


def judge(line: Line) -> Iterator[Trouble]:
    """Everything that is wrong, in the order of the sequences."""
    mark = true_mark(line)
    if mark != line.mark:
        low, high = sorted((mark, line.mark))
        yield Trouble(MARK, low, high, f"the mark is {line.mark}, and the lake has everything up to {mark}", proven=mark)
    last = true_last(line, mark)
    if last != line.last_seq:
        low, high = sorted((last, line.last_seq))
        what = f"the last sequence is said to be {line.last_seq}, and the newest record that was committed has {last}"
        yield Trouble(LAST, low, high, what, proven=last)
    yield from _walk(line.batches, mark, last)


def true_mark(line: Line) -> int:
    """The mark that it has to be, by the service's memory and the manifest's files; as stored, where nothing speaks against it.

    A roll ends with files that reach exactly to the mark, and compaction keeps the newest record. Only a deletion can take that away.
    """
    if line.known_mark is not None:
        return line.mark if line.mark in (line.known_mark, max(line.known_mark, line.reach)) else max(line.known_mark, line.reach)
    first = line.batches[0].first if line.batches else line.last_seq + 1
    if line.reach > line.mark:
        return line.mark if first <= line.mark + 1 else line.reach
    if line.reach < line.mark and first <= line.mark and not line.has_deletions:
        return line.reach
    return line.mark


def true_last(line: Line, mark: int) -> int:
    """The last sequence that it has to be, by the memory of the service, by the newest batch, and by when the last commit was."""
    newest = line.batches[-1] if line.batches else None
    end = max((b.last for b in line.batches), default=mark)
    if end > line.last_seq or line.known_last is not None:
        return max(end, line.known_last or 0)
    if newest is not None and newest.committed_us == line.committed_us and newest.last == end:
        return end
    return line.last_seq


def _walk(batches: Sequence[Header], mark: int, last: int) -> Iterator[Trouble]:
    expected = mark + 1
    for b in batches:
        if b.last < b.first:
            yield Trouble(TWICE, b.first, b.last, f"a batch says that it ends at {b.last}, before it begins at {b.first}", batch=b.id)
            continue
        if b.last <= mark:
            what = f"a batch holds the sequences {b.first} to {b.last}, which are in the lake already (the mark is {mark})"
            yield Trouble(TWICE, b.first, b.last, what, batch=b.id)
            continue
        if b.first > expected:
            yield Trouble(MISSING, expected, b.first - 1, f"the sequences {expected} to {b.first - 1} are missing")
        elif b.first < expected and b.first > mark:
            end = min(b.last, expected - 1)
            yield Trouble(TWICE, b.first, end, f"the sequences {b.first} to {end} are there twice", batch=b.id)
        elif b.first <= mark and expected > mark + 1:
            end = min(b.last, expected - 1)
            yield Trouble(TWICE, mark + 1, end, f"the sequences {mark + 1} to {end} are there twice", batch=b.id)
        expected = max(expected, b.last + 1)
    if expected <= last:
        yield Trouble(MISSING, expected, last, f"the sequences {expected} to {last} are missing")
