"""Fills the one picture of the box (``Status``) from where the facts are; every surface shows this and nothing else.

Reads immutable state and counters; asks the disk for sizes. Safe to call from any thread; about 1 ms.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from appliance import __version__
from appliance.box import Box
from appliance.clock import US_PER_DAY, Clock, iso
from appliance.cold.beside import bytes_beside, hot_bytes
from appliance.door.door import ALL
from appliance.hot.state import StreamState
from appliance.hot.store import FILE_NAME
from appliance.observe.health import ladder_problem, level_of, sorted_problems
from appliance.observe.rates import HISTORY_S, rate_of
from appliance.observe.status import BudgetStatus, LakeStatus, LatencyStatus, Problem, SourceStatus, Status, StoreStatus, StreamStatus
from appliance.roll.keeper import KeeperStatus
from appliance.serving.ahead import ahead_of

CPU_WINDOW_NS = 10_000_000_000
DEAD_LETTER_NEW_US = 3600 * 1_000_000
DISK_WARN_SHARE = 0.1
FULL_SOON_US = 14 * US_PER_DAY
LETTERS_EVERY_US = 1_000_000
BESIDE_EVERY_US = 30_000_000
"""Between two looks at what lies beside segments: one asks the disk for each of them."""


class Board:
    """Collects; holds only what is needed for means over time."""

    def __init__(
        self,
        box: Box,
        *,
        clock: Clock,
        keeper: Callable[[], KeeperStatus],
        sources: Callable[[], tuple[SourceStatus, ...]],
        problems: Callable[[], tuple[Problem, ...]],
        queries_running: Callable[[], int],
        state: Callable[[], str],
        alerts: Callable[[], tuple[int, int]] = lambda: (0, 0),
        jobs: Callable[[], tuple[int, int, int]] = lambda: (0, 0, 0),
        budgets: Callable[[], tuple[BudgetStatus, ...]] = lambda: (),
    ) -> None:
        """``alerts`` counts those that fire and those that are pending; ``jobs`` runs that wait, runs under way and those that have
        failed for good since the start; ``budgets`` is what each path uses and may."""
        self._box = box
        self._clock = clock
        self._keeper = keeper
        self._sources = sources
        self._problems = problems
        self._queries = queries_running
        self._state = state
        self._alerts = alerts
        self._jobs = jobs
        self._budgets = budgets
        self._started_us = clock.now_us()
        self._cpu: list[tuple[int, float]] = []
        self._reader = box.reader()
        self._lock = Lock()
        self._since: dict[str, int] = {}
        self._letters: tuple[int, int, str | None] = (0, 0, None)
        self._letters_of = -1
        self._letters_us = 0
        self._beside: dict[str, int] = {}
        self._beside_us = -BESIDE_EVERY_US

    def status(self) -> Status:
        """The picture of now; whoever asks meanwhile waits."""
        with self._lock:
            return self._status()

    def _status(self) -> Status:
        box = self._box
        now_ns, now_us = self._clock.monotonic_ns(), self._clock.now_us()
        streams = tuple(self._stream(s, now_ns) for _, s in sorted(box.state.streams.items()))
        keeper = self._keeper()
        total = box.door.rates.history(ALL, at_ns=now_ns)
        letters, letters_new, letter = self._dead_letters(now_us)
        lake = self._lake(streams, keeper, now_us)
        ladder = box.ladder.status
        problems = sorted_problems(self._dated((*ladder_problem(ladder), *self._found(lake, keeper), *self._problems()), now_us))
        firing, pending = self._alerts()
        waiting, running, failed = self._jobs()
        return Status(
            as_of_us=now_us,
            node=box.config.node.name,
            version=__version__,
            data_dir=str(box.folder.absolute()),
            pid=os.getpid(),
            started_us=self._started_us,
            health=level_of(problems),
            state=self._state(),
            streams=streams,
            store=self._store(now_ns),
            lake=lake,
            ingest=box.door.latency.status(at_ns=now_ns),
            rate=rate_of(total),
            history=total,
            history_s=HISTORY_S,
            sources=self._sources(),
            dead_letters=letters,
            dead_letters_new=letters_new,
            last_dead_letter=letter,
            problems=problems,
            memory_bytes=resident_bytes(),
            cpu_share=self._cpu_share(now_ns),
            queries_running=self._queries(),
            alerts_firing=firing,
            alerts_pending=pending,
            jobs_waiting=waiting,
            jobs_running=running,
            jobs_failed=failed,
            ladder=ladder,
            budgets=self._budgets(),
        )

    def close(self) -> None:
        self._reader.close()

    def _stream(self, state: StreamState, now_ns: int) -> StreamStatus:
        book = self._box.committer.books.get(state.name.lower())
        history = self._box.door.rates.history(state.name, at_ns=now_ns)
        return StreamStatus(
            name=state.name,
            rate=rate_of(history),
            records=state.last_seq,
            hot_rows=state.hot_rows,
            cold_rows=state.cold_rows,
            segments=len(state.segments),
            bytes_cold=sum(s.bytes for s in state.segments),
            bytes_ring=sum(c.nbytes for c in state.ring),
            mark=state.mark,
            last_seq=state.last_seq,
            last_ts_us=None if book is None else book.last_ts_us,
            last_arrival_us=None if book is None else book.last_commit_us,
            dirty_days=len(state.dirty),
            columns=len(state.schema.columns) + 1,
            series=0 if book is None else len(book.series),
            history=history,
        )

    def _lake(self, streams: Sequence[StreamStatus], keeper: KeeperStatus, now_us: int) -> LakeStatus:
        box, disk = self._box, os.statvfs(self._box.folder)
        if now_us - self._beside_us >= BESIDE_EVERY_US or now_us < self._beside_us:
            self._beside_us, self._beside = now_us, bytes_beside(box.folder, box.state.streams.values())
        ahead = ahead_of(box.state, box.config, room_bytes=disk.f_bavail * disk.f_frsize, now_us=now_us, beside=self._beside)
        return LakeStatus(
            segments=sum(s.segments for s in streams),
            rows=sum(s.cold_rows for s in streams),
            bytes=sum(s.bytes_cold for s in streams),
            lost_segments=sum(len(s.lost) for s in box.state.streams.values()),
            last_roll_us=keeper.last_roll_us,
            next_roll_us=keeper.next_roll_us,
            rolling=keeper.rolling,
            compacting=keeper.compacting,
            disk_free_bytes=disk.f_bavail * disk.f_frsize,
            disk_total_bytes=disk.f_blocks * disk.f_frsize,
            bytes_per_day=ahead.bytes_per_day,
            full_us=ahead.full_us,
            trim_us=ahead.trim_us,
            eater=ahead.stream,
            kept_back=len(keeper.retention.kept),
            deletions=sum(len(s.deletions) for s in box.state.streams.values()),
            index_bytes=sum(self._beside.values()) + hot_bytes(box.folder),
        )

    def _store(self, now_ns: int) -> StoreStatus:
        box = self._box
        commit: LatencyStatus = box.writer.commit_latency.status(at_ns=now_ns)
        return StoreStatus(
            ring_bytes=box.ring.bytes,
            ring_bytes_max=box.ring.bytes_max,
            ring_rows=box.ring.rows,
            sqlite_bytes=size_of(box.folder / FILE_NAME),
            wal_bytes=size_of(box.folder / f"{FILE_NAME}-wal"),
            durability=box.config.hot.durability,
            commits=box.writer.commits,
            commit_ms_p99=commit.p99_ms,
            queue_bytes=box.door.inflight_bytes,
            queue_bytes_max=box.door.inflight_bytes_max,
        )

    def _found(self, lake: LakeStatus, keeper: KeeperStatus) -> list[Problem]:
        """What is degraded, as far as the state itself shows it."""
        found = []
        disk = self._box.door.disk_problem
        if disk is not None:
            found.append(Problem("CRIT", disk, 0, "records are refused until there is room"))
        elif lake.disk_free_bytes < lake.disk_total_bytes * DISK_WARN_SHARE:
            free = lake.disk_free_bytes >> 20
            found.append(Problem("WARN", f"the disk is nearly full: {free} MiB are free", 0, "make room, or shorten what is kept"))
        elif lake.full_us is not None and lake.full_us - self._clock.now_us() < FULL_SOON_US:
            what = f"the disk will be full on {iso(lake.full_us)[:10]}, most of it by stream {lake.eater}"
            found.append(Problem("WARN", what, 0, "set [retention] disk_max or the stream's keep, or make room"))
        for state in self._box.state.streams.values():
            hint = "restore it from a backup; appliance verify tells more"
            found += [Problem("CRIT", f"a segment is lost: {segment.describe()}", 0, hint) for segment in state.lost[:3]]
            if len(state.lost) > 3:
                found.append(Problem("CRIT", f"{len(state.lost)} segments of stream {state.name} are lost", 0, "see appliance verify"))
        if keeper.failure is not None:
            found.append(Problem("WARN", keeper.failure, 0, "it is tried again; records stay in the hot store meanwhile"))
        if self._box.door.slowed:
            found.append(Problem("WARN", f"less is taken in than comes: {self._box.door.slowed}", 0, "raise [budget.hot], or send less"))
        elif self._box.door.is_behind:
            found.append(
                Problem("WARN", "more comes in than can be written; sources are slowed", 0, "lower the rate, or use faster storage")
            )
        return found

    def _dated(self, problems: tuple[Problem, ...], now_us: int) -> tuple[Problem, ...]:
        """Each with the time since when it has been there."""
        since = {p.what: self._since.get(p.what, p.since_us or now_us) for p in problems}
        self._since = since
        return tuple(Problem(p.level, p.what, since[p.what], p.hint) for p in problems)

    def _dead_letters(self, now_us: int) -> tuple[int, int, str | None]:
        """Waiting, of the last hour, and the newest; asked again when something was committed, at most once a second."""
        commits = self._box.writer.commits
        if commits != self._letters_of and now_us - self._letters_us >= LETTERS_EVERY_US:
            self._letters_of, self._letters_us, self._letters = commits, now_us, self._read_letters(now_us)
        return self._letters

    def _read_letters(self, now_us: int) -> tuple[int, int, str | None]:
        rows: list[tuple[Any, ...]] = self._reader.execute(
            "SELECT (SELECT count(*) FROM dead_letter WHERE replayed_us IS NULL),"
            " (SELECT count(*) FROM dead_letter WHERE replayed_us IS NULL AND at_us > ?),"
            " (SELECT source || ': ' || reason FROM dead_letter WHERE replayed_us IS NULL ORDER BY id DESC LIMIT 1)",
            (now_us - DEAD_LETTER_NEW_US,),
        )
        return int(rows[0][0]), int(rows[0][1]), rows[0][2]

    def _cpu_share(self, now_ns: int) -> float:
        used = sum(os.times()[:2])
        self._cpu = [*[(at, cpu) for at, cpu in self._cpu if now_ns - at <= CPU_WINDOW_NS][-50:], (now_ns, used)]
        at, cpu = self._cpu[0]
        return (used - cpu) / ((now_ns - at) / 1e9) if now_ns > at else 0.0


def size_of(path: Path) -> int:
    """Bytes of a file; 0 when it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def resident_bytes() -> int:
    """Memory that this process holds; 0 where the system doesn't tell."""
    try:
        fields = Path("/proc/self/statm").read_text("ascii").split()
    except OSError:
        return 0
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
