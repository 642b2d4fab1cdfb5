"""Puts the result of a run where it belongs, for good: a file, the file of a table, records of a stream.

Everything here blocks, and runs in threads. A result is moved, never copied; what a kill leaves behind is taken up or removed by
the next run. Named steps, for tests that stop there: ``jobs.file.moved``, ``jobs.table.moved``, ``jobs.table.registered``,
``jobs.stream.staged``, ``jobs.stream.piece``, ``jobs.stream.taken``.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from appliance.box import Box
from appliance.cold.files import locate, sync
from appliance.door.commit import Committer
from appliance.errors import JobFailed, RetryLater
from appliance.hot import job_tables
from appliance.hot.job_tables import TableEntry
from appliance.hot.sql_types import sql_type
from appliance.names import folder_name
from appliance.records import FileProgress, Format, Schema, Submission, fold
from appliance.serving.handed import Handed
from appliance.sources.codecs.parquet import read_parquet
from appliance.sources.codecs.pieces import Target

TABLES: Final = "tables"
REPORTS: Final = "reports"
STAGED: Final = "queries"
_HASH_BYTES: Final = 1 << 20
_NO_LIMIT: Final = 2**62
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Keeping:
    """Where results go, of one data folder."""

    def __init__(self, box: Box, *, step: Callable[[str], None]) -> None:
        self._box = box
        self._step = step

    def file(self, written: Handed, name: str) -> Path:
        """Moves a result to ``name`` (relative to the data folder, with ``/``); a file of that name is replaced."""
        place = locate(self._box.folder, name)
        try:
            _make_folders(self._box.folder, PurePosixPath(name).parent)
            written.path.replace(place)
            self._step("jobs.file.moved")
            sync(place.parent)
        except OSError as e:
            raise RetryLater(f"{name}: can't be put there: {e.strerror}", after_s=60 if e.errno in _NO_ROOM else 1) from e
        return place

    def table(self, written: Handed, name: str, run_id: int) -> None:
        """The result becomes the table ``name``: a query sees the one before or this one, whole. The file before stays for those
        that read it; older ones go."""
        if fold(name) in self._box.state.streams:
            raise JobFailed(f"there is a stream {name!r}: a table needs a name of its own", may_retry=False)
        folder = f"{TABLES}/{folder_name(name)}"
        columns = tuple((field.name, sql_type(field.type)) for field in written.schema)
        entry = TableEntry(
            name=name,
            path=f"{folder}/{run_id}.parquet",
            rows=written.rows,
            bytes=written.bytes,
            sha256=_sha256(written.path),
            columns=columns,
            made_us=self._box.clock.now_us(),
            run_id=run_id,
        )
        self.file(written, entry.path)
        self._step("jobs.table.moved")

        def register(committer: Committer) -> TableEntry | None:
            store = committer.store
            before = job_tables.load_tables(store.connection).get(fold(name))
            with store.transaction():
                job_tables.put_table(store.connection, entry)
            return before

        before = self._box.writer.call(register).result()
        self._step("jobs.table.registered")
        kept = {PurePosixPath(entry.path).name, *(() if before is None else (PurePosixPath(before.path).name,))}
        for file in locate(self._box.folder, folder).glob("*.parquet"):
            if file.name not in kept and file.stem.isdigit():
                file.unlink(missing_ok=True)

    def staged(self, run_id: int) -> Path | None:
        """The result of a run that was under way as the service ended, whole; None: there is none."""
        place = self._staged(run_id)
        return place if place.exists() else None

    def stage(self, written: Handed, run_id: int) -> Path:
        """Keeps a result until all of it is in a stream, over a restart."""
        place = self.file(written, f"{STAGED}/{self._staged(run_id).name}")
        self._step("jobs.stream.staged")
        return place

    def is_in(self, stream: str, run_id: int) -> bool:
        """Whether all of a run's records are in the stream; what was kept for them goes then."""
        known = self._box.file_progress(_digest(run_id), stream)
        if known is None or not known.done:
            return False
        self._staged(run_id).unlink(missing_ok=True)
        return True

    def stream(self, file: Path, stream: str, name: str, run_id: int, *, is_cancelled: Callable[[], bool]) -> int:
        """Each record of ``file`` goes through the door once, whatever ends this process meanwhile; how many went in now.

        Raises ``RetryLater`` where the door takes nothing: the next attempt goes on behind what was taken.
        """
        known = self._box.file_progress(_digest(run_id), stream)
        start = 0 if known is None else known.position_next
        options = self._box.config.stream(stream)

        def schema() -> Schema | None:
            state = self._box.state.get(stream)
            return None if state is None else state.schema

        taken, submit = 0, self._box.door.submit_blocking
        with file.open("rb") as opened:
            target = Target(stream=stream, clock=self._box.clock, tags=options.tags, schema=schema)
            position = start
            for piece in read_parquet(opened, target, start=start, bytes_max=_NO_LIMIT):
                if is_cancelled():
                    return taken
                progress = self._progress(run_id, name, file, piece.position_next, stream)
                receipt = submit(Submission(f"job:{name}", Format.JSONL, piece.batches, piece.rejects, progress))
                taken, position = taken + receipt.records, piece.position_next
                self._step("jobs.stream.piece")
            progress = self._progress(run_id, name, file, position, stream, done=True)
            submit(Submission(f"job:{name}", Format.JSONL, progress=progress))
        self._step("jobs.stream.taken")
        file.unlink(missing_ok=True)
        return taken

    def _progress(self, run_id: int, name: str, file: Path, position: int, stream: str, *, done: bool = False) -> FileProgress:
        return FileProgress(_digest(run_id), f"job {name}, run {run_id}", file.stat().st_size, position, done, stream)

    def tidy(self, open_ids: Iterable[int]) -> None:
        """Removes what runs have left that are over."""
        wanted = {self._staged(i) for i in open_ids}
        for file in (self._box.folder / STAGED).glob("run-*-for-stream.parquet"):
            if file not in wanted:
                file.unlink(missing_ok=True)

    def _staged(self, run_id: int) -> Path:
        return self._box.folder / STAGED / f"run-{run_id}-for-stream.parquet"


def _digest(run_id: int) -> str:
    """The name under which it is remembered how far the records of a run are in: not by content, since two runs may give the same."""
    return f"job-run-{run_id}"


def _make_folders(root: Path, folder: PurePosixPath) -> None:
    """Each part exists for good."""
    here = root
    for part in folder.parts:
        parent, here = here, here / part
        if not here.is_dir():
            here.mkdir()
            sync(parent)


def _sha256(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_HASH_BYTES):
            found.update(piece)
    return found.hexdigest()
