"""The models of analyses that are in use: swapped into the first pass when a version comes into use, and said with each answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import TimeoutError as NotInTime
from typing import Final

from appliance.batching.models import ModelStore
from appliance.box import Box
from appliance.cold.batch.training.model import Model
from appliance.errors import RetryLater
from appliance.hybrid.analysis.deep.learning import name_of
from appliance.hybrid.analysis.live.live import Live
from appliance.hybrid.analysis.live.watch import Watch
from appliance.hybrid.analysis.refining.around import Trained
from appliance.hybrid.analysis.refining.swapping import BUILT_IN, in_slots
from appliance.hybrid.analysis.refining.training import METHOD, model_name

log = logging.getLogger(__name__)
SWAP_S: Final = 10.0
"""How long a swap waits for the round under way; then it is tried again at the next look."""
NAME: Final = "numbers"


class ModelsInUse:
    """By workload. ``swapped`` may be called from any thread; ``of`` and ``of_deep`` too, and they wait for nothing; the others block
    and belong to whoever looks every few seconds."""

    def __init__(self, box: Box, live: Live, store: Callable[[], ModelStore]) -> None:
        """``store`` is there when ``start`` is called."""
        self._box, self._live, self.store = box, live, store
        self._stored: dict[str, Model] = {}
        """By the name of the model."""
        self._factors: dict[str, Mapping[str, float]] = {}
        """Likewise: series (``name_of``) -> factor."""
        self._looked: set[str] = set()
        """Names of models of which the version in use was looked up."""

    def start(self, names: Sequence[str]) -> None:
        """Takes up the versions in use of these models, each once; from now on hears of new ones."""
        store = self.store()
        if self.swapped not in store.on_swap:
            store.on_swap.append(self.swapped)
        for name in names:
            if name not in self._looked:
                self._looked.add(name)
                found = store.active(name)
                if found is not None:
                    self.swapped(found)

    def swapped(self, model: Model) -> None:
        """A version has come into use; of other models than those of analyses nothing follows."""
        if model.method == METHOD:
            factors = zip(model.keys, model.body.get("factors", ()), strict=False)
            self._factors[model.name] = {name_of(_texts(key)): float(factor) for key, factor in factors if factor != 1.0}
            self._stored[model.name] = model

    def refresh(self) -> None:
        """Swaps in what is not in use yet: a new version, or the same for series that have come since."""
        for name, model in tuple(self._stored.items()):
            workload = name.removesuffix(model_name(""))

            def swap(watch: Watch, model: Model = model) -> None:
                if watch.model_in_use != (str(model.version), watch.series_given):
                    watch.use(in_slots(model, watch.slots_by_series()))

            try:
                self._live.call(workload, swap).result(SWAP_S)
            except (RetryLater, NotInTime) as e:
                log.debug("the model %s waits for its use: %s", name, e)

    def of(self, workload: str) -> Mapping[str, str]:
        """Model -> version that the first pass goes by at this moment, as answers name them."""
        watch = self._live.follower.watches.get(workload)
        return {NAME: _said(None if watch is None else watch.model_in_use[0])}

    def of_deep(self, workload: str) -> Trained:
        """What a look goes by that begins now."""
        found = self._stored.get(model_name(workload))
        version, factors = (None, {}) if found is None else (str(found.version), self._factors.get(found.name, {}))
        return Trained({NAME: _said(version)}, factors)


def _said(version: str | None) -> str:
    return BUILT_IN if version is None else f"version {version}"


def _texts(key: tuple[str | None, ...]) -> tuple[str, str, str]:
    stream, column, tags = (part or "" for part in key)
    return stream, column, tags
