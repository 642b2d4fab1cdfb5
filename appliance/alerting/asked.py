"""Rules that are asked in SQL: run in the query processes at most once a second, their answers handed to the processor.

Owned by the event loop. One question at a time for each rule; what it costs is shown with the rule. A question that fails puts the
rule's alerts into ERROR and is asked again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from appliance.alerting.rulebook import SQL_CLOCK, Rulebook
from appliance.alerting.sql_rule import SqlRule
from appliance.clock import Clock
from appliance.errors import ApplianceError, QueryCancelled, RetryLater, UsageRefused
from appliance.hot.alerts.book import Counts
from appliance.hot.alerts.draft import Draft
from appliance.hot.alerts.values import Instance, Phase
from appliance.hot.stream.processor import Processor
from appliance.hot.stream.values import FALSE, TRUE, Key, Scalar, Signal, What
from appliance.serving.http.context import Answers
from appliance.serving.question import Question

log = logging.getLogger(__name__)
ROWS_MAX: Final = 10_000
"""Alerts of one rule; a query that gives more is an error."""
EVERY_S: Final = 1.0


class Asked:
    """See the module. On the event loop."""

    def __init__(
        self,
        *,
        queries: Answers,
        processor: Processor[Any],
        clock: Clock,
    ) -> None:
        self._queries = queries
        self._processor = processor
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []
        self.rules: dict[str, SqlRule] = {}
        """By name; always the same mapping."""

    def configure(self, rulebook: Rulebook) -> None:
        """From now on these rules; on the event loop."""
        self.close()
        self.rules.clear()
        for name, parsed in rulebook.parsed.items():
            options = parsed.options
            if options.sql is not None:
                rule = SqlRule(name, options.sql, options.every_s or EVERY_S, rulebook.config.alerts.sql_time_max_s, options.by or ())
                self.rules[name] = rule
                self._tasks.append(asyncio.create_task(self._ask_always(rule)))

    def close(self) -> None:
        """Asks no more."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    async def _ask_always(self, rule: SqlRule) -> None:
        while True:
            start_ns = self._clock.monotonic_ns()
            try:
                await self._ask(rule)
            except RetryLater as e:  # the processor has ended: alerts stay as they are stored, and why is among its problems
                log.debug("the rule %s was not asked: %s", rule.name, e)
            except Exception as e:  # a defect must not end its questions for good; what fires goes on firing
                reason = f"it could not be asked, by a defect ({type(e).__name__}: {e}); the log says more"
                if rule.reason != reason:
                    log.exception("the rule %s could not be asked, by a defect", rule.name)
                rule.is_asked, rule.reason = True, reason
            end_ns = self._clock.monotonic_ns()
            rule.cost.add(end_ns - start_ns, at_ns=end_ns)
            self._processor.meter.note_asked(rule.name, (end_ns - start_ns) / 1e6)
            await asyncio.sleep(max(0.0, rule.every_s - (end_ns - start_ns) / 1e9))

    async def _ask(self, rule: SqlRule) -> None:
        """One question, and what its answer makes of the alerts as they are stored: what was there before a start counts too."""
        now_us = self._clock.now_us()
        found: dict[Key, Mapping[str, Scalar]] = {}
        try:
            rows = await self._rows(rule.sql, f"rule-{rule.name}", rule.time_max_s)
            found = {_key(row, rule.by): _values(row, rule.by) for row in rows}
            rule.reason = ""
        except ApplianceError as e:
            rule.reason = str(e)
        rule.is_asked, rule.firing = True, found
        reason = rule.reason

        def run(draft: Draft) -> None:
            instances = [i for i in draft.of_rule(rule.name) if i.phase is not Phase.OK]
            if reason:
                draft.apply([_error(rule.name, i.key, now_us, reason) for i in instances])
            else:
                draft.apply(_levels(rule.name, found, instances, now_us))
            draft.advance(SQL_CLOCK, now_us)

        if found or self._processor.book.counts(rule.name) != Counts():
            await asyncio.wrap_future(self._processor.call(run))

    async def _rows(self, sql: str, query_id: str, time_max_s: float) -> list[dict[str, Any]]:
        """The rows of a query. Raises what the query raises, ``QueryCancelled`` when it takes too long."""

        async def read() -> list[dict[str, Any]]:
            answer = await self._queries.run(Question(sql=sql, id=query_id, format="jsonl", workload=query_id.removeprefix("rule-")))
            body = bytearray()
            try:
                async for piece in answer:
                    body += piece
                    if len(body) > 64 * 1024 * 1024:
                        raise QueryCancelled("its answer is larger than 64 MiB")
            finally:
                await answer.aclose()
            return [msgspec.json.decode(line) for line in bytes(body).splitlines() if line]

        try:
            rows = await asyncio.wait_for(read(), time_max_s)
        except TimeoutError:
            raise QueryCancelled(f"the query took longer than {time_max_s:g} s") from None
        if len(rows) > ROWS_MAX:
            raise QueryCancelled(f"the query gives {len(rows):,} rows, more than {ROWS_MAX:,}")
        return rows


def _levels(rule: str, found: Mapping[Key, Mapping[str, Scalar]], instances: Iterable[Instance], now_us: int) -> Iterator[Signal]:
    """What the rows of a query say of the alerts that are not ok: what has no row any more is over."""
    known = {i.key: i for i in instances}
    for key, values in found.items():
        instance = known.get(key)
        if instance is None or instance.phase is not Phase.FIRING or instance.ending_us is not None:
            yield Signal(rule, key, What.LEVEL, now_us, now_us, None, TRUE, values)
    for key, instance in known.items():
        if key not in found:
            yield Signal(rule, key, What.LEVEL, now_us, now_us, None, FALSE, instance.values)


def _key(row: Mapping[str, Any], by: Sequence[str]) -> Key:
    """The columns of ``by``. Raises ``UsageRefused`` for one that the query does not give."""
    missing = [c for c in by if c not in row]
    if missing:
        raise UsageRefused(f"the query gives no column {missing[0]!r}, which by names; it gives {', '.join(row)}")
    return tuple(None if row.get(c) is None else str(row[c]) for c in by)


def _values(row: Mapping[str, Any], by: Sequence[str]) -> Mapping[str, Scalar]:
    return {name: v for name, v in row.items() if name not in by and isinstance(v, float | int | bool)}


def _error(rule: str, key: Key, now_us: int, reason: str) -> Signal:
    return Signal(rule, key, What.ERROR, now_us, now_us, None, 0, {}, reason)
