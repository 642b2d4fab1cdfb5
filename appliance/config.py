"""The config: one frozen value out of a TOML file, the environment and the defaults, or ``ConfigRefused``.

Strict: a key that this version doesn't know is refused by name, never skipped; so is a wrong type and a value without sense.
The origin of every value is kept. It reads one file and nothing else, and changes nothing.

The option classes live in ``appliance.options``, the value in ``appliance.config_value``; they are given on here, so that users need this
module alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from appliance.batch_options import AuditOptions, BatchOptions, JobOptions, ReportOptions, RetentionOptions, TrainingOptions, ViewOptions
from appliance.config_checks import check_together
from appliance.config_reading import Reading, dotted, nearest_of, variables_of
from appliance.config_value import Config
from appliance.errors import ConfigRefused
from appliance.hybrid_options import AnalysisOptions, CacheOptions, LanguageModelOptions, SearchOptions, WatchOptions
from appliance.need_options import NeedsOptions, PathsOptions
from appliance.option_docs import config_schema, example_config
from appliance.option_values import shown
from appliance.options import (
    BUDGETS,
    SOURCE_KINDS,
    Budgets,
    CompactOptions,
    DropSource,
    HostSource,
    HotOptions,
    HttpOptions,
    LimitOptions,
    LineProtocolSource,
    MqttSource,
    NodeOptions,
    Options,
    QueryOptions,
    RollOptions,
    SourceOptions,
    StreamOptions,
)
from appliance.panel_options import PanelOptions
from appliance.toml_places import Path as KeyPath
from appliance.units import Address, parse_address, parse_duration, parse_size
from appliance.workload_options import (
    TABLES,
    TOP_LEVEL,
    WORKLOAD_KINDS,
    AlertOptions,
    AlertsOptions,
    NotifyOptions,
    SessionOptions,
    WorkloadOptions,
)

OptionsT = TypeVar("OptionsT", bound=Options)

__all__ = [
    "Address",
    "AlertOptions",
    "AlertsOptions",
    "AnalysisOptions",
    "AuditOptions",
    "BatchOptions",
    "Budgets",
    "CacheOptions",
    "CompactOptions",
    "Config",
    "DropSource",
    "HostSource",
    "HotOptions",
    "HttpOptions",
    "JobOptions",
    "LanguageModelOptions",
    "LimitOptions",
    "LineProtocolSource",
    "MqttSource",
    "NeedsOptions",
    "NodeOptions",
    "NotifyOptions",
    "Options",
    "PanelOptions",
    "PathsOptions",
    "QueryOptions",
    "ReportOptions",
    "RetentionOptions",
    "RollOptions",
    "SearchOptions",
    "SessionOptions",
    "SourceOptions",
    "StreamOptions",
    "TrainingOptions",
    "ViewOptions",
    "WatchOptions",
    "WorkloadOptions",
    "config_schema",
    "default_data_dir",
    "example_config",
    "find_config",
    "load_config",
    "parse_address",
    "parse_duration",
    "parse_size",
]

SYSTEM_FILE: Final = Path("/etc/appliance/appliance.toml")


def default_data_dir(environment: Mapping[str, str] | None = None) -> Path:
    """The data folder where the command line names none: systemd's state folder, else ``./data``."""
    named = (os.environ if environment is None else environment).get("STATE_DIRECTORY", "").split(":")[0]
    return Path(named or "data").absolute()


def find_config(data_dir: Path) -> Path | None:
    """The config file where the command line names none: the data folder's, else the system's, else None."""
    return next((file for file in (data_dir / "appliance.toml", SYSTEM_FILE) if file.is_file()), None)


def load_config(*, data_dir: Path, file: Path | None, environment: Mapping[str, str] | None = None) -> Config:
    """Read ``file`` (None: no file) and the variables of ``environment`` (None: the process's) over the defaults.

    Raises ``ConfigRefused`` with file, line, key and the nearest known key for the first thing that can't be used.
    """
    reading = Reading(file)
    document = reading.document
    for name in document:
        if name not in TOP_LEVEL:
            raise reading.unknown((name,), known=TOP_LEVEL)
    variables = variables_of(os.environ if environment is None else environment)
    tables: dict[str, Any] = {
        name: reading.options(kind, document.get(name, {}), at=(name,), variables=variables.get(name, {})) for name, kind in TABLES.items()
    }
    config = Config(
        data_dir=data_dir.absolute(),
        file=None if file is None else file.absolute(),
        budget=_budgets(reading, document.get("budget", {}), variables),
        sources=_sources(reading, document.get("source")),
        streams=_streams(reading, document.get("stream", {})),
        workloads=_workloads(reading, document.get("workload", {})),
        channels=_channels(reading, document.get("notify", {})),
        origins=reading.origins,
        **tables,
    )
    check_together(config, reading)
    return config


def _budgets(reading: Reading, tables: Any, variables: Mapping[str, Mapping[str, str]]) -> Budgets:
    if not isinstance(tables, dict):
        raise reading.refused(("budget",), f"must be tables {', '.join(f'[budget.{name}]' for name in BUDGETS)}")
    for name in tables:
        if name not in BUDGETS:
            raise reading.unknown(("budget", name), known=tuple(BUDGETS))
    made: Any = {
        name: reading.options(kind, tables.get(name, {}), at=("budget", name), variables=variables.get(f"budget.{name}", {}))
        for name, kind in BUDGETS.items()
    }
    return Budgets(**made)


def _sources(reading: Reading, listed: Any) -> tuple[SourceOptions, ...]:
    if listed is None:
        listed = [{"kind": kind} for kind in ("host", "drop", "line_protocol")]
    if not isinstance(listed, list):
        raise reading.refused(("source",), "must be tables under [[source]]")
    return tuple(_source(reading, table, at=("source", index)) for index, table in enumerate(listed))


def _source(reading: Reading, table: Any, *, at: KeyPath) -> SourceOptions:
    options: SourceOptions = reading.options(_kind(reading, table, SOURCE_KINDS, at=at), table, at=at)
    return options


def _kind(reading: Reading, table: Any, kinds: Mapping[str, type[OptionsT]], *, at: KeyPath) -> type[OptionsT]:
    kind = table.get("kind") if isinstance(table, dict) else None
    if not isinstance(kind, str):
        raise reading.refused(at, f"must have a kind: one of {', '.join(kinds)}")
    if kind not in kinds:
        where = (*at, "kind")
        hint = nearest_of(kind, tuple(kinds))
        raise ConfigRefused(
            f"{dotted(where)} {shown(kind)} is unknown to this version", file=reading.place(where), key=dotted(where), nearest=hint
        )
    return kinds[kind]


def _streams(reading: Reading, tables: Any) -> dict[str, StreamOptions]:
    return {name: reading.options(StreamOptions, table, at=("stream", name)) for name, table in _named(reading, tables, "stream")}


def _named(reading: Reading, tables: Any, title: str) -> list[tuple[str, Any]]:
    """The tables under ``[title.NAME]``; no two names may be the same but for case."""
    if not isinstance(tables, dict):
        raise reading.refused((title,), f"must be tables under [{title}.NAME]")
    known: dict[str, str] = {}
    for name in tables:
        if not name or not name.isprintable():
            raise reading.refused((title, name), f"is no name for a {title}: it must be printable text")
        if name.lower() in known:
            raise reading.refused((title, name), f"is the same {title} as {known[name.lower()]!r}: names differ in more than case")
        known[name.lower()] = name
    return list(tables.items())


def _workloads(reading: Reading, tables: Any) -> dict[str, WorkloadOptions]:
    found: dict[str, WorkloadOptions] = {}
    for name, table in _named(reading, tables, "workload"):
        at = ("workload", name)
        found[name] = reading.options(_kind(reading, table, WORKLOAD_KINDS, at=at), table, at=at)
    return found


def _channels(reading: Reading, tables: Any) -> dict[str, NotifyOptions]:
    return {name: reading.options(NotifyOptions, table, at=("notify", name)) for name, table in _named(reading, tables, "notify")}
