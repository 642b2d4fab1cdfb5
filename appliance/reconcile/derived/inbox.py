"""The files that were taken are known, and their records are there: what lies in ``done/`` can be taken again.

A file is read by the very code that takes files, into a door that takes nothing and looks. Records that people have deleted or
retention has removed are not missed, nor as many as were refused; nor those that bring no time of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from appliance.config import Config, LimitOptions
from appliance.door.align import align
from appliance.door.book import identity_tags, place_hashes, times
from appliance.errors import ApplianceError, RejectPayload
from appliance.hot.reader import HotReader
from appliance.hot.series import I64, U64, series_hashes
from appliance.hot.state import State, StreamState
from appliance.options import DropSource
from appliance.reconcile.derived.latest import Mask
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Look
from appliance.records import Batch, FileProgress, Receipt, Submission, TimeRange
from appliance.serving.history import History
from appliance.sources.drop.inbox import DONE
from appliance.sources.file_digest import digest_file
from appliance.sources.file_names import read_name
from appliance.sources.files import FileTaker, FileTask, Taken
from appliance.spans import FIRST, LAST, Span, union

NOT_TAKEN: Final = "file not taken"
RECORDS_MISSING: Final = "records of a file missing"
RECENT_US: Final = 900_000_000
"""Files that came to ``done/`` within this are looked at where not all are."""
REMEMBERED_MAX: Final = 10_000
"""Files that were found known and need not be read again by the next look."""
SAMPLE: Final = 64
"""Records of each piece of a file that are looked for."""
ARRIVED_US: Final = 4_200_000_000_000_000
"""2103: when a file is read for a look, records without a time of their own come then, so that they can be told."""
ARRIVED_MAX: Final = 10**12
Keys = npt.NDArray[np.void]
"""Identity and time of records, comparable and sortable."""
_KEY: Final = np.dtype([("place", np.uint64), ("ts", np.int64)])


class StoppedClock:
    """Stands at ``ARRIVED_US``."""

    def now_us(self) -> int:
        return ARRIVED_US

    def monotonic_ns(self) -> int:
        return 0

    def boottime_us(self) -> int:
        return 0

    def boot_id(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Known:
    """What the books say of one content."""

    stream: str
    name: str
    is_done: bool
    records: int
    rejected: int


@dataclass(slots=True)
class Through:
    """A ``FileBox`` whose door hands each submission to ``each`` and takes nothing itself."""

    config: Config
    state: State
    each: Callable[[Submission], int]

    @property
    def door(self) -> Through:
        return self

    def submit_blocking(self, submission: Submission, timeout_s: float | None = None) -> Receipt:  # noqa: ARG002 - as the door has it
        """What was taken is what ``each`` says."""
        return Receipt(self.each(submission))

    def file_progress(self, digest: str, stream: str) -> FileProgress | None:  # noqa: ARG002 - as the box has it
        """Each file is read from its beginning."""
        return None


def check_inbox(look: Look) -> Iterator[Finding]:
    """Each file in ``done/`` by its content: it is known, and where all is computed anew, some of its records are looked for."""
    found_before: dict[str, tuple[int, int]] = look.memo.setdefault("taken files", {})
    for path in done_files(look.folder / DropSource().folder):
        facts = path.stat()
        as_it_is = (facts.st_ctime_ns, facts.st_size)
        if not look.is_whole and (facts.st_ctime_ns // 1000 < look.now_us - RECENT_US or found_before.get(path.name) == as_it_is):
            continue
        where = str(path.relative_to(look.folder))
        known = known_of(look.reader, path)
        look.pause(facts.st_size)
        if not any(k.is_done for k in known):
            yield Finding(
                kind=NOT_TAKEN,
                where=where,
                what="it lies among the files that were taken, and nobody knows its content",
                repair="it is taken again, but for what is there",
            )
        elif not look.is_whole:
            if len(found_before) >= REMEMBERED_MAX:
                found_before.clear()
            found_before[path.name] = as_it_is
        elif look.scope == "full":
            yield from (f for k in known if (f := _missing(look, path, where, k)) is not None)


def done_files(inbox: Path) -> Iterator[Path]:
    """Regular files in ``done/`` and its folders, in order."""
    place = inbox / DONE
    if place.is_dir() and not place.is_symlink():
        for path in sorted(place.rglob("*")):
            if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
                yield path


def known_of(reader: HotReader, path: Path) -> list[Known]:
    """What the books have of a file's content, one entry a stream."""
    digest = digest_of(path)
    found = reader.execute(
        "SELECT stream, name, max(done), sum(records), sum(rejected) FROM file WHERE digest = ? OR digest LIKE ? GROUP BY stream",
        (digest, f"{digest}#%"),
    )
    return [Known(str(s), str(n), bool(d), int(str(r)), int(str(j))) for s, n, d, r, j in found]


def _missing(look: Look, path: Path, where: str, known: Known) -> Finding | None:
    looked = Looked(
        look.folder, look.state, past_of(look.folder, look.state, lambda: nullcontext(look.reader)), excused(look.reader, look.state)
    )
    try:
        taken = read_file(path, known, Through(Config(data_dir=look.folder), look.state, looked.sample))
    except (ApplianceError, OSError):
        return None  # what can't be read any more proves nothing
    if taken.outcome != "taken" or not looked.missing:
        return None
    stream = next(iter(looked.missing))
    mine = looked.missing[stream]
    if known.rejected and known.rejected >= looked.all_missing(path, known):
        return None
    return Finding(
        kind=RECORDS_MISSING,
        where=where,
        key=known.stream or stream,
        stream=stream,
        since_us=min(mine),
        until_us=max(mine) + 1,
        what=f"it was taken as {known.name}, and of {looked.asked} of its records {sum(map(len, looked.missing.values()))} are not there",
        repair="those that are not there are taken again" if looked.can_be_told else None,
    )


@dataclass(slots=True)
class Looked:
    """Looks for the records of submissions; ``missing``: times of those that are not there, by stream."""

    folder: Path
    state: State
    past: History
    excused: dict[str, tuple[Span, ...]]
    missing: dict[str, list[int]] = field(default_factory=dict)
    asked: int = 0
    can_be_told: bool = True
    """Whether all of their streams tell records apart."""

    def sample(self, submission: Submission) -> int:
        """Some of the records of each batch; as many as it has."""
        for batch in submission.batches:
            rows = batch.rows
            picked = np.unique(np.linspace(0, rows - 1, min(rows, SAMPLE)).astype(np.int64))
            self._look(replace(batch, data=batch.data.take(pa.array(picked))))
        return submission.rows

    def all_missing(self, path: Path, known: Known) -> int:
        """How many records of a file are not there, when each is looked for."""
        every = Looked(self.folder, self.state, self.past, self.excused)

        def each(submission: Submission) -> int:
            for batch in submission.batches:
                every._look(batch)
            return submission.rows

        read_file(path, known, Through(Config(data_dir=self.folder), self.state, each))
        return sum(map(len, every.missing.values()))

    def _look(self, batch: Batch) -> None:
        stream = self.state.get(batch.stream)
        found = absent(batch, stream, self.past, self.excused.get(batch.stream.lower(), ()))
        self.asked += batch.rows
        if found is not None and len(found[1]):
            self.missing.setdefault(batch.stream, []).extend(found[1].tolist())
            self.can_be_told &= stream is None or stream.identity is not None


def absent(batch: Batch, stream: StreamState | None, past: History, excused: Iterable[Span]) -> tuple[pa.RecordBatch, I64] | None:
    """The rows of a batch that are not among the records, and their times; None: all are, or are not to be expected.

    ``excused`` are event times whose records may be gone for good reason.
    """
    ts = times(batch.data)
    mask = ~((ts >= ARRIVED_US - 1) & (ts < ARRIVED_US + ARRIVED_MAX))
    for low, high in excused:
        mask &= (ts < low) | (ts >= high)
    if stream is not None and mask.any():
        mask &= ~_there(batch, stream, past)
    if not mask.any():
        return None
    return batch.data.filter(pa.array(mask)), ts[mask]


def _there(batch: Batch, stream: StreamState, past: History) -> Mask:
    """Which rows are among the records, or would be refused."""
    tags = identity_tags(stream.identity, stream.schema)
    aligned = align(batch, stream.schema, LimitOptions())
    kept = np.arange(batch.rows) if aligned.kept is None else aligned.kept
    result = np.ones(batch.rows, np.bool_)
    if not len(kept):
        return result
    series = series_hashes(aligned.data, aligned.schema.tags)
    wanted = _keys(place_hashes(aligned.data, stream.identity, aligned.schema, series), aligned.data)
    span = TimeRange(int(wanted["ts"].min()), int(wanted["ts"].max()) + 1)
    have = np.zeros(len(wanted), np.bool_)
    for rows in past.rows(stream.name.lower(), span=span, columns=tags):
        there = [t for t in tags if t in rows.data.schema.names]
        have |= np.isin(wanted, _keys(series_hashes(rows.data, there), rows.data))
        if have.all():
            break
    result[kept] = have
    return result


def _keys(places: U64, data: pa.RecordBatch) -> Keys:
    found = np.empty(len(places), _KEY)
    found["place"], found["ts"] = places, times(data)
    return found


def read_file(path: Path, known: Known | None, box: Through) -> Taken:
    """Reads a file of ``done/`` as it was taken, its records through ``box``. Raises ``OSError``, ``ApplianceError``."""
    stream = (known.stream if known is not None else stream_of(path)) or None
    name = path.name
    try:
        with path.open("rb") as file:
            return FileTaker(box, clock=StoppedClock()).take(file, FileTask(name=name, source=f"drop:{name}", stream=stream))
    except RejectPayload as e:
        return Taken("refused", str(e))


def stream_of(path: Path) -> str:
    """The stream of a file in ``done/`` of which nothing is known: its folder, else its name, without the number that made it differ."""
    if path.parent.name != DONE:
        return path.parent.name
    stem = read_name(path.name).stem
    base, _, number = stem.rpartition(".")
    if base and number.isdigit() and (path.parent / f"{base}{path.name[len(stem) :]}").is_file():
        return base
    return stem


def excused(reader: HotReader, state: State) -> dict[str, tuple[Span, ...]]:
    """Event times, by folded stream, whose records people have deleted or retention has removed, all or some."""
    if not reader.has_deletions:
        return {}
    found: dict[str, list[Span]] = {}
    names = {s.id: key for key, s in state.streams.items()}
    for stream_id, since, until in reader.execute("SELECT stream_id, since_us, until_us FROM deletion"):
        span = (FIRST if since is None else int(str(since)), LAST if until is None else int(str(until)))
        found.setdefault(names[int(str(stream_id))], []).append(span)
    for stream_id, low, high in reader.execute("SELECT stream_id, ts_min, ts_max FROM removal"):
        found.setdefault(names[int(str(stream_id))], []).append((int(str(low)), int(str(high)) + 1))
    return {key: union(spans) for key, spans in found.items()}


def past_of(folder: Path, state: State, reader: Callable[[], AbstractContextManager[HotReader]]) -> History:
    """The records of one picture, without a question to anybody."""
    return History(root=folder, state=lambda: state, reader=reader, damaged=lambda _segment, _reason: None)


def digest_of(path: Path) -> str:
    """By which the books know a content."""
    with path.open("rb") as file:
        return digest_file(file, size=path.stat().st_size).whole
