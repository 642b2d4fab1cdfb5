"""The options of each stage: frozen values with their defaults in sight, checked when they are made.

The name under which an option stands in the config file is its attribute without the unit (``ring_bytes_max`` -> ``ring_max``,
``every_s`` -> ``every``), because there the value carries the unit: "64MiB", "5min". What a class can't check alone
(one option against another stage's) ``appliance.config`` does. Nothing here does I/O.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from appliance.units import GIB, KIB, MIB, is_loopback, parse_address

SECONDS_MAX = 100 * 365 * 86_400.0
"""No duration is longer than a hundred years: what is longer is a slip of the pen or an infinity."""

Duration = Annotated[float, Meta(gt=0, le=SECONDS_MAX, extra={"unit": "duration"})]
"""Seconds, above 0."""
Size = Annotated[int, Meta(gt=0, lt=2**62, extra={"unit": "size"})]
"""Bytes, above 0."""
Count = Annotated[int, Meta(gt=0, lt=2**62)]
"""A number of things, above 0."""


class OptionRefused(ValueError):
    """One option of a class makes no sense; ``config`` puts file, line and table before it."""

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(f"{option} {reason}")
        self.option = option
        self.reason = reason


def toml_name(attribute: str) -> str:
    """The name in the config file of an attribute: without its unit."""
    return attribute.replace("_bytes", "").removesuffix("_s")


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=toml_name):
    """What every class of options is: frozen, slotted, made by keyword."""

    secret: ClassVar[frozenset[str]] = frozenset()
    """Options whose value is never shown."""


def _node_name() -> str:
    return os.uname().nodename or "node"


class NodeOptions(Options, frozen=True, kw_only=True):
    """Which box this is."""

    name: str = msgspec.field(default_factory=_node_name)
    """Stands in every segment's metadata and as tag `host` of the host source. Default: the machine's host name."""
    timezone: str = "UTC"
    """Zone of the times that people write without one (`--since "2026-11-22 06:00"`), by its IANA name. What is stored is UTC."""
    endurance_bytes: Size | None = None
    """What the card or disk may be written with before it wears out, as its maker states it: "60TB". `appliance cost` says how long
    it lasts. Default: not known."""

    def __post_init__(self) -> None:
        _plain_text("name", self.name, bytes_max=255)
        if self.timezone != "UTC":
            _check_zone(self.timezone)


class HotOptions(Options, frozen=True, kw_only=True):
    """Ring, hot store and the commit."""

    ring_bytes_max: Size = 64 * MIB
    """Memory for the newest records of all streams together; what no longer fits is read from the hot store."""
    commit_every_s: Annotated[float, Meta(gt=0, le=1, extra={"unit": "duration"})] = 0.02
    """Longest time for which a record waits for others to be committed with it; at most 1s."""
    durability: Literal["power-loss", "crash"] = "power-loss"
    """What an acknowledged record survives: a power cut, or only the end of the process."""
    inflight_bytes_max: Size = 64 * MIB
    """Bytes taken in but not yet committed; above it sources pause and HTTP answers 503."""


class LimitOptions(Options, frozen=True, kw_only=True):
    """What the door refuses, so that memory and the number of files stay bounded."""

    streams_max: Count = 1_000
    """Streams; a record that would make one more goes to the dead letters."""
    columns_max: Annotated[int, Meta(gt=0, le=1_900)] = 1_000  # a table of SQLite, which the last values are kept in, has up to 2,000
    """Columns of one stream."""
    series_max: Count = 100_000
    """Different combinations of tag values of one stream."""
    value_bytes_max: Size = MIB
    """Bytes of one text value."""
    name_bytes_max: Annotated[int, Meta(gt=0, le=64 * KIB, extra={"unit": "size"})] = 1_024
    """Bytes of the name of a stream or a column."""
    disk_free_min: Size = 64 * MIB
    """Free space below which records are refused (HTTP 503, to be tried again). Batch work pauses below four times as much,
    queries are refused below half of it."""


class RollOptions(Options, frozen=True, kw_only=True):
    """When committed records move to the lake."""

    every_s: Duration = 300.0
    """Time between rolls."""
    rows_max: Count = 500_000
    """A stream with more hot records than this is rolled sooner."""


class CompactOptions(Options, frozen=True, kw_only=True):
    """How small segments become few sorted ones."""

    enabled: bool = True
    """False leaves segments as they were rolled."""
    files_max: Annotated[int, Meta(gt=0, le=10_000)] = 12
    """A day of a stream with more live segments than this is compacted."""
    memory_max: Annotated[int, Meta(ge=32 * MIB, lt=2**62, extra={"unit": "size"})] = 256 * MIB
    """Memory of the process that compacts; at least 32MiB."""
    replaced_keep_s: Duration = 600.0
    """Time for which replaced segments stay on disk for queries that still read them."""


class HttpOptions(Options, frozen=True, kw_only=True):
    """The HTTP interface; the unix socket in the data folder is always there."""

    secret: ClassVar[frozenset[str]] = frozenset({"tokens"})

    listen: str = "127.0.0.1:8086"
    """Address and port; "" for the unix socket only. An address that other machines reach needs `tokens`."""
    body_bytes_max: Size = 32 * MIB
    """Largest body of a request, as sent and after decompression; a larger one is answered with 413."""
    tokens: tuple[str, ...] = ()
    """Tokens of which a client on `listen` must send one; none needed on the unix socket, nor when the list is empty."""
    databases: Literal["ignore", "prefix"] = "ignore"
    """What a database or bucket named by a client does: nothing, or stand before the stream's name (`db.stream`)."""
    read_timeout_s: Duration = 30.0
    """Time in which a client must have sent its whole request."""
    connections_max: Annotated[int, Meta(gt=0, le=65_536)] = 256
    """Connections at a time; further ones are answered with 503."""

    def __post_init__(self) -> None:
        for token in self.tokens:
            if len(token) < 8 or not token.isascii() or not token.isprintable() or " " in token:
                raise OptionRefused("tokens", "must each be 8 or more printable ASCII characters without spaces")
        if self.listen and not is_loopback(_address("listen", self.listen)) and not self.tokens:
            raise OptionRefused("listen", f"{self.listen!r} can be reached from other machines, so http.tokens must name one token or more")


class QueryOptions(Options, frozen=True, kw_only=True):
    """The processes in which SQL from outside runs."""

    workers_max: Annotated[int, Meta(gt=0, le=64)] = 2
    """Queries at a time; further ones wait."""
    idle_s: Duration = 30.0
    """Time after its last query at which a process is ended."""
    memory_max: Annotated[int, Meta(ge=64 * MIB, lt=2**62, extra={"unit": "size"})] = 512 * MIB
    """Memory of one query; at least 64MiB. A query that needs more fails alone."""
    time_max_s: Duration = 300.0
    """Time after which a query is cancelled."""


CpuShare = Annotated[float, Meta(ge=0.05, le=1024)]
"""Cores; 0.5 is half of one."""
PathMemory = Annotated[int, Meta(ge=128 * MIB, lt=2**62, extra={"unit": "size"})]
"""Bytes; at least 128MiB, of which a job and the compaction can each do their work."""
PathThreads = Annotated[int, Meta(gt=0, le=1024)]


class HotBudget(Options, frozen=True, kw_only=True):
    """What the hot path may use: the service's own process. It comes first; the others give way to it whatever they may have."""

    cpu: CpuShare | None = None
    """Cores over the last second above which less is taken in (sources pause, HTTP waits). Default: no limit."""
    memory_bytes: PathMemory | None = None
    """Resident memory near which the box degrades, step by step; at least 128MiB. Default: what the machine has."""
    threads: PathThreads = 2
    """Threads that parse what comes in."""
    io_bytes: Size | None = None
    """Bytes a second to and from the disk above which less is taken in. Default: no limit."""


class ColdBudget(Options, frozen=True, kw_only=True):
    """What the cold path may use: the processes of batch work and compaction, which have the lowest priority anyway."""

    cpu: CpuShare | None = None
    """Cores over the last second, all processes together; above it they stand still. Default: no limit."""
    memory_bytes: PathMemory | None = None
    """Memory for their work, all together, besides program and libraries; at least 128MiB. Default: what [batch] and [compact] say."""
    threads: PathThreads | None = None
    """Threads of all jobs at a time. Default: what [batch] says."""
    io_bytes: Size | None = None
    """Bytes a second to and from the disk, all together; above it they stand still. Default: no limit."""


class HybridBudget(Options, frozen=True, kw_only=True):
    """What the hybrid path may use: the processes that read both sides, for queries, panels and analysis."""

    cpu: CpuShare | None = None
    """Cores over the last second, all processes together; above it they stand still. Default: no limit."""
    memory_bytes: PathMemory | None = None
    """Memory for their work, all together, besides program and libraries; at least 128MiB. Default: what [query] says."""
    threads: PathThreads | None = None
    """Threads of all queries at a time. Default: one a core for each."""
    io_bytes: Size | None = None
    """Bytes a second to and from the disk, all together; above it they stand still. Default: no limit."""


class Budgets(msgspec.Struct, frozen=True, kw_only=True):
    """The tables under [budget]."""

    hot: HotBudget = HotBudget()
    cold: ColdBudget = ColdBudget()
    hybrid: HybridBudget = HybridBudget()


BUDGETS: Final[Mapping[str, type[HotBudget | ColdBudget | HybridBudget]]] = {"hot": HotBudget, "cold": ColdBudget, "hybrid": HybridBudget}


class HostSource(Options, frozen=True, kw_only=True, tag="host", tag_field="kind"):
    """This machine's own metrics."""

    every_s: Annotated[float, Meta(ge=0.05, le=86_400, extra={"unit": "duration"})] = 1.0
    """Time between measurements; at least 50ms."""


class DropSource(Options, frozen=True, kw_only=True, tag="drop", tag_field="kind"):
    """Files that appear in a folder: CSV, JSON lines, line protocol, Parquet; `.gz` too."""

    folder: str = "inbox"
    """The folder, relative to the data folder unless absolute. `inbox/STREAM/file.csv` goes to STREAM."""
    rescan_s: Duration = 2.0
    """Time between looks at the whole folder, for files whose event was missed."""
    file_bytes_max: Size = 4 * GIB
    """Largest file, after decompression; a larger one goes to `failed/`."""
    settle_s: Duration = 0.5
    """Time for which size and modification time must stand still before a file is taken."""

    def __post_init__(self) -> None:
        if not self.folder or "\0" in self.folder or ".." in self.folder.split("/") or self.folder.rstrip("/") in {"", "."}:
            raise OptionRefused("folder", f"must name a folder, without '..', found {self.folder!r}")


class LineProtocolSource(Options, frozen=True, kw_only=True, tag="line_protocol", tag_field="kind"):
    """InfluxDB line protocol on plain sockets, besides HTTP. They know no tokens: an outside address takes from everybody."""

    udp: str = "127.0.0.1:8089"
    """Address for datagrams; "" for none."""
    tcp: str = "127.0.0.1:8094"
    """Address for connections; "" for none."""

    def __post_init__(self) -> None:
        for option, text in (("udp", self.udp), ("tcp", self.tcp)):
            if text:
                _address(option, text)


class MqttSource(Options, frozen=True, kw_only=True, tag="mqtt", tag_field="kind"):
    """Messages of an MQTT broker, acknowledged after the commit (needs the extra `mqtt`)."""

    url: str
    """The broker: `mqtt://HOST[:PORT]`, or `mqtts://` for TLS."""
    topics: tuple[str, ...]
    """Topic filters, `+` and `#` as in MQTT."""
    client_id: str | None = None
    """Id of the persistent session. Default: `appliance-` and the node's name."""
    qos: Literal[0, 1, 2] = 1
    """Quality of service of the subscription; 0 may lose messages."""
    username: str | None = None
    """User name at the broker."""
    password_file: str | None = None
    """File whose first line is the password, relative to the data folder unless absolute."""
    stream: str | None = None
    """Stream of payloads that name none themselves (numbers, JSON). Default: the first level of the topic."""

    def __post_init__(self) -> None:
        _check_broker(self.url)
        if not self.topics:
            raise OptionRefused("topics", "must name at least one topic filter")
        for topic in self.topics:
            _check_topic(topic)
        for option, text in (("client_id", self.client_id), ("username", self.username), ("stream", self.stream)):
            if text is not None:
                _plain_text(option, text, bytes_max=1024)
        if self.password_file is not None and self.username is None:
            raise OptionRefused("password_file", "needs a username beside it")


SourceOptions = HostSource | DropSource | LineProtocolSource | MqttSource
"""One `[[source]]`; `kind` says which."""
SOURCE_KINDS: Final[Mapping[str, type[SourceOptions]]] = {
    "host": HostSource,
    "drop": DropSource,
    "line_protocol": LineProtocolSource,
    "mqtt": MqttSource,
}


class StreamOptions(Options, frozen=True, kw_only=True):
    """What the owner fixes about one stream; a stream needs none of it."""

    tags: tuple[str, ...] = ()
    """Columns that are tags where the notation doesn't say so (CSV, JSON lines, Parquet)."""
    identity: tuple[str, ...] | Literal["none"] | None = None
    """Columns by which two records are the same one, `ts` among them; "none": never the same.
    Default: all tags and `ts` where the protocol has tags, "none" for files."""
    lateness_s: Annotated[float, Meta(ge=0, le=31 * 86_400, extra={"unit": "duration"})] = 1.0
    """How far records may come out of order before windows, sessions and silences are taken to be complete."""
    keep_s: Duration | None = None
    """Age above which records are removed, by whole days. Default: that of [retention]."""
    worth: Literal["low", "normal", "high"] = "normal"
    """Which streams lose their oldest days first when the disk that history may take is full."""
    search: tuple[str, ...] | None = None
    """Text fields that `appliance search` finds by their words. Default: all text fields that are no tags. []: none."""

    def __post_init__(self) -> None:
        _check_columns("tags", self.tags, reserved={"ts", "_seq"})
        if isinstance(self.identity, tuple):
            _check_columns("identity", self.identity, reserved={"_seq"})
            if "ts" not in {name.lower() for name in self.identity}:
                raise OptionRefused("identity", "must name 'ts' among its columns")


def _address(option: str, text: str) -> str:
    """The host of an address; refuses what is none."""
    try:
        return parse_address(text).host
    except ValueError as error:
        raise OptionRefused(option, f"{text!r} is no address: {error}") from None


def _plain_text(option: str, text: str, *, bytes_max: int) -> None:
    if not text or not text.isprintable() or len(text.encode("utf-8", "surrogatepass")) > bytes_max:
        raise OptionRefused(option, f"must be 1 to {bytes_max} bytes of printable text")


def _check_zone(name: str) -> None:
    from zoneinfo import ZoneInfo  # here, because most boxes stay with UTC and each start pays for imports

    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise OptionRefused("timezone", f"{name!r} is no zone of the IANA time zone database") from None


def _check_broker(url: str) -> None:
    scheme, mark, place = url.partition("://")
    if not mark or scheme not in {"mqtt", "mqtts"} or "@" in place or "/" in place.rstrip("/"):
        raise OptionRefused("url", f"must be mqtt://HOST[:PORT] or mqtts://HOST[:PORT], found {url!r}")
    place = place.rstrip("/")
    has_port = ":" in place.rpartition("]")[2] if place.startswith("[") else ":" in place
    _address("url", place if has_port else f"{place}:1883")


def _check_topic(topic: str) -> None:
    levels = topic.split("/")
    whole = all(level in {"+", "#"} or not ("+" in level or "#" in level) for level in levels)
    if not topic or "\0" in topic or not whole or "#" in levels[:-1]:
        raise OptionRefused("topics", f"{topic!r} is no topic filter: '+' stands for a whole level, '#' for all that follow")


def _check_columns(option: str, names: Sequence[str], *, reserved: set[str]) -> None:
    if option == "identity" and not names:
        raise OptionRefused(option, 'must name columns, or be "none"')
    folded = [name.lower() for name in names]
    for name in names:
        _plain_text(option, name, bytes_max=64 * KIB)
        if name.lower() in reserved:
            raise OptionRefused(option, f"can't name {name!r}: that column is the appliance's own")
        if folded.count(name.lower()) > 1:
            raise OptionRefused(option, f"names {name!r} twice")
