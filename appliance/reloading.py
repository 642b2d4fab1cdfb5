"""A config that is read again while the service runs: what of it is in force at once, and what waits for the next start."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from appliance.alerting.alerting import Alerting
from appliance.alerting.asked import Asked
from appliance.batching.report_definitions import check_reports
from appliance.batching.side import BatchSide
from appliance.config import Config
from appliance.hybrid.side import HybridSide
from appliance.metering.metering import Metering
from appliance.reconcile.config_log import note_reload
from appliance.serving.path_desk import PathDesk

RELOADED: Final = ("workloads", "channels", "alerts", "paths", "analysis", "language_model")
"""What a reload puts into force at once."""
AT_START: Final = (
    "node",
    "hot",
    "limits",
    "roll",
    "compact",
    "batch",
    "budget",
    "retention",
    "http",
    "query",
    "search",
    "cache",
    "sources",
    "streams",
)
"""What a reload checks, and the next start puts into force."""
RELOAD_S: Final = 30.0
"""How long the rules may take to be in force."""


class Reloading:
    """Brings newer configs into force in the parts of a running service. From any thread but the event loop's, one after the other."""

    def __init__(
        self,
        config: Config,
        *,
        alerting: Alerting,
        asked: Asked,
        batch: BatchSide,
        hybrid: HybridSide,
        paths: PathDesk,
        metering: Metering,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.config = config
        """What is in force: as it was at the start, but for what reloads have brought."""
        self._alerting, self._asked, self._loop = alerting, asked, loop
        self._batch, self._paths, self._metering = batch, paths, metering
        self.hybrid = hybrid

    def reload(self, found: Config, author: str) -> str:
        """Puts into force what can be; what has changed, in a line. Raises ``ConfigRefused``: the old one stays in force whole."""
        said: list[str] = []
        is_other = any(getattr(found, n) != getattr(self.config, n) for n in RELOADED)
        if is_other or self._alerting.has_failed:
            check_reports(found)
            self._batch.panels.check(found)
            self._alerting.reload(self._alerting.check(found)).result(RELOAD_S)
            self._loop.call_soon_threadsafe(self._asked.configure, self._alerting.rulebook)
            said.append("rules, batch work and channels are in force")
            self.config = msgspec.structs.replace(self.config, **{n: getattr(found, n) for n in RELOADED})
            said += self._paths.reload(self.config)
            self._metering.reload(self.config)
            self._batch.reload(self.config, self._alerting.rulebook)
            self.hybrid.reload(self.config)
            note_reload(self._batch.models.box, found, author=author)
        later = [name for name in AT_START if getattr(found, name) != getattr(self.config, name)]
        if later:
            said.append(f"{', '.join(later)} changed and takes effect at the next start")
        return f"the config is right; {'; '.join(said)}" if said else "the config is right and unchanged"
