"""The meters of a running service: looks every few seconds, stores once a minute. Owns one task on the event loop; it works in a thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import closing
from typing import Final

from appliance.alerting.alerting import Alerting
from appliance.alerting.budget_rule import GRACE_US, RULE, follow_budgets, missed_budgets
from appliance.background import said_if_failed
from appliance.box import Box
from appliance.clock import US_PER_S
from appliance.config import Config
from appliance.door.commit import Committer
from appliance.errors import ApplianceError
from appliance.hot.alerts.book import Counts
from appliance.hot.alerts.draft import Draft
from appliance.hot.meter_tables import load_costs, load_latencies, save
from appliance.metering.process import OwnProcess, RuleShares
from appliance.observe.budgets import budgets_of, verdicts
from appliance.observe.costs import INGEST, Spent, total
from appliance.observe.histogram import Histogram
from appliance.observe.status import Problem
from appliance.observe.tiers import Entry, Key
from appliance.roll.keeper import Keeper

log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 5.0
SAVE_EVERY_NS: Final = 60_000_000_000
PENDING_MAX: Final = 10_000
"""Rows that wait for a disk that is full; the oldest are given up."""
STORED_S: Final = 30.0


class Meters:
    """See the module. ``box.latencies`` and ``box.costs`` are what it stores and watches."""

    def __init__(self, box: Box, config: Config, *, alerting: Alerting, keeper: Keeper, grace_us: int | None = None) -> None:
        """Blocks for what was stored. ``grace_us``: how long after now no budget is looked at; None: as long as alerts wait, at least
        ``GRACE_US``."""
        self._box = box
        self._clock = box.clock
        self._alerting = alerting
        self._keeper = keeper
        self._rules = RuleShares()
        self._process = OwnProcess()
        self._rolled = Spent()
        self._budgets = budgets_of(config.all_workloads)
        self._latencies: list[Entry[Histogram]] = []
        self._costs: list[Entry[Spent]] = []
        self._saved_ns = self._looked_ns = self._clock.monotonic_ns()
        grace_us = max(GRACE_US, round(config.alerts.grace_s * US_PER_S)) if grace_us is None else grace_us
        self._looks_from_ns = self._saved_ns + grace_us * 1000
        self._task: asyncio.Task[None] | None = None
        with closing(box.reader()) as reader:
            now_us = self._clock.now_us()
            box.latencies.load(load_latencies(reader), now_us=now_us)
            box.costs.load(load_costs(reader), now_us=now_us)

    @property
    def budgets(self) -> Mapping[Key, float]:
        """By workload and stage, ms."""
        return self._budgets

    def configure(self, config: Config) -> None:
        """From now on the budgets of these workloads; from any thread."""
        self._budgets = budgets_of(config.all_workloads)

    def start(self) -> None:
        """Begins; on the event loop."""
        self._task = asyncio.get_running_loop().create_task(self._look_always())

    async def stop(self) -> None:
        """Ends, with everything stored that was noted so far. Before the writer ends."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._store, is_last=True)

    def problems(self) -> tuple[Problem, ...]:
        """Budgets that are missed; from any thread."""
        return tuple(
            Problem(
                "WARN",
                f"{v.key[0]} takes longer than it may: {v.key[1]} within {v.budget_ms:,.0f} ms",
                0,
                f"p99 of a minute was {v.p99_ms:,.0f} ms; appliance cost says what uses the machine",
            )
            for v in missed_budgets(self._alerting.processor.book)
        )

    def look(self) -> None:
        """Shares out what the process has used since the last look, and holds latencies against their budgets. Blocks."""
        self._share_out()
        if self._clock.monotonic_ns() >= self._looks_from_ns:
            self._watch()

    async def _look_always(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await asyncio.to_thread(self.look)
                if self._clock.monotonic_ns() - self._saved_ns >= SAVE_EVERY_NS:
                    await asyncio.to_thread(self._store)
            except Exception:  # a defect here must end neither the meters nor the service
                log.exception("latency and cost could not be looked at, by a defect")

    def _share_out(self) -> None:
        now_us, costs = self._clock.now_us(), self._box.costs
        rules = self._rules.since_last(self._alerting.processor)
        for name, spent in rules.items():
            costs.note(name, "hot", spent, at_us=now_us)
        before, self._rolled = self._rolled, self._keeper.spent
        rolled = minus(self._rolled, before)
        if rolled.runs:
            costs.note("_roll", "cold", rolled, at_us=now_us)
        now_ns = self._clock.monotonic_ns()
        watched_s, self._looked_ns = (now_ns - self._looked_ns) / 1e9, now_ns
        hybrid = [item for ask in costs.inside for item in ask().items()]
        for name, spent in hybrid:
            costs.note(name, "hybrid", spent, at_us=now_us)
        others = total([*rules.values(), rolled, *(spent for _, spent in hybrid)])
        costs.note(INGEST, "hot", self._process.since_last(others, watched_s=watched_s), at_us=now_us)

    def _watch(self) -> None:
        now_us = self._clock.now_us()
        budgets = self._budgets
        found = verdicts(budgets, self._box.latencies.histograms("minute", now_us=now_us))
        processor = self._alerting.processor
        if any(v.is_missed for v in found) or processor.book.counts(RULE) != Counts():

            def run(draft: Draft) -> None:
                follow_budgets(draft, found, budgets=budgets, now_us=draft.now_us)

            processor.call(run)

    def _store(self, *, is_last: bool = False) -> None:
        """What can't be stored now waits for the next time."""
        now_us = self._clock.now_us()
        if is_last:
            self._share_out()
        self._saved_ns = self._clock.monotonic_ns()
        self._latencies = [*self._latencies, *self._box.latencies.unsaved(now_us, is_last=is_last)][-PENDING_MAX:]
        self._costs = [*self._costs, *self._box.costs.unsaved(now_us, is_last=is_last)][-PENDING_MAX:]
        if not self._latencies and not self._costs:
            return
        latencies, costs, budgets = self._latencies, self._costs, dict(self._budgets)

        def run(committer: Committer) -> None:
            with committer.store.transaction():
                save(committer.store.connection, latencies, costs, budgets=budgets, now_us=now_us)

        stored = self._box.writer.call(run)
        try:
            stored.result(STORED_S)
        except TimeoutError:  # it is in the writer's hands, which comes to it
            said_if_failed(stored, "the storing of latency and cost")
        except ApplianceError as e:
            log.warning("latency and cost can't be stored now: %s", e)
            return
        self._latencies, self._costs = [], []


def minus(now: Spent, before: Spent) -> Spent:
    """What was spent between two sums."""
    return Spent(
        now.cpu_s - before.cpu_s,
        now.read - before.read,
        now.written - before.written,
        now.rows - before.rows,
        now.memory,
        now.notifications - before.notifications,
        now.runs - before.runs,
    )
