"""Budgets of the paths: what they make of other options, and how much of them is left. Pure.

Memory and threads are kept by limits that the processes are started with (``within_budgets``); CPU and I/O by standing still as soon as
more was used than has been given until then (``Bucket``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from appliance.config import BatchOptions, CompactOptions, Config, JobOptions, QueryOptions
from appliance.options import ColdBudget, HybridBudget
from appliance.units import MIB

PROCESS_MIN: Final = 64 * MIB
"""Below this much memory a process of queries or batch work can't do its work."""
BURST_S: Final = 1.0
"""What was not used may be used later, for at most so long."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """What may be used of something that is given at a steady rate."""

    rate: float
    """A second."""
    level: float = 0.0
    """What is left; below 0: so much too much was used."""

    @property
    def is_overdrawn(self) -> bool:
        """Whether nothing more may be used until some has been given."""
        return self.level < 0

    def after(self, used: float, elapsed_s: float) -> Bucket:
        """When ``used`` was used in a time in which ``rate * elapsed_s`` was given; more than ``BURST_S`` of it is not kept."""
        return Bucket(self.rate, min(self.rate * BURST_S, self.level + self.rate * elapsed_s) - used)


def within_budgets(config: Config) -> Config:
    """The same config with the limits of queries, batch work and compaction cut down to what their paths may have."""
    cold, hybrid = config.budget.cold, config.budget.hybrid
    batch, compact = _batch(config.batch, config.compact, cold)
    return msgspec.structs.replace(
        config,
        batch=batch,
        compact=compact,
        query=_query(config.query, hybrid),
        workloads={name: _job(options, batch, cold) for name, options in config.workloads.items()},
    )


def query_threads(config: Config) -> int | None:
    """Threads of each query, of those that the budget has for all; None: it says nothing."""
    threads = config.budget.hybrid.threads
    return None if threads is None else max(1, threads // config.query.workers_max)


def _batch(batch: BatchOptions, compact: CompactOptions, budget: ColdBudget) -> tuple[BatchOptions, CompactOptions]:
    """The compaction has its share of the memory where there is one."""
    change: dict[str, Any] = {}
    if budget.memory_bytes is not None:
        rest = int(compact.enabled)
        jobs = change["jobs_max"] = max(1, min(batch.jobs_max, budget.memory_bytes // PROCESS_MIN - rest))
        each = max(PROCESS_MIN, budget.memory_bytes // (jobs + rest))
        change["memory_max"] = min(batch.memory_max, each)
        compact = msgspec.structs.replace(compact, memory_max=min(compact.memory_max, each))
    if budget.threads is not None:
        jobs = change["jobs_max"] = min(change.get("jobs_max", batch.jobs_max), budget.threads)
        change["threads"] = min(batch.threads, budget.threads // jobs)
    return msgspec.structs.replace(batch, **change), compact


def _job(options: Any, batch: BatchOptions, budget: ColdBudget) -> Any:
    """A job's own limits are no way around the budget."""
    if not isinstance(options, JobOptions):
        return options
    change: dict[str, Any] = {}
    if options.memory_max is not None and budget.memory_bytes is not None:
        change["memory_max"] = min(options.memory_max, batch.memory_max)
    if options.threads is not None and budget.threads is not None:
        change["threads"] = min(options.threads, max(1, budget.threads // batch.jobs_max))
    return msgspec.structs.replace(options, **change)


def _query(query: QueryOptions, budget: HybridBudget) -> QueryOptions:
    change: Mapping[str, Any] = {}
    workers = query.workers_max
    if budget.threads is not None:
        workers = min(workers, budget.threads)
    if budget.memory_bytes is not None:
        workers = max(1, min(workers, budget.memory_bytes // PROCESS_MIN))
        change = {"memory_max": min(query.memory_max, max(PROCESS_MIN, budget.memory_bytes // workers))}
    return msgspec.structs.replace(query, workers_max=workers, **change)
