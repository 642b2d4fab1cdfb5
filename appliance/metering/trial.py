"""What a workload would cost on another path: its own query run on recent data, once on each side, and measured. On the event loop.

One run is taken for a day by how often it has to be made there for the answer to be as fresh as the workload needs it: on the hot path
as often as its freshness says, over hot records alone; on the cold path at most once a minute, over everything; as a hybrid
the tail over hot records as often as its freshness says, and everything as often as its staleness allows.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import msgspec

from appliance.config import AlertOptions, Config, JobOptions, NeedsOptions, ViewOptions
from appliance.errors import UsageRefused
from appliance.observe.meters import Trial, TrialSide
from appliance.paths.defaults import kind_of, needs_of
from appliance.paths.needs import Needs, Path
from appliance.paths.rules import PROMISED_S
from appliance.serving.explain import Explain
from appliance.serving.queries import Queries
from appliance.serving.question import Question
from appliance.serving.usage import Usage

WORKLOAD: Final = "_trial"
STORED_EVERY_S: Final = 300.0
"""How often the stored part of a hybrid is made anew where the workload's staleness doesn't ask for more."""
DAY_S: Final = 86_400.0
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Run:
    """One run, measured."""

    ms: float
    cpu_s: float
    rows: int
    read_bytes: int


async def try_workload(name: str, config: Config, queries: Queries, *, path: str, now_us: int) -> Trial:
    """``path``: where it runs. Raises ``UsageRefused`` for what has no query that stands for itself, ``QueryRefused`` and the like where
    it fails."""
    options = config.workloads.get(name)
    if options is None:
        raise UsageRefused(f"there is no workload {name!r}; there are: {', '.join(config.workloads) or 'none'}")
    sql = sql_of(options)
    if sql is None:
        raise UsageRefused(
            f"{name} ({kind_of(options)}) can't be tried: it has no query that stands for itself;"
            f" what it costs where it runs is in: appliance cost --since 1d"
        )
    await _run(queries, sql, "hot")  # the first one may have to start a process
    hot, cold = await _run(queries, sql, "hot"), await _run(queries, sql, "merged")
    needs = needs_of(name, options)
    return Trial(workload=name, at_us=now_us, path=path, sides=sides_of(needs, hot, cold, path=path), notes=tuple(_notes(hot, cold)))


def sql_of(options: NeedsOptions) -> str | None:
    """The query of a workload, as it could be asked by hand; None: it has none, or one with parameters."""
    found = options.sql if isinstance(options, AlertOptions | JobOptions | ViewOptions) else getattr(options, "sql", None)
    if not isinstance(found, str) or ":day" in found:
        return None
    return found


def sides_of(needs: Needs, hot: Run, cold: Run, *, path: str) -> tuple[TrialSide, ...]:
    """Hot, cold and hybrid, from one run over hot records and one over everything. Pure."""
    fresh_s = max(needs.freshness_s, PROMISED_S["hot"])
    scheduled_s = max(needs.freshness_s, PROMISED_S["cold"])
    stored_s = max(needs.staleness_s, STORED_EVERY_S)
    often, scheduled, stored = DAY_S / fresh_s, DAY_S / scheduled_s, DAY_S / stored_s
    whole = Run(hot.ms, hot.cpu_s, hot.rows + cold.rows, hot.read_bytes + cold.read_bytes)
    return (
        _side("hot", hot, often, hot.cpu_s * often, f"over hot records, every {fresh_s:g} s", path),
        _side("cold", cold, scheduled, cold.cpu_s * scheduled, f"over everything, every {scheduled_s:g} s", path),
        _side(
            "hybrid",
            whole,
            often,
            hot.cpu_s * often + cold.cpu_s * stored,
            f"hot records every {fresh_s:g} s, everything every {stored_s:g} s",
            path,
        ),
    )


def _side(name: Path, run: Run, runs_day: float, cpu_s_day: float, how: str, path: str) -> TrialSide:
    return TrialSide(
        path=name,
        is_current=name == path,
        ms=round(run.ms, 2),
        cpu_s=round(run.cpu_s, 5),
        rows=run.rows,
        read_bytes=run.read_bytes,
        runs_day=round(runs_day, 1),
        cpu_s_day=round(cpu_s_day, 2),
        how=how,
    )


async def _run(queries: Queries, sql: str, side: str) -> Run:
    used: list[Usage] = []
    question = Question(sql=sql, id=f"trial-{next(_numbers)}", path=side, views=False, explain=True, workload=WORKLOAD)
    result = await queries.run(question, on_usage=used.append)
    body = bytearray()
    try:
        async for piece in result:
            body += piece
    finally:
        await result.aclose()
    explain = msgspec.json.decode(bytes(body), type=Explain)
    spent = used[0] if used else Usage()
    ms = sum(p.ms for p in explain.parts if p.name != "worker")
    return Run(ms, spent.cpu_s, explain.records, spent.read_bytes)


def _notes(hot: Run, cold: Run) -> list[str]:
    if hot.rows >= cold.rows:
        return []
    return [f"hot holds {hot.rows:,} of the {cold.rows:,} records that the query looks at: run there, its answer knows no more"]
