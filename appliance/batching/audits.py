"""Audits as scheduled work: evidence bundles below ``audits/``, each whole or not there, its seal in the box's chain and in a message.

A bundle is written by a process under the limits of the run, into a folder of a temporary name, and renamed when it is whole. What
it found wrong does not make the run fail: it is said. Steps for tests that stop there: ``audit.renamed``, ``audit.noted``.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from appliance.batch_options import AuditOptions, Priority
from appliance.batching import notices
from appliance.batching.notices import HandOver, Notice
from appliance.batching.program import own_program
from appliance.batching.work import Context, Limits, Outcome, Run, When, Work
from appliance.box import Box
from appliance.clock import US_PER_S
from appliance.cold.files import TMP_SUFFIX, sync
from appliance.config import Config
from appliance.door.commit import Committer
from appliance.hot.alerts.tables import durable
from appliance.names import folder_name
from appliance.reconcile.audit.order import Done, Order
from appliance.units import show_size

FOLDER: Final = "audits"
BY_ITSELF: Final = "the appliance"
RETRIES: Final = 2
WRONG_TOLD: Final = 20
_DATE_CHARS: Final = len("2026-11-21")


class Audits:
    """The audits of a running service, for its wiring."""

    def __init__(self, box: Box, *, step: Callable[[str], None], hand_over: HandOver) -> None:
        self.box = box
        self.step = step
        self.hand_over = hand_over
        self._read: dict[int, set[str]] = {}
        """Per run under way, the files that its process may read."""

    def works(self, config: Config) -> list[Work]:
        """For the queue."""
        return [AuditWork(name, o, config, self) for name, o in config.workloads.items() if isinstance(o, AuditOptions)]

    def leased(self) -> frozenset[str]:
        """Files that an audit reads now: they must stay. From any thread."""
        for paths in list(self._read.values()):
            paths |= self._live()
        return frozenset[str]().union(*self._read.values())

    def begin(self, run_id: int) -> None:
        """From now on what is live, or becomes it, stays readable."""
        self._read[run_id] = self._live()

    def end(self, run_id: int) -> None:
        """Of this run nothing has to stay."""
        self._read.pop(run_id, None)

    def _live(self) -> set[str]:
        return {s.path for stream in self.box.state.streams.values() for s in stream.segments}


class AuditWork:
    """One ``[workload.NAME]`` of kind ``audit``."""

    kind = "audit"
    priority: Priority = "low"
    limits: Limits | None = None
    retries = RETRIES

    def __init__(self, name: str, options: AuditOptions, config: Config, audits: Audits) -> None:
        self.name = name
        self.options = options
        self._node = config.node
        self._audits = audits
        self._root = audits.box.folder
        self._place = f"{FOLDER}/{folder_name(options.folder or name)}"

    @property
    def when(self) -> When:
        return When(schedule=self.options.schedule, after=self.options.after)

    @property
    def notify(self) -> Sequence[str]:
        return self.options.notify

    async def run(self, context: Context) -> Outcome:
        """Writes it, notes its seal, removes those whose time is over."""
        run = context.run
        today = datetime.fromtimestamp(run.due_us / US_PER_S, UTC).astimezone(ZoneInfo(self._node.timezone)).date()
        path = f"{self._place}/{today.isoformat()}.{run.id}"
        tmp = await asyncio.to_thread(self._prepare, run)
        self._audits.begin(run.id)
        try:
            context.progress(None, "hashing what lies in the lake")
            order = msgspec.json.encode(self._order(run, tmp))
            output = await context.runner.program(own_program("appliance.reconcile.audit.process"), input=order)
        finally:
            self._audits.end(run.id)
        done = msgspec.json.decode(output, type=Done)
        return await asyncio.to_thread(self._keep, run, done, tmp, path, today)

    def _order(self, run: Run, target: Path) -> Order:
        since_s = self.options.since_s
        return Order(
            data_dir=str(self._root),
            target=str(target),
            since_us=None if since_s is None else run.due_us - round(since_s * US_PER_S),
            until_us=run.due_us,
            silence_s=self.options.silence_s,
            author=BY_ITSELF,
            node=self._node.name,
            now_us=self._audits.box.clock.now_us(),
        )

    def _prepare(self, run: Run) -> Path:
        """The temporary folder of a run, not there yet; what dead runs of this audit have left goes, and so does what this run has made
        before it was cut short."""
        place = self._root / self._place
        place.mkdir(parents=True, exist_ok=True)
        for old in place.iterdir():
            is_own = _date_of(old) is not None and old.name.endswith(f".{run.id}")
            if is_own or old.name.endswith(TMP_SUFFIX):
                shutil.rmtree(old)
        return place / f"{run.id}{TMP_SUFFIX}"

    def _keep(self, run: Run, done: Done, tmp: Path, path: str, today: date) -> Outcome:
        tmp.rename(self._root / path)
        sync(self._root / self._place)
        self._audits.step("audit.renamed")
        self._note(run, done, path)
        self._audits.step("audit.noted")
        gone = self._expire(today)
        return Outcome(
            f"{path}: {_words(done)}; seal {done.seal}{f'; {gone} removed' if gone else ''}",
            rows=done.segments,
            parameters={"bundle": path},
        )

    def _note(self, run: Run, done: Done, path: str) -> None:
        """Its seal stands in the chain, and the channels get it."""
        now_us = self._audits.box.clock.now_us()
        title = f"audit {self.name}: " + ("something is not as it should be" if done.wrong else "all as it should be")
        text = "\n".join((f"{path}: {_words(done)}", f"seal {done.seal}", f"head {done.head}", *done.wrong[:WRONG_TOLD]))
        severity = "warning" if done.wrong else "info"
        told = [Notice(c, title, text, f"audit {self.name}", f"run {run.id}", now_us, severity) for c in self.options.notify]

        def write(committer: Committer) -> list[int]:
            with durable(committer.store.connection), committer.store.transaction():
                committer.store.chain.add("audit", {"bundle": path, "seal": done.seal, "head": done.head, "wrong": len(done.wrong)})
                return notices.put(committer.store.connection, told)

        self._audits.hand_over(self._audits.box.writer.call(write).result())

    def _expire(self, today: date) -> int:
        """Removes bundles over their age; how many."""
        if self.options.keep_s is None:
            return 0
        oldest = today - timedelta(seconds=self.options.keep_s)
        old = [f for f in (self._root / self._place).iterdir() if (day := _date_of(f)) is not None and day < oldest]
        for folder in old:
            shutil.rmtree(folder)
        return len(old)


def _date_of(folder: Path) -> date | None:
    """Of a bundle's folder; None: it is none."""
    day, _, number = folder.name.partition(".")
    try:
        return date.fromisoformat(day) if len(day) == _DATE_CHARS and number.isdecimal() else None
    except ValueError:
        return None


def _words(done: Done) -> str:
    wrong = len(done.wrong)
    verdict = (
        "all as it should be" if not wrong else f"{wrong} {'things are' if wrong > 1 else 'thing is'} not as it should be: {done.wrong[0]}"
    )
    return f"{done.segments} segments ({show_size(done.bytes)}), {done.entries} entries of the chain, {done.gaps} gaps; {verdict}"
