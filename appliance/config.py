"""The config: one frozen value out of a TOML file, the environment and the defaults, or ``ConfigRefused``.

Strict: a key that this version doesn't know is refused by name, never skipped; so is a wrong type and a value without sense.
The origin of every value is kept. It reads one file and nothing else, and changes nothing.

The option classes live in ``appliance.options`` and are given on here, so that users need this module alone.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from appliance.errors import ConfigRefused
from appliance.option_docs import config_schema, example_config
from appliance.option_values import expected, from_text, quoted, read_value, shown, written
from appliance.options import (
    SOURCE_KINDS,
    TABLES,
    TOP_LEVEL,
    CompactOptions,
    DropSource,
    HostSource,
    HotOptions,
    HttpOptions,
    LimitOptions,
    LineProtocolSource,
    MqttSource,
    NodeOptions,
    OptionRefused,
    Options,
    QueryOptions,
    RollOptions,
    SourceOptions,
    StreamOptions,
)
from appliance.toml_places import Path as KeyPath
from appliance.toml_places import key_lines
from appliance.units import Address, parse_address, parse_duration, parse_size, show_size

OptionsT = TypeVar("OptionsT", bound=Options)

__all__ = [
    "Address",
    "CompactOptions",
    "Config",
    "DropSource",
    "HostSource",
    "HotOptions",
    "HttpOptions",
    "LimitOptions",
    "LineProtocolSource",
    "MqttSource",
    "NodeOptions",
    "Options",
    "QueryOptions",
    "RollOptions",
    "SourceOptions",
    "StreamOptions",
    "config_schema",
    "default_data_dir",
    "example_config",
    "find_config",
    "load_config",
    "parse_address",
    "parse_duration",
    "parse_size",
    "shown_options",
]

FILE_BYTES_MAX: Final = 1024 * 1024
"""A config file is smaller than this; what is larger is some other file."""
VARIABLE_PREFIX: Final = "APPLIANCE__"
"""``APPLIANCE__HTTP__LISTEN`` sets ``http.listen``; it goes before the file. Lists are separated by commas."""
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
    http: HttpOptions = HttpOptions()
    query: QueryOptions = QueryOptions()
    sources: tuple[SourceOptions, ...] = DEFAULT_SOURCES
    streams: Mapping[str, StreamOptions] = {}
    """By the stream's name as the config writes it; ``stream`` finds one whatever its case."""
    origins: Mapping[str, str] = {}
    """Dotted name (``hot.ring_max``, ``source[0].every``) -> "default", "FILE:LINE" or "environment"; every option is in it."""

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
    reading = _Reading(file)
    document = reading.document
    for name in document:
        if name not in TOP_LEVEL:
            raise reading.unknown((name,), known=TOP_LEVEL)
    variables = _variables(os.environ if environment is None else environment)
    tables: dict[str, Any] = {
        name: reading.options(kind, document.get(name, {}), at=(name,), variables=variables.get(name, {})) for name, kind in TABLES.items()
    }
    config = Config(
        data_dir=data_dir.absolute(),
        file=None if file is None else file.absolute(),
        sources=_sources(reading, document.get("source")),
        streams=_streams(reading, document.get("stream", {})),
        origins=reading.origins,
        **tables,
    )
    _check_together(config, reading)
    return config


class _Reading:
    """One file on its way into options: gathers the origins, and words what it refuses."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.origins: dict[str, str] = {}
        text = "" if file is None else _text(file)
        try:
            self.document: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigRefused(f"no TOML: {error}", file=str(file)) from None
        self.lines = key_lines(text)

    def options(self, kind: type[OptionsT], table: Any, *, at: KeyPath, variables: Mapping[str, str] | None = None) -> OptionsT:
        """A table of the file as its class, with the variables of the environment over it."""
        if not isinstance(table, dict):
            raise self.refused(at, f"must be a table, found {shown(table)}")
        known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        chosen = dict.fromkeys(known, "default")
        raw = {key: value for key, value in table.items() if key != "kind" or kind not in SOURCE_KINDS.values()}
        for key in raw:
            if key not in known:
                raise self.unknown((*at, key), known=tuple(known))
            chosen[key] = self.place((*at, key)) or "default"
        for key, text in (variables or {}).items():
            raw[key] = from_text(known[key].type, text)
            chosen[key] = "environment"
        self.origins.update({dotted((*at, key)): origin for key, origin in chosen.items()})
        return self._made(kind, raw, at=at)

    def _made(self, kind: type[OptionsT], raw: Mapping[str, Any], *, at: KeyPath) -> OptionsT:
        values: dict[str, Any] = {}
        for field in msgspec.structs.fields(kind):
            here = (*at, field.encode_name)
            if field.encode_name not in raw:
                if field.required:
                    raise self.refused(here, f"is missing: it must be {expected(field.type)}")
                continue
            try:
                values[field.name] = read_value(field.type, raw[field.encode_name], secret=field.encode_name in kind.secret)
            except ValueError as error:
                raise self.refused(here, str(error)) from None
        try:
            return kind(**values)
        except OptionRefused as error:
            raise self.refused((*at, error.option), error.reason) from None

    def place(self, at: KeyPath) -> str | None:
        """``FILE:LINE`` of a key, or of the table that it is missing from; None without a file."""
        while at and at not in self.lines:
            at = at[:-1]
        return None if self.file is None else f"{self.file}:{self.lines[at]}" if at else f"{self.file}"

    def refused(self, at: KeyPath, reason: str) -> ConfigRefused:
        """The error for a key; ``reason`` goes on after its name."""
        from_environment = self.origins.get(dotted(at)) == "environment"
        where = f"environment variable {variable_of(at)}" if from_environment else self.place(at)
        return ConfigRefused(f"{dotted(at)} {reason}", file=where, key=dotted(at))

    def unknown(self, at: KeyPath, *, known: tuple[str, ...]) -> ConfigRefused:
        """The error for a key that this version doesn't know."""
        hint = _nearest(str(at[-1]), known)
        return ConfigRefused(f"{dotted(at)} is unknown to this version", file=self.place(at), key=dotted(at), nearest=hint)


def _text(file: Path) -> str:
    try:
        data = file.read_bytes() if file.stat().st_size <= FILE_BYTES_MAX else None
        if data is None:
            raise ConfigRefused(f"no config: larger than {FILE_BYTES_MAX} bytes", file=str(file))
        return data.decode("utf-8").removeprefix("\ufeff")
    except OSError as error:
        raise ConfigRefused(f"can't be read: {error.strerror}", file=str(file)) from None
    except UnicodeDecodeError as error:
        raise ConfigRefused(f"no text in UTF-8 (byte {error.start})", file=str(file)) from None


def _variables(environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Table -> key -> text of the variables that set an option."""
    known = {
        variable_of((table, field.encode_name)): (table, field.encode_name)
        for table, kind in TABLES.items()
        for field in msgspec.structs.fields(kind)
    }
    chosen: dict[str, dict[str, str]] = {}
    for variable, text in environment.items():
        if variable.startswith(VARIABLE_PREFIX):
            if variable not in known:
                nearest = _nearest(variable, tuple(known))
                raise ConfigRefused(f"{variable} is unknown to this version", file="environment", key=variable, nearest=nearest)
            table, key = known[variable]
            chosen.setdefault(table, {})[key] = text
    return chosen


def _sources(reading: _Reading, listed: Any) -> tuple[SourceOptions, ...]:
    if listed is None:
        listed = [{"kind": kind} for kind in ("host", "drop", "line_protocol")]
    if not isinstance(listed, list):
        raise reading.refused(("source",), "must be tables under [[source]]")
    return tuple(_source(reading, table, at=("source", index)) for index, table in enumerate(listed))


def _source(reading: _Reading, table: Any, *, at: KeyPath) -> SourceOptions:
    kind = table.get("kind") if isinstance(table, dict) else None
    if not isinstance(kind, str):
        raise reading.refused(at, f"must have a kind: one of {', '.join(SOURCE_KINDS)}")
    if kind not in SOURCE_KINDS:
        where = (*at, "kind")
        hint = _nearest(kind, tuple(SOURCE_KINDS))
        raise ConfigRefused(
            f"{dotted(where)} {shown(kind)} is unknown to this version", file=reading.place(where), key=dotted(where), nearest=hint
        )
    options: SourceOptions = reading.options(SOURCE_KINDS[kind], table, at=at)
    return options


def _streams(reading: _Reading, tables: Any) -> dict[str, StreamOptions]:
    if not isinstance(tables, dict):
        raise reading.refused(("stream",), "must be tables under [stream.NAME]")
    known: dict[str, str] = {}
    for name in tables:
        if not name or not name.isprintable():
            raise reading.refused(("stream", name), "is no name for a stream: it must be printable text")
        if name.lower() in known:
            raise reading.refused(("stream", name), f"is the same stream as {known[name.lower()]!r}: names differ in more than case")
        known[name.lower()] = name
    return {name: reading.options(StreamOptions, table, at=("stream", name)) for name, table in tables.items()}


def _check_together(config: Config, reading: _Reading) -> None:
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


def _nearest(name: str, known: tuple[str, ...]) -> str | None:
    from difflib import get_close_matches  # here, because only a mistake needs it

    return next(iter(get_close_matches(name, known, n=1, cutoff=0.6)), None)


def shown_options(config: Config) -> tuple[tuple[str, str, str], ...]:
    """Name, value and origin of every option, for people; a secret's value is hidden."""
    tables: list[tuple[KeyPath, Options]] = [((name,), getattr(config, name)) for name in TABLES]
    tables += [(("source", index), source) for index, source in enumerate(config.sources)]
    tables += [(("stream", name), options) for name, options in config.streams.items()]
    rows = []
    for at, options in tables:
        for field in msgspec.structs.fields(options):
            value, name = getattr(options, field.name), dotted((*at, field.encode_name))
            hidden = value and field.encode_name in options.secret
            rows.append((name, "(hidden)" if hidden else written(field.type, value), config.origins.get(name, "default")))
    return tuple(rows)


def dotted(at: KeyPath) -> str:
    """A key as people write it: ``hot.ring_max``, ``source[0].every``, ``stream."a.b".tags``."""
    text = ""
    for part in at:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = part.isascii() and part.replace("_", "").replace("-", "").isalnum()
            text += ("." if text else "") + (part if bare else quoted(part))
    return text


def variable_of(at: KeyPath) -> str:
    """The environment's name of an option: ``APPLIANCE__HTTP__LISTEN``."""
    return VARIABLE_PREFIX + "__".join(str(part).upper() for part in at)
