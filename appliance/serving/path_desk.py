"""Which path each workload of the config runs on: decided by the rules, stored, asked by whoever carries workloads out and by people.

The desk is the only one who decides. It decides when the config is put in force, and looks once a minute whether what was measured
asks for another path. What it has decided is stored, so that a restart finds it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from threading import Lock
from typing import Any, Final

from appliance.clock import Clock
from appliance.config import Config
from appliance.door.commit import Committer
from appliance.errors import RetryLater
from appliance.hot import placements
from appliance.hot.placements import Placed
from appliance.hot.reader import HotReader
from appliance.need_options import NeedsOptions
from appliance.observe.paths import MoveRow, PathsPicture
from appliance.paths.budgets import budget_ms
from appliance.paths.defaults import RUNS_ON, kind_of, needs_of
from appliance.paths.needs import Path
from appliance.paths.placing import Measured, Placement, Setting, place
from appliance.serving.path_figures import Meters
from appliance.serving.path_rows import counts, need_rows, path_row

log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 60.0
MOVES_SHOWN: Final = 5
"""Of each workload."""


class PathDesk:
    """See the module. Every call may take its time (a commit) but ``path_of``; from any thread."""

    def __init__(
        self,
        *,
        call: Callable[[Callable[[Committer], Any]], Future[Any]],
        reader: Callable[[], AbstractContextManager[HotReader]],
        meters: Meters,
        clock: Clock,
    ) -> None:
        """Blocks for the hot store. ``call`` runs something in the writer's thread."""
        self._call = call
        self._meters = meters
        self._clock = clock
        self.on_move: Callable[[str, Path], None] = lambda _name, _path: None
        """Told of each workload that has moved by itself; from any thread."""
        self._lock = Lock()
        self._config: Config | None = None
        self._stopped = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        with reader() as looked:
            self._placed: Mapping[str, Placed] = placements.load_placements(looked)
            self._moves: Sequence[MoveRow] = placements.load_moves(looked)
        self._stored: Mapping[str, Placed] = self._placed
        self._unsaved: Sequence[MoveRow] = []

    def path_of(self, name: str) -> Path:
        """Where a workload of the config in force runs. Raises ``KeyError`` for any other name."""
        return self._placed[name].placement.path

    def configure(self, config: Config) -> Sequence[MoveRow]:
        """From now on the workloads of this config; those that have moved."""
        with self._lock:
            self._config = config
            return self._decide(config, "config")

    def reload(self, config: Config) -> list[str]:
        """As ``configure``; what has moved, in words."""
        return [said(move) for move in self.configure(config)]

    def look(self) -> Sequence[MoveRow]:
        """Whether what was measured asks for another path; those that have moved by it."""
        with self._lock:
            moved = () if self._config is None else self._decide(self._config, "measured")
        for move in moved:
            log.info("%s", said(move))
            self.on_move(move.name, self.path_of(move.name))
        return moved

    def start(self) -> None:
        """Looks once a minute from now on; on the event loop."""
        self._watch = asyncio.get_running_loop().create_task(self._watching(), name="paths")

    async def stop(self) -> None:
        """Looks no more."""
        if self._watch is not None:
            self._stopped.set()
            await self._watch

    def picture(self) -> PathsPicture:
        """Which workload runs where, and how it does there."""
        now_us, config = self._clock.now_us(), self._config
        moves = "propose" if config is None else config.paths.moves
        figures = self._meters.look(now_us)
        rows = tuple(
            path_row(p, figures.of(p), [m for m in self._moves if m.name == p.name][:MOVES_SHOWN], moves_are=moves)
            for p in self._placed.values()
        )
        return PathsPicture(at_us=now_us, moves=moves, rows=rows, counts=counts(rows))

    async def _watching(self) -> None:
        while not self._stopped.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), LOOK_EVERY_S)
                return
            try:
                await asyncio.to_thread(self.look)
            except Exception:  # a defect must not end the looks for good: paths stay as they are meanwhile
                log.exception("the paths of workloads could not be looked at, by a defect")

    def _decide(self, config: Config, cause: str) -> Sequence[MoveRow]:
        """Places every workload anew, and stores what has changed."""
        now_us = self._clock.now_us()
        figures = self._meters.look(now_us)
        before = self._placed
        now: dict[str, Placed] = {}
        for name, options in config.all_workloads.items():
            known = before.get(name)
            measured = Measured() if known is None else figures.of(known).measured
            now[name] = _placed(name, options, config, measured, before=known, now_us=now_us)
        moves = [
            _move(now[name], known, cause, now_us)
            for name, known in before.items()
            if name in now and now[name].placement.path != known.placement.path
        ]
        self._placed, self._moves = now, (*moves, *self._moves)[: placements.MOVES_MAX]
        self._unsaved = [*self._unsaved, *moves][-placements.MOVES_MAX :]
        self._store()
        return moves

    def _store(self) -> None:
        """What is not stored as it is now. On a full disk it is tried again at the next look, and holds until the end of the process."""
        changed = [p for name, p in self._placed.items() if self._stored.get(name) != p]
        gone = [name for name in self._stored if name not in self._placed]
        moves = self._unsaved
        if not (changed or gone):
            return

        def run(committer: Committer) -> None:
            with committer.store.transaction():
                connection = committer.store.connection
                placements.drop_placements(connection, gone)
                placements.put_placements(connection, changed)
                if moves:
                    placements.add_moves(connection, moves)

        try:
            self._call(run).result()
        except RetryLater as e:
            log.warning("the paths of workloads are not stored: %s", e)
            return
        self._stored, self._unsaved = self._placed, []


def said(move: MoveRow) -> str:
    """A move in one line."""
    return f"{move.kind} {move.name} moves from {move.moved_from} to {move.path}: {move.reason}"


def _placed(name: str, options: NeedsOptions, config: Config, measured: Measured, *, before: Placed | None, now_us: int) -> Placed:
    kind, needs = kind_of(options), needs_of(name, options)
    runs_on = RUNS_ON[kind]
    was = before.placement if before is not None and before.kind == kind else None
    setting = Setting(runs_on=runs_on, moves=config.paths.moves, hot_records_max=config.roll.rows_max)
    placement = place(needs, measured, setting, before=was, now_us=now_us)
    rows = need_rows(options, needs)
    if before is not None and was is not None and before.needs == rows and _bare(was) == _bare(placement):
        placement = was  # only measured figures in its words are others: not worth a write each minute
    placed = Placed(
        name=name,
        kind=kind,
        placement=placement,
        runs_on=runs_on,
        needs=rows,
        budget_ms=budget_ms(kind, needs),
        since_us=now_us,
    )
    if was is None or before is None:
        return placed
    if was.path == placement.path:
        return replace(placed, since_us=before.since_us, moved_from=before.moved_from)
    return replace(placed, moved_from=was.path)


def _bare(placement: Placement) -> Placement:
    """Without words."""
    wanted = placement.wanted
    return replace(placement, reason="", wanted=None if wanted is None else replace(wanted, reason=""))


def _move(placed: Placed, before: Placed, cause: str, now_us: int) -> MoveRow:
    at = placed.placement
    return MoveRow(
        at_us=now_us,
        name=placed.name,
        kind=placed.kind,
        moved_from=before.placement.path,
        path=at.path,
        rule=at.rule,
        reason=at.reason,
        cause=cause,
    )
