"""The config: one frozen value out of a TOML file, the environment and the defaults, or ``ConfigRefused``.

Strict: a key that this version doesn't know is refused by name, never skipped; so is a wrong type and a value without sense.
The origin of every value is kept. It reads one file and nothing else, and changes nothing.

The option classes live in ``appliance.options`` and are given on here, so that users need this module alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from appliance.batch_options import AuditOptions, BatchOptions, JobOptions, ReportOptions, RetentionOptions, TrainingOptions, ViewOptions
from appliance.config_reading import Reading, dotted, nearest_of, variables_of
from appliance.errors import ConfigRefused
from appliance.hybrid_options import AnalysisOptions, CacheOptions, LanguageModelOptions, SearchOptions, WatchOptions, analyses
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
from appliance.units import Address, parse_address, parse_duration, parse_size, show_size
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
    _check_together(config, reading)
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


def _check_together(config: Config, reading: Reading) -> None:
    """What no class of options can see alone."""
    inflight, body = config.hot.inflight_bytes_max, config.http.body_bytes_max
    if inflight < body:
        at = ("http", "body_max") if reading.origins["hot.inflight_max"] == "default" else ("hot", "inflight_max")
        raise reading.refused(at, f"doesn't fit: http.body_max ({show_size(body)}) is above hot.inflight_max ({show_size(inflight)})")
    taken: dict[str, str] = {}
    for index, source in enumerate(config.sources):
        here = dotted(("source", index))
        for claim, phrase in _claims(source, config).items():
            first = taken.setdefault(claim, here)
            if first != here:
                raise reading.refused(("source", index), f"takes {phrase}, which {first} takes already")
    for name, workload in config.workloads.items():
        match workload:
            case AlertOptions():
                _check_named(config, reading, name, workload)
            case PanelOptions():
                _check_panel(config, reading, name)
            case JobOptions() | ReportOptions() | TrainingOptions() | AuditOptions():
                _check_batch(config, reading, name, workload)
            case AnalysisOptions():
                _check_known(reading, ("workload", name, "notify"), workload.notify, tuple(config.channels), _NO_CHANNEL)
    _check_known(reading, ("alerts", "budgets_notify"), config.alerts.budgets_notify or (), tuple(config.channels), _NO_CHANNEL)
    _check_inhibition(config, reading)


def _check_inhibition(config: Config, reading: Reading) -> None:
    """No rule inhibits itself by way of others: all of them would fire, and nobody would be told of any."""
    by = {name: w.inhibited_by for name, w in config.workloads.items() if isinstance(w, AlertOptions)}
    done: set[str] = set()
    for first in by:
        path: list[str] = []
        stack = [(first, 0)]
        while stack:
            name, depth = stack.pop()
            del path[depth:]
            if name in path:
                cycle = [*path[path.index(name) :], name]
                at = ("workload", cycle[0], "inhibited_by")
                ring = " by ".join(shown(n) for n in cycle)
                reason = f"{dotted(at)} makes a ring ({ring}): when all of them fire nobody is told of any; take one out"
                raise ConfigRefused(reason, file=reading.place(at), key=dotted(at))
            if name not in done:
                path.append(name)
                done.add(name)
                stack += [(other, depth + 1) for other in by.get(name, ())]


def _check_named(config: Config, reading: Reading, name: str, rule: AlertOptions) -> None:
    """A rule names channels and other rules that there are."""
    rules = tuple(n for n, w in config.workloads.items() if isinstance(w, AlertOptions) and n != name)
    for option, named, known, what in (
        ("notify", rule.notify, tuple(config.channels), _NO_CHANNEL),
        ("escalate", rule.escalate, tuple(config.channels), _NO_CHANNEL),
        ("inhibited_by", rule.inhibited_by, rules, "other rule: there is no [workload.{}] of kind alert"),
    ):
        _check_known(reading, ("workload", name, option), named, known, what)


def _check_batch(
    config: Config, reading: Reading, name: str, workload: JobOptions | ReportOptions | TrainingOptions | AuditOptions
) -> None:
    """Batch work names channels and other batch work that there are, and none follows itself."""
    batch = {n: w for n, w in config.workloads.items() if not isinstance(w, AlertOptions | SessionOptions | AnalysisOptions)}
    _check_target(config, reading, name, workload)
    _check_known(reading, ("workload", name, "notify"), workload.notify, tuple(config.channels), _NO_CHANNEL)
    seen, other = {name}, getattr(workload, "after", None)
    at = ("workload", name, "after")
    while other is not None:
        _check_known(reading, at, (other,), tuple(n for n in batch if n != name), "other batch work: there is no such [workload.{}]")
        if other in seen:
            raise reading.refused(at, f"makes a circle: {shown(other)} follows itself in the end")
        seen.add(other)
        other = getattr(batch[other], "after", None)


def _check_target(config: Config, reading: Reading, name: str, workload: Options) -> None:
    """A table, a file or a folder is made by one workload, and a table's name stands for nothing else."""
    for option in ("table", "file", "folder"):
        target = _target(name, workload, option)
        if target is None:
            continue
        at = ("workload", name, option)
        others = {n: _target(n, w, option) for n, w in config.workloads.items() if n != name}
        same = next((n for n, t in others.items() if t is not None and t.lower() == target.lower()), None)
        if same is not None:
            raise reading.refused(at, f"is made by {shown(same)} already")
        taken = [*(n for n, w in config.workloads.items() if isinstance(w, ViewOptions)), *config.streams]
        if option == "table" and (target.startswith("_") or target.lower() in {n.lower() for n in taken}):
            raise reading.refused(at, f"can't be {shown(target)}: that is the name of something else")


def _check_panel(config: Config, reading: Reading, name: str) -> None:
    """A panel's name is that of a table, and stands for nothing else."""
    tables = {str(_target(n, w, "table")).lower() for n, w in config.workloads.items() if _target(n, w, "table") is not None}
    at = ("workload", name)
    if name.startswith("_") or name.lower() in {*tables, *(n.lower() for n in config.streams)}:
        raise reading.refused(at, "can't be a panel: that is the name of something else")


def _target(name: str, workload: Options, option: str) -> str | None:
    """What a workload makes; the folder of an audit is called after it unless it says otherwise."""
    target: str | None = getattr(workload, option, None)
    return name if target is None and option == "folder" and isinstance(workload, AuditOptions) else target


_NO_CHANNEL: Final = "channel: there is no [notify.{}]"


def _check_known(reading: Reading, at: KeyPath, named: Sequence[str], known: tuple[str, ...], what: str) -> None:
    for other in named:
        if other not in known:
            reason = f"{dotted(at)} names {shown(other)}, which is no {what.format(other)}"
            raise ConfigRefused(reason, file=reading.place(at), key=dotted(at), nearest=nearest_of(other, known))


def _claims(source: SourceOptions, config: Config) -> dict[str, str]:
    """What only one source can have -> the same in words."""
    match source:
        case HostSource():
            return {"host": "this machine's metrics"}
        case DropSource(folder=folder):
            return {f"folder {os.path.normpath(config.data_dir / folder)}": f"the folder {folder!r}"}
        case LineProtocolSource(udp=udp, tcp=tcp):
            fixed = [f"{kind} {text}" for kind, text in (("UDP", udp), ("TCP", tcp)) if text and parse_address(text).port]
            return {claim: claim for claim in fixed}
        case MqttSource(url=url, client_id=client_id):
            session = f"the session {client_id or 'of this node'} at {url}"
            return {session: session}
