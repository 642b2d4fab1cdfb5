"""Takes one file into the door, exactly once per content: shared by the drop folder, ``appliance ingest`` and uploads.

Each piece of a file is committed in one transaction with how far the file has been taken, so a process killed at any moment goes on
exactly behind the last piece that was committed. While one piece is being committed the next is parsed; never more than one waits for
the writer, because a later piece must not be committed before an earlier one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol

from appliance.clock import Clock
from appliance.config import Config
from appliance.errors import RejectPayload, RetryLater
from appliance.options import DropSource
from appliance.records import FileProgress, Format, Receipt, Schema, Submission, check_name
from appliance.sources.codecs.content import GZIP_MAGIC, Content, GzipContent, PlainContent
from appliance.sources.codecs.line_protocol import Precision
from appliance.sources.codecs.pieces import Piece, Pieces, Target
from appliance.sources.file_digest import Digests, changed, digest_file, unpacked
from appliance.sources.file_names import printable, read_name, sniff_format

if TYPE_CHECKING:
    from appliance.hot.state import State

FILE_PRECISION = Precision.AUTO
"""A file of line protocol can't say its precision: each timestamp's magnitude does."""
BAD_FILE_REJECTS_MIN = 1_000
"""A file whose first piece has at least this many refused records, and more refused than good ones, is refused whole."""
UPLOAD_PATIENCE_S = 10.0
"""An upload waits this long for the door before its sender is told to come again."""
Outcome = Literal["taken", "duplicate", "refused", "changed", "stopped"]


class FileDoor(Protocol):
    """The door as files need it."""

    def submit_blocking(self, submission: Submission, timeout_s: float | None = None) -> Receipt:
        """Returns after the durable commit; raises ``RetryLater`` or ``RejectPayload``."""


class FileBox(Protocol):
    """The open data folder as files need it."""

    @property
    def config(self) -> Config:
        """The options in force."""

    @property
    def door(self) -> FileDoor:
        """Where pieces go."""

    @property
    def state(self) -> State:
        """The streams there are."""

    def file_progress(self, digest: str, stream: str) -> FileProgress | None:
        """How far a content has been taken into a stream."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a file."""

    outcome: Outcome
    """``taken``: all of it. ``duplicate``: its content had been taken before. ``refused``: not, or not all of it, see ``reason``.
    ``changed``: it has grown meanwhile; take it again with ``size`` among the prefixes. ``stopped``: the next start takes the rest."""
    reason: str = ""
    records: int = 0
    """Committed now, by this call."""
    rejected: int = 0
    """Refused records that are in the dead letters now."""
    stream: str = ""
    """Empty where the lines name their streams."""
    format: Format | None = None
    size: int = 0
    """Bytes that were hashed."""


@dataclass(frozen=True, slots=True)
class FileTask:
    """One file to take."""

    name: str
    """What people call it."""
    source: str
    """Who brings it, with its place: ``drop:readings/a.csv``."""
    stream: str | None = None
    """None: the name without its endings."""
    format: Format | None = None
    """None: by the name, else by the content."""
    again: bool = False
    """True: take it although its content is known."""
    prefixes: Sequence[int] = ()
    """Sizes of earlier files of this name: where one of them was taken and is the beginning of this one, only what follows is taken."""


@dataclass(slots=True)
class _Run:
    """A file under way: what is known of it, and what was committed so far."""

    task: FileTask
    format: Format
    stream: str
    digest: str
    size: int
    start: int
    records: int = 0
    rejected: int = 0
    first: bool = True

    def taken(self, outcome: Outcome, reason: str = "") -> Taken:
        return Taken(outcome, reason, self.records, self.rejected, self.stream, self.format, self.size)


class _Stopped(Exception):
    """The wait for the door was ended by the end of the process."""


class FileTaker:
    """Takes files for whoever opens them. Safe to use from several threads; each call takes one file."""

    def __init__(self, box: FileBox, *, clock: Clock) -> None:
        self._box = box
        self._clock = clock
        drop = next((s for s in box.config.sources if isinstance(s, DropSource)), DropSource())
        self._bytes_max = drop.file_bytes_max
        self.waiting: str | None = None
        """Why the door takes nothing just now; None while it does."""

    def take(self, file: IO[bytes], task: FileTask, *, stopping: Event | None = None, patience_s: float | None = None) -> Taken:
        """Take an open, seekable, regular file from its beginning.

        Waits for the door as long as it has to (``patience_s`` None) or raises ``RetryLater``; ``stopping`` ends the wait with ``stopped``.
        """
        before = os.fstat(file.fileno())
        try:
            run = self._prepare(file, task, size=before.st_size)
        except RejectPayload as refused:
            return Taken("refused", str(refused), stream=task.stream or "", format=task.format)
        if isinstance(run, Taken):
            return run
        try:
            return self._carry_out(file, run, before, _Patience(stopping or Event(), patience_s, self._clock))
        except _Stopped:
            return run.taken("stopped", "the rest is taken at the next start")
        except RejectPayload as refused:
            return run.taken("refused", str(refused))

    async def take_upload(self, path: Path, *, name: str, stream: str | None, format: Format | None, again: bool) -> dict[str, Any]:
        """Take a file that was sent; a summary for JSON. Raises ``RejectPayload`` or ``RetryLater``; what was committed by then stays."""
        task = FileTask(name=printable(name), source=f"ingest:{printable(name)}", stream=stream, format=format, again=again)

        def work() -> Taken:
            with path.open("rb") as file:
                return self.take(file, task, patience_s=UPLOAD_PATIENCE_S)

        return summary(await asyncio.to_thread(work))

    # --- what the file is

    def _prepare(self, file: IO[bytes], task: FileTask, *, size: int) -> _Run | Taken:
        """Everything that is known before a record is parsed. Raises ``RejectPayload``."""
        if size > self._bytes_max:
            raise RejectPayload(f"{size} bytes are more than {self._bytes_max}, the limit of a file (file_max)")
        named = read_name(task.name)
        notation = task.format or named.format or sniff_format(self._beginning(file, size))
        stream = "" if notation is Format.LP else task.stream or named.stem
        wrong = None if notation is Format.LP else check_name(stream, what="stream", bytes_max=self._box.config.limits.name_bytes_max)
        if wrong:
            raise RejectPayload(wrong)
        digests = digest_file(file, size=size, prefixes=task.prefixes)
        run = _Run(task=task, format=notation, stream=stream, digest=digests.whole, size=size, start=0)
        generation = 0
        while (known := self._box.file_progress(run.digest, stream)) is not None and known.done and task.again:
            generation += 1
            run.digest = f"{digests.whole}#{generation}"
        if known is not None and known.done:
            return run.taken("duplicate", f"the same content was taken before, as {known.name}")
        run.start = known.position_next if known is not None else self._start_behind(digests, stream)
        return run

    def _start_behind(self, digests: Digests, stream: str) -> int:
        """Where a file that has grown since it was taken goes on; 0 for a new one."""
        for beginning in digests.beginnings:
            known = self._box.file_progress(beginning.digest, stream)
            if known is not None and (beginning.ends_line or not known.done):
                return known.position_next
        return 0

    def _beginning(self, file: IO[bytes], size: int) -> bytes:
        file.seek(0)
        content: Content = PlainContent(file, size=size)
        if content.read(2) == GZIP_MAGIC:
            file.seek(0)
            content = GzipContent(PlainContent(file, size=size), bytes_max=self._bytes_max)
            return content.read(4096)
        file.seek(0)
        return file.read(4096)

    # --- its pieces

    def _pieces(self, file: IO[bytes], run: _Run) -> Pieces:
        file.seek(0)
        zipped = file.read(2) == GZIP_MAGIC
        file.seek(0)
        content: Content = PlainContent(file, size=run.size)
        if zipped:
            content = GzipContent(content, bytes_max=self._bytes_max)
        if run.format is Format.LP:
            from appliance.sources.codecs.lp_file import read_lp
            from appliance.sources.line_replay import replayable_batches, replayable_rejects

            return (
                replace(
                    piece,
                    batches=replayable_batches(piece.batches, precision=FILE_PRECISION),
                    rejects=replayable_rejects(piece.rejects, precision=FILE_PRECISION),
                )
                for piece in read_lp(content, self._clock, start=run.start, precision=FILE_PRECISION)
            )
        target = Target(
            stream=run.stream, clock=self._clock, tags=self._box.config.stream(run.stream).tags, schema=lambda: self._schema(run.stream)
        )
        if run.format is Format.PARQUET:
            return self._parquet_pieces(unpacked(content, folder=self._box.config.data_dir) if zipped else file, target, run)
        if run.format is Format.JSONL:
            from appliance.sources.codecs.jsonl import read_jsonl

            return read_jsonl(content, target, start=run.start)
        from appliance.sources.codecs.csv import read_csv

        return read_csv(content, target, start=run.start)

    def _parquet_pieces(self, file: IO[bytes], target: Target, run: _Run) -> Pieces:
        from appliance.sources.codecs.parquet import read_parquet

        return read_parquet(file, target, start=run.start, bytes_max=self._bytes_max)

    def _schema(self, stream: str) -> Schema | None:
        state = self._box.state.get(stream)
        return state.schema if state is not None else None

    # --- into the door

    def _carry_out(self, file: IO[bytes], run: _Run, before: os.stat_result, patience: _Patience) -> Taken:
        """Commit piece after piece; the parser is one piece ahead."""
        pieces = self._pieces(file, run)
        position, done = run.start, False
        with ThreadPoolExecutor(1, thread_name_prefix="file") as parser:
            ahead = parser.submit(next, pieces, None)
            while (piece := ahead.result()) is not None:
                if patience.stopping.is_set():
                    raise _Stopped
                if not piece.last:
                    ahead = parser.submit(next, pieces, None)
                elif changed(file, before) and self._has_grown(file, run):
                    return run.taken("changed", "it was appended to while it was being read")
                self._commit(run, piece, patience)
                position, done = piece.position_next, piece.last
                if done:
                    break
        if not done:
            self._commit(run, Piece(batches=(), rejects=(), position_next=position, last=True), patience)
        return run.taken("taken")

    def _has_grown(self, file: IO[bytes], run: _Run) -> bool:
        """Somebody wrote to the file: True when only behind what was read, False when it says what it said. Raises ``RejectPayload``.

        The last piece of a file that has grown is not committed: it may end within a record.
        """
        size = os.fstat(file.fileno()).st_size
        if run.format is Format.PARQUET or size < run.size or digest_file(file, size=run.size).whole != run.digest.partition("#")[0]:
            raise RejectPayload("it was rewritten while it was being read")
        return size > run.size

    def _commit(self, run: _Run, piece: Piece, patience: _Patience) -> None:
        if run.first and run.start == 0 and len(piece.rejects) >= BAD_FILE_REJECTS_MIN and len(piece.rejects) > piece.rows:
            worst = piece.rejects[0]
            raise RejectPayload(
                f"{len(piece.rejects)} of its first {len(piece.rejects) + piece.rows} records can't be read"
                f" (line {worst.line}: {worst.reason}), so nothing of it was taken"
            )
        run.first = False
        progress = FileProgress(run.digest, run.task.name, run.size, piece.position_next, piece.last, run.stream)
        notation = Format.JSONL if run.format is Format.PARQUET else run.format
        submission = Submission(run.task.source, notation, piece.batches, piece.rejects, progress)
        receipt = self._submit(submission, patience)
        run.records += receipt.records
        run.rejected += len(receipt.rejected)

    def _submit(self, submission: Submission, patience: _Patience) -> Receipt:
        patience.start()
        while True:
            try:
                receipt = self._box.door.submit_blocking(submission)
            except RetryLater as later:
                self.waiting = str(later)
                patience.wait(later)
            else:
                self.waiting = None
                return receipt


class _Patience:
    """How long to wait for a door that takes nothing."""

    def __init__(self, stopping: Event, patience_s: float | None, clock: Clock) -> None:
        self.stopping = stopping
        self._patience_s = patience_s
        self._clock = clock
        self._until_ns: int | None = None

    def start(self) -> None:
        """The wait for one submission begins."""
        self._until_ns = None if self._patience_s is None else self._clock.monotonic_ns() + int(self._patience_s * 1e9)

    def wait(self, later: RetryLater) -> None:
        """Back off. Raises ``later`` when patience is over, ``_Stopped`` at the end of the process."""
        if self._until_ns is not None and self._clock.monotonic_ns() >= self._until_ns:
            raise later
        if self.stopping.wait(later.after_s):
            raise _Stopped


def summary(taken: Taken) -> dict[str, Any]:
    """What became of a file as a value for JSON. Raises ``RejectPayload`` for a refused one, ``RetryLater`` for one that was stopped."""
    if taken.outcome == "refused":
        kept = f" ({taken.records} records before it were taken)" if taken.records else ""
        raise RejectPayload(taken.reason + kept)
    if taken.outcome in ("stopped", "changed"):
        raise RetryLater(taken.reason)
    return {
        "outcome": taken.outcome,
        "reason": taken.reason,
        "records": taken.records,
        "rejected": taken.rejected,
        "stream": taken.stream or None,
        "format": taken.format,
    }
