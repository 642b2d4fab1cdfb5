"""What a message says: a number, a JSON object (or an array of them), or line protocol. Pure.

A number, bool or JSON string is the field ``value``; a JSON object's members are fields, those of objects within as ``outer_inner``,
one level deep. Both get the tag ``topic``, and the event time by the member's name as in JSON lines, else the arrival. Line protocol
says all itself and goes as it is. Anything else is refused with its bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from appliance.clock import iso
from appliance.errors import RejectRecord
from appliance.records import TAG_TYPE, TS_TYPE, Batch, Format, Kind, Reject, Submission, fold
from appliance.sources.codecs.casting import shown
from appliance.sources.codecs.jsonl_exact import checked, decode, flat_object
from appliance.sources.codecs.line_protocol import Precision, parse
from appliance.sources.codecs.times import TIME_NAMES, to_us
from appliance.sources.line_replay import replayable_batches

TOPIC = "topic"
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_TYPES = {Kind.FLOAT: pa.float64(), Kind.INT: pa.int64(), Kind.BOOL: pa.bool_(), Kind.TEXT: pa.string(), Kind.TAG: TAG_TYPE}
Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One message, with the time at which it arrived first."""

    topic: str
    payload: bytes
    arrival_us: int


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a message that is no line protocol."""

    message: Message
    number: int
    """1-based place of the message in its block."""
    stream: str
    time: str | None
    """Event time as sent; None: the arrival."""
    fields: Fields


@dataclass(frozen=True, slots=True)
class RecordOrigin:
    """Refused records as JSON lines that hold everything, topic and time included."""

    records: Sequence[Record]
    times: pa.Array

    def raw(self, row: int) -> bytes:
        record = self.records[row]
        ts_us = self.times[row].cast(pa.int64()).as_py()
        return json.dumps({"ts": iso(ts_us), TOPIC: record.message.topic, **record.fields}, ensure_ascii=False).encode("utf-8", "replace")

    def line(self, row: int) -> int:
        return self.records[row].number


def stream_of(topic: str, configured: str | None) -> str:
    """The stream of a message that names none: as configured, else the first level of its topic."""
    return configured or next((level for level in topic.split("/") if level), topic)


def read_messages(messages: Sequence[Message], *, source: str, stream: str | None, tags: Iterable[str] = ()) -> list[Submission]:
    """What a block of messages brings to the door, at most one submission for each notation.

    ``tags``: members that are tags besides ``topic``.
    """
    records: list[Record] = []
    rejects: list[Reject] = []
    lines: list[Message] = []
    for number, message in enumerate(messages, 1):
        try:
            if _is_lines(message.payload):
                lines.append(message)
                continue
            records.extend(_records(message, number, stream_of(message.topic, stream)))
        except RejectRecord as reason:
            rejects.append(Reject(f"{shown(message.topic)}: {reason}", message.payload, number, stream_of(message.topic, stream)))
    batches = _batches(records, rejects, tags={fold(tag) for tag in tags})
    found = [Submission(source, Format.JSONL, tuple(batches), tuple(rejects))] if batches or rejects else []
    parsed = [parse(message.payload, precision=Precision.NS, now_us=message.arrival_us) for message in lines]
    if parsed:
        every_batch = replayable_batches([batch for one in parsed for batch in one.batches], precision=Precision.NS)
        found.append(Submission(source, Format.LP, every_batch, tuple(reject for one in parsed for reject in one.rejects)))
    return found


def _is_lines(payload: bytes) -> bool:
    text = payload.lstrip()
    return text[:1] not in (b"{", b"[", b'"', b"") and b"=" in text and (b" " in text)


def _records(message: Message, number: int, stream: str) -> list[Record]:
    """Raises ``RejectRecord``. An empty payload (it deletes a retained message) is no record."""
    payload = message.payload.strip()
    if not payload:
        return []
    found = _scalar(payload)
    if found is None:
        value = decode(payload)
        objects = value if isinstance(value, list) else [value] if isinstance(value, dict) else [{"value": value}]
        found = [flat_object(one) for one in objects]
    else:
        found = [{"value": found}]
    return [_record(message, number, stream, fields) for fields in found]


def _scalar(payload: bytes) -> Any:
    """A bare number or bool; None when it has to be JSON."""
    if _NUMBER.fullmatch(payload):
        return int(payload) if payload.lstrip(b"+-").isdigit() else float(payload)
    if payload.lower() in (b"true", b"false"):
        return payload.lower() == b"true"
    if payload[:1] not in (b"{", b"[", b'"'):
        raise RejectRecord("the payload is neither a number, nor JSON, nor line protocol")
    return None


def _record(message: Message, number: int, stream: str, found: Fields) -> Record:
    names = {fold(name): name for name in found}
    if len(names) != len(found):
        raise RejectRecord("two members differ only in case")
    time_name = next((names[name] for name in TIME_NAMES if name in names), None)
    time = found.pop(time_name) if time_name else None
    fields = {name: checked(name, value) for name, value in found.items() if value is not None and fold(name) != "_seq"}
    if fold(TOPIC) in {fold(name) for name in fields}:
        fields = {f"{name}_" if fold(name) == TOPIC else name: value for name, value in fields.items()}
    if not fields:
        raise RejectRecord("no member has a value")
    return Record(message, number, stream, None if time is None else time if isinstance(time, str) else json.dumps(time), fields)


def _batches(records: Sequence[Record], rejects: list[Reject], *, tags: set[str]) -> list[Batch]:
    """One batch for each stream and set of members; ints and floats of one member are one column."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        shape = (f"{name}\0{'number' if type(value) in (int, float) else type(value).__name__}" for name, value in record.fields.items())
        groups.setdefault((record.stream, *sorted(shape)), []).append(record)
    return [batch for group in groups.values() if (batch := _batch(group, rejects, tags=tags)) is not None]


def _batch(group: list[Record], rejects: list[Reject], *, tags: set[str]) -> Batch | None:
    times = _times(group)
    if times.null_count:
        bad = [place for place, valid in enumerate(times.is_valid().to_pylist()) if not valid]
        for place in bad:
            record = group[place]
            rejects.append(Reject(f"{shown(record.time)} is no time", record.message.payload, record.number, record.stream))
        group = [record for place, record in enumerate(group) if place not in set(bad)]
        times = times.drop_null()
    if not group:
        return None
    names = list(group[0].fields)
    own = [name for name in names if fold(name) in tags]
    columns = {TOPIC: pa.array([record.message.topic for record in group], pa.string()).dictionary_encode().cast(TAG_TYPE)}
    for name in [*own, *(name for name in names if name not in own)]:
        columns[name] = _column([record.fields[name] for record in group], tag=name in own)
    data = pa.record_batch([times, *columns.values()], names=["ts", *columns])
    return Batch(group[0].stream, (TOPIC, *own), data, RecordOrigin(group, times))


def _times(group: Sequence[Record]) -> pa.Array:
    arrivals = pa.array([record.message.arrival_us if record.time is None else None for record in group], pa.int64()).cast(TS_TYPE)
    if all(record.time is None for record in group):
        return arrivals
    sent = to_us(pa.array([record.time for record in group], pa.string()))
    return pc.coalesce(arrivals, sent)


def _column(values: list[Any], *, tag: bool) -> pa.Array:
    if tag:
        return pa.array([v if isinstance(v, str) else json.dumps(v) for v in values], pa.string()).dictionary_encode().cast(TAG_TYPE)
    kinds = {type(value) for value in values}
    if kinds == {int, float}:
        return pa.array([float(value) for value in values], pa.float64())
    one = kinds.pop()
    return pa.array(values, _TYPES[{int: Kind.INT, float: Kind.FLOAT, bool: Kind.BOOL, str: Kind.TEXT}[one]])
