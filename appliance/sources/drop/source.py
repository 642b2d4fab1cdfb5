"""The loop over the inbox: look, let files settle, take them one by one, move them away.

Its thread is the only one that touches the inbox. The regular look at the whole folder is the truth; inotify only wakes it sooner,
because its queue overflows and network mounts send nothing. While the door takes nothing, the loop stands in one file and waits.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from watchdog.events import DirMovedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from appliance.clock import Clock
from appliance.errors import ConfigRefused
from appliance.observe.status import SourceStatus
from appliance.options import DropSource
from appliance.sources.drop.inbox import DONE, FAILED, WORK, Found, Inbox
from appliance.sources.drop.settle import Settling
from appliance.sources.files import FileTaker, FileTask, Taken

log = logging.getLogger(__name__)
LOOK_NS_MIN = 100_000_000
"""Looks are at least this far apart, however many events come."""
SAID_MAX = 10_000


@dataclass(frozen=True, slots=True)
class _Totals:
    """What the source has done since the start."""

    files: int = 0
    duplicates: int = 0
    failed: int = 0
    records: int = 0
    rejected: int = 0


class DropFolder:
    """Source ``drop``: a folder whose files become records."""

    def __init__(self, options: DropSource, *, taker: FileTaker, data_dir: Path, clock: Clock) -> None:
        self._options = options
        self._taker = taker
        self._clock = clock
        self._inbox = Inbox(data_dir / options.folder)
        self._settling = Settling(settle_ns=int(options.settle_s * 1e9))
        self._settling_claimed = Settling(settle_ns=int(options.settle_s * 1e9))
        self._stopping = Event()
        self._wake = Event()
        self._thread = threading.Thread(target=self._run, name="drop")  # noqa: TID251 - its owner
        self._observer: Any = None
        self._totals = _Totals()
        self._current: str | None = None
        self._problem: str | None = None
        self._waiting: tuple[str, ...] = ()
        """What lies in the inbox and is not taken, each with the reason."""
        self._said: set[str] = set()
        self._prefixes: dict[tuple[str, str], tuple[int, ...]] = {}
        """Sizes at which files in ``.work`` were found to have grown."""

    def start(self) -> None:
        """Raises ``ConfigRefused`` when the folder can't be made or used."""
        try:
            self._inbox.prepare()
        except OSError as error:
            raise ConfigRefused(f"the drop folder {self._inbox.path} can't be used: {error.strerror}", key="source.folder") from error
        self._watch()
        self._thread.start()

    def stop(self) -> None:
        """A file under way is left where its last committed piece ends; the next start goes on there."""
        self._stopping.set()
        self._wake.set()
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
        if self._thread.ident is not None:
            self._thread.join()

    def status(self) -> SourceStatus:
        totals, problem = self._totals, self._problem or self._taker.waiting
        parts = [str(self._inbox.path), f"{totals.files} files taken"]
        parts += [f"{totals.duplicates} known already"] if totals.duplicates else []
        parts += [f"{totals.failed} in failed/"] if totals.failed else []
        parts += [f"taking {self._current}"] if self._current else []
        parts += [problem] if problem else []
        parts += [f"{len(self._waiting)} left: {self._waiting[0]}"] if self._waiting else []
        state = "failed" if not self._thread.is_alive() or self._problem else "paused" if self._taker.waiting else "ok"
        return SourceStatus(f"drop:{self._options.folder}", "drop", state, "; ".join(parts), totals.records, totals.rejected, 0)

    # --- the loop

    def _run(self) -> None:
        while not self._stopping.is_set():
            started_ns = self._clock.monotonic_ns()
            self._wake.clear()
            try:
                self._round(started_ns)
                self._problem = None
            except OSError as error:
                self._problem = f"the folder can't be read: {error.strerror}"
                self._say(f"drop folder {self._inbox.path}: {error.strerror}; it is tried again every {self._options.rescan_s:g} s")
            self._wait(started_ns)

    def _wait(self, started_ns: int) -> None:
        """Until something happens, a file can have settled, or it is time to look again anyhow."""
        until_ns = started_ns + int(self._options.rescan_s * 1e9)
        for settled_ns in (self._settling.next_ns, self._settling_claimed.next_ns):
            until_ns = until_ns if settled_ns is None else min(until_ns, settled_ns)
        self._stopping.wait(max(0.0, (started_ns + LOOK_NS_MIN - self._clock.monotonic_ns()) / 1e9))
        self._wake.wait(max(0.0, (until_ns - self._clock.monotonic_ns()) / 1e9))

    def _round(self, now_ns: int) -> None:
        """One look, and everything that can be taken after it."""
        if not self._inbox.path.is_dir():
            self._inbox.prepare()
        waiting: list[str] = []
        for found in self._settling_claimed.look(self._inbox.leftovers(), now_ns=now_ns):
            self._take(found, waiting, claimed=True)
        look = self._inbox.look()
        waiting += look.left
        for found in self._settling.look(look.files, now_ns=now_ns):
            if self._stopping.is_set():
                return
            self._take(found, waiting)
        self._waiting = tuple(waiting)
        for text in waiting:
            self._say(f"drop folder: {text}")
        if len(self._said) > SAID_MAX:
            self._said.clear()

    def _take(self, found: Found, waiting: list[str], *, claimed: bool = False) -> None:
        """One file that stands still, from the inbox (or ``.work/``) to ``done/`` or ``failed/``."""
        try:
            if found.wrong is not None:
                self._fail(found, Taken("refused", found.wrong), claimed=claimed)
                return
            if self._inbox.is_being_written(found, claimed=claimed):
                waiting.append(f"{found.label}: another process has it open for writing")
                return
            if not claimed:
                self._inbox.claim(found)
            self._current = found.label
            self._finish(found, self._records_of(found))
        except FileNotFoundError:
            return
        except OSError as error:
            waiting.append(f"{found.label}: {error.strerror}; it is tried again")
        finally:
            self._current = None

    def _records_of(self, found: Found) -> Taken:
        """Raises ``OSError`` when the file can't be read."""
        prefixes = (*self._inbox.done_sizes(found), *self._prefixes.pop(found.key, ()))
        task = FileTask(name=found.label, source=f"drop:{found.label}", stream=found.folder or None, prefixes=prefixes)
        with self._inbox.open_claimed(found) as file:
            try:
                return self._taker.take(file, task, stopping=self._stopping)
            except (OSError, MemoryError):
                raise
            except Exception as error:
                log.exception("a defect of the appliance, met in the file %s", found.label)
                return Taken("refused", f"a defect of the appliance, please report it: {type(error).__name__}: {error}")

    def _finish(self, found: Found, taken: Taken) -> None:
        self._totals = replace(
            self._totals,
            files=self._totals.files + (taken.outcome == "taken"),
            duplicates=self._totals.duplicates + (taken.outcome == "duplicate"),
            records=self._totals.records + taken.records,
            rejected=self._totals.rejected + taken.rejected,
        )
        if taken.outcome in ("taken", "duplicate"):
            self._inbox.to_done(found)
            log.info("%s: %s", found.label, taken.reason or f"{taken.records} records, {taken.rejected} refused")
        elif taken.outcome == "refused":
            self._fail(found, taken, claimed=True)
        elif taken.outcome == "changed":
            self._prefixes[found.key] = (taken.size,)
            self._say(f"{found.label}: {taken.reason}")

    def _fail(self, found: Found, taken: Taken, *, claimed: bool) -> None:
        text = f"{taken.reason}\n{taken.records} records taken, {taken.rejected} refused\n"
        self._inbox.to_failed(found, text, claimed=claimed)
        self._totals = replace(self._totals, failed=self._totals.failed + 1)
        log.warning("%s is in %s/: %s", found.label, FAILED, taken.reason)

    def _say(self, text: str) -> None:
        """Once for as long as it is remembered."""
        if text not in self._said:
            self._said.add(text)
            log.warning("%s", text)

    # --- hints

    def _watch(self) -> None:
        observer = Observer()
        observer.schedule(_Hints(self._inbox.path, self._wake), str(self._inbox.path), recursive=True)
        try:
            observer.start()
        except OSError as error:
            every = f"{self._options.rescan_s:g} s"
            self._say(f"drop folder {self._inbox.path}: no file events ({error.strerror}); it is looked at every {every}")
            return
        self._observer = observer


class _Hints(FileSystemEventHandler):
    """Wakes the loop when a file of somebody else's was closed, created or moved in."""

    def __init__(self, path: Path, wake: Event) -> None:
        self._ours = tuple(f"{path / name}/" for name in (WORK, DONE, FAILED))
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type not in ("created", "closed", "moved") or isinstance(event, DirMovedEvent):
            return
        places = (str(event.src_path), str(event.dest_path or ""))
        if not any(place.startswith(self._ours) for place in places):
            self._wake.set()
