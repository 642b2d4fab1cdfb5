"""Everything that the owner of the box can set, as one frozen value. It comes out of ``config.load_config``; users import it from there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from appliance.batch_options import BatchOptions, RetentionOptions
from appliance.hybrid_options import CacheOptions, LanguageModelOptions, SearchOptions, WatchOptions, analyses
from appliance.need_options import NeedsOptions, PathsOptions
from appliance.options import (
    Budgets,
    CompactOptions,
    DropSource,
    HostSource,
    HotOptions,
    HttpOptions,
    LimitOptions,
    LineProtocolSource,
    NodeOptions,
    QueryOptions,
    RollOptions,
    SourceOptions,
    StreamOptions,
)
from appliance.workload_options import AlertsOptions, NotifyOptions, WorkloadOptions

DEFAULT_SOURCES: Final[tuple[SourceOptions, ...]] = (HostSource(), DropSource(), LineProtocolSource())
"""What is watched where the config names no source; ``source = []`` watches nothing."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the owner of the box can set, parsed and checked."""

    data_dir: Path
    """The data folder, absolute."""
    file: Path | None = None
    """The config file, absolute; None: the defaults and the environment alone. Read again on a reload."""
    node: NodeOptions = NodeOptions()
    hot: HotOptions = HotOptions()
    limits: LimitOptions = LimitOptions()
    roll: RollOptions = RollOptions()
    compact: CompactOptions = CompactOptions()
    retention: RetentionOptions = RetentionOptions()
    batch: BatchOptions = BatchOptions()
    http: HttpOptions = HttpOptions()
    query: QueryOptions = QueryOptions()
    alerts: AlertsOptions = AlertsOptions()
    paths: PathsOptions = PathsOptions()
    analysis: WatchOptions = WatchOptions()
    search: SearchOptions = SearchOptions()
    cache: CacheOptions = CacheOptions()
    language_model: LanguageModelOptions = LanguageModelOptions()
    budget: Budgets = Budgets()
    sources: tuple[SourceOptions, ...] = DEFAULT_SOURCES
    streams: Mapping[str, StreamOptions] = {}
    """By the stream's name as the config writes it; ``stream`` finds one whatever its case."""
    workloads: Mapping[str, WorkloadOptions] = {}
    """By name."""
    channels: Mapping[str, NotifyOptions] = {}
    """The tables ``[notify.NAME]`` by name."""
    origins: Mapping[str, str] = {}
    """Dotted name (``hot.ring_max``, ``source[0].every``) -> "default", "FILE:LINE" or "environment"; every option is in it."""

    @property
    def all_workloads(self) -> dict[str, NeedsOptions]:
        """``workloads``, and the analysis that comes without one."""
        return {**self.workloads, **analyses(self.workloads, self.analysis)}

    def stream(self, name: str) -> StreamOptions:
        """The options of a stream; those of a stream that the config doesn't name are the defaults."""
        return next((options for known, options in self.streams.items() if known.lower() == name.lower()), StreamOptions())
