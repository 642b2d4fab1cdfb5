"""The slow, exact way for the few JSON lines that the fast one can't take: one line at a time, each refused or kept for itself."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import pyarrow as pa

from appliance.errors import RejectRecord
from appliance.records import Kind, fold
from appliance.sources.codecs.casting import shown
from appliance.sources.codecs.times import TIME_NAMES, pick_time

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_TYPES = {Kind.TAG: pa.string(), Kind.FLOAT: pa.float64(), Kind.INT: pa.int64(), Kind.BOOL: pa.bool_(), Kind.TEXT: pa.string()}
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Exact:
    """What became of some lines."""

    columns: dict[str, pa.Array]
    """The kept lines, by column; the event time as text in ``ts``, whatever the lines call it."""
    refused: dict[int, str]
    """Index of a line -> why it is refused."""
    widened: dict[str, Kind]
    """Columns that had to become wider than ``kinds`` says."""


def read_exactly(lines: Sequence[bytes], *, kinds: Mapping[str, Kind], known: Callable[[str], Kind | None]) -> Exact:
    """``kinds``: what is settled for this file; ``known``: what the stream has. Ints widen to floats; other clashes refuse the line."""
    names: dict[str, str] = {fold(name): name for name in kinds}
    refused: dict[int, str] = {}
    records: dict[int, Record] = {}
    for row, line in enumerate(lines):
        try:
            records[row] = _flat_record(line, names)
        except RejectRecord as reason:
            refused[row] = str(reason)
    time = _take_times(records, names)
    wanted = dict(kinds)
    for row in list(records):
        try:
            wanted.update(_kinds_with(records[row], wanted, known))
        except RejectRecord as reason:
            refused[row] = str(reason)
            del records[row], time[row]
    columns = {name: array for name, kind in wanted.items() if (array := _column(name, kind, records.values())) is not None}
    if any(value is not None for value in time.values()):
        columns["ts"] = pa.array(list(time.values()), pa.string())
    widened = {name: kind for name, kind in wanted.items() if kinds.get(name, kind) is not kind}
    return Exact(columns=columns, refused=refused, widened=widened)


def _take_times(records: Mapping[int, Record], names: Mapping[str, str]) -> dict[int, str | None]:
    """Takes the event time out of the records, as text."""
    there = [names[name] for name in TIME_NAMES if name in names]
    texts = {name: [_text(record.get(name)) for record in records.values()] for name in there}
    name = pick_time({name: pa.array(cells, pa.string()) for name, cells in texts.items()})
    if name is None:
        return dict.fromkeys(records)
    for record in records.values():
        record.pop(name, None)
    return dict(zip(records, texts[name], strict=True))


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def flat_object(found: object) -> Record:
    """A decoded JSON object with scalar members, those of objects within as ``outer_inner``. Raises ``RejectRecord``."""
    if not isinstance(found, dict):
        raise RejectRecord(f"is {_word(found)}, not a JSON object")
    record: Record = {}
    for key, value in found.items():
        members = {f"{key}_{inner}": member for inner, member in value.items()} if isinstance(value, dict) else {key: value}
        for name, member in members.items():
            if isinstance(member, (dict, list)):
                raise RejectRecord(f"{shown(name)} holds {_word(member)}; only one level of nesting is taken")
            if name in record:
                raise RejectRecord(f"{shown(name)} comes twice")
            record[name] = member
    if not record:
        raise RejectRecord("the object is empty")
    return record


def decode(raw: bytes) -> object:
    """JSON as RFC 8259 has it (no NaN, no key twice). Raises ``RejectRecord``."""
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_pairs)
    except UnicodeDecodeError as error:
        raise RejectRecord("is not UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        raise RejectRecord(f"is no JSON: {str(error)[:100]}") from error


def _flat_record(line: bytes, names: dict[str, str]) -> Record:
    record: Record = {}
    for name, value in flat_object(decode(line)).items():
        name = names.setdefault(fold(name), name)
        if name in record:
            raise RejectRecord(f"{shown(name)} comes twice, differing only in case")
        record[name] = checked(name, value)
    return record


def checked(name: str, value: Any) -> Any:
    """A member's value, if it can be kept. Raises ``RejectRecord``."""
    if isinstance(value, float) and not math.isfinite(value):
        raise RejectRecord(f"{shown(name)}: {value} is not a finite number")
    if isinstance(value, int) and not _INT_MIN <= value <= _INT_MAX:
        raise RejectRecord(f"{shown(name)}: {shown(value)} is beyond 64 bits")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise RejectRecord(f"{shown(name)} holds half a surrogate pair") from error
    return value


def _kinds_with(record: Record, wanted: Mapping[str, Kind], known: Callable[[str], Kind | None]) -> dict[str, Kind]:
    """The columns whose kind this record settles or widens. Raises ``RejectRecord`` on a clash."""
    changes: dict[str, Kind] = {}
    for name, value in record.items():
        if value is None:
            continue
        kind = _kind_of(value)
        have = wanted.get(name) or known(name)
        if have is None or (have is Kind.INT and kind is Kind.FLOAT):
            changes[name] = kind
        elif have is Kind.TAG:
            record[name] = _text(value)
            changes[name] = Kind.TAG
        elif have is not kind and not (have is Kind.FLOAT and kind is Kind.INT):
            raise RejectRecord(f"{shown(name)}: {shown(value)} is {kind.value}, where the column is {have.value}")
        elif name not in wanted:
            changes[name] = have
    return changes


def _column(name: str, kind: Kind, records: Collection[Record]) -> pa.Array | None:
    """The values of one column; None where no record has one."""
    values = [record.get(name) for record in records]
    if all(value is None for value in values):
        return None
    if kind is Kind.FLOAT:
        values = [value if value is None else float(value) for value in values]
    return pa.array(values, _TYPES[kind])


def _kind_of(value: object) -> Kind:
    if isinstance(value, bool):
        return Kind.BOOL
    if isinstance(value, int):
        return Kind.INT
    return Kind.FLOAT if isinstance(value, float) else Kind.TEXT


def _word(value: object) -> str:
    return "an array" if isinstance(value, list) else "an object" if isinstance(value, dict) else f"the value {shown(value)}"


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found
