"""Hybrid work of a running service as the wiring sees it: parts that start, stop, take a new config, and say what is degraded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from appliance.alerting.alerting import Alerting
from appliance.background import end_all
from appliance.batching.side import BatchSide
from appliance.batching.work import Work
from appliance.box import Box, no_step
from appliance.config import Config
from appliance.hybrid.analysis.keeping.incidents import Incidents
from appliance.hybrid.analysis.keeping.part import IncidentsPart
from appliance.hybrid.analysis.live.live import Live
from appliance.hybrid.analysis.refining.part import Refining
from appliance.hybrid.analysis.wording.rewording import Rewording
from appliance.hybrid.analysis.wording.words import Words
from appliance.hybrid.cache.cache import Cache
from appliance.hybrid.cache.side import CachePart
from appliance.hybrid.search.part import Search
from appliance.observe.status import Problem
from appliance.reconcile.past import make_history
from appliance.serving.push import ANALYSIS, Hub
from appliance.serving.queries import Queries
from appliance.serving.source import Store


class Part(Protocol):
    """One kind of hybrid work."""

    async def start(self) -> None:
        """Takes up what was left; on the event loop, before records come in."""

    async def stop(self) -> None:
        """Ends, with everything stored that can't be made again."""

    def reload(self, config: Config) -> None:
        """From now on with this config; from any thread."""

    def problems(self) -> Sequence[Problem]:
        """What is degraded; from any thread."""

    def works(self, config: Config) -> Sequence[Work]:
        """What is to be done in batch."""


class HybridSide:
    """See the module."""

    def __init__(
        self,
        box: Box,
        config: Config,
        *,
        alerting: Alerting,
        batch: BatchSide,
        queries: Queries,
        hub: Hub,
        cache: Cache,
        store: Store,
        step: Callable[[str], None] = no_step,
    ) -> None:
        """Blocks for what was stored. ``cache`` is the shelf of ``store``; ``step`` is told each named step, for tests that stop there."""
        self._box, self._config, self._alerting, self._queries, self._hub = box, config, alerting, queries, hub
        self.incidents = Incidents(box, config, alerting=alerting, publish=lambda e, data: hub.publish(ANALYSIS, e, data, None), step=step)
        self.live = Live(box, config, history=make_history(box), incidents=self.incidents, step=step)
        self.incidents.learning, self.incidents.memory = self.live.learning, self.live.memory
        ask = partial(batch.queue.queue.ask, parameters={})
        self.search = Search(box, config, ask=ask, reconciliation=batch.reconciliation, templates=self.live.templates)
        self.cache = CachePart(box, config, cache, queries=queries, store=store)
        batch.readers.append(self.cache.leased)
        words = Words(config.language_model, clock=box.clock)
        self.incidents.words, rewording = words.answered, Rewording(words, self.incidents, ladder=box.ladder)
        for told in (self.incidents.on_open, self.incidents.on_grow, self.incidents.on_answer):
            told.append(rewording.put)
        refining = Refining(box, config, incidents=self.incidents, live=self.live, batch=batch, step=step)
        self._parts: tuple[Part, ...] = (IncidentsPart(box, self.incidents), rewording, self.live, refining, self.search, self.cache)
        batch.others.append(lambda found: [work for part in self._parts for work in part.works(found)])

    async def start(self) -> None:
        """Begins; on the event loop, after batch work has."""
        for part in self._parts:
            await part.start()

    async def stop(self) -> None:
        """Ends, the last part first; before batch work does."""
        await end_all(part.stop for part in reversed(self._parts))

    def reload(self, config: Config) -> None:
        """From now on with this config; from any thread."""
        for part in self._parts:
            part.reload(config)

    def problems(self) -> tuple[Problem, ...]:
        """What is degraded; from any thread."""
        return tuple(problem for part in self._parts for problem in part.problems())
