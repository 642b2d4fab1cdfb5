"""The parameters of a report, and how they get into SQL and text: always as one whole value, never as a piece of the language.

``{name}`` in SQL becomes one literal of its type, with every quote doubled; within a string, a quoted name or a comment it is
refused, because there a value could end what it stands in. The type of a parameter is that of its default: number, truth value, day,
moment, else text. In text it is written with all of Markdown's signs taken back. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Final

from appliance.clock import US_PER_S, iso
from appliance.cold.batch.reports.period import Period
from appliance.errors import UsageRefused

VALUE_CHARS_MAX: Final = 10_000
BUILT_IN: Final = ("day", "last_day", "since", "until", "zone")
"""There without being named: first and last local day, the bounds in UTC (half-open), the zone's name."""
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOLE: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SIGNS: Final = re.compile(r"([!-/:-@\[-`{-~])")
_OPENS: Final = re.compile(r"(?<![A-Za-z0-9_])[eE]'|'|\"|--|/\*|\$[A-Za-z0-9_]*\$|\{[A-Za-z_][A-Za-z0-9_]*\}")


class Kind(StrEnum):
    """What a parameter is in SQL."""

    TEXT = "text"
    NUMBER = "number"
    BOOL = "true or false"
    DAY = "day"
    MOMENT = "moment"


@dataclass(frozen=True, slots=True)
class Value:
    """One parameter's value."""

    text: str
    """For people and for the name of the report."""
    sql: str
    """One literal."""


def kind_of(default: str) -> Kind:
    """What the default says that a parameter is; the empty one is text."""
    for kind in (Kind.NUMBER, Kind.BOOL, Kind.DAY, Kind.MOMENT):
        if _literal(kind, default) is not None:
            return kind
    return Kind.TEXT


def value_of(name: str, given: str, kind: Kind) -> Value:
    """A value as it was given. Raises ``UsageRefused`` where it is not of the kind of the parameter."""
    if len(given) > VALUE_CHARS_MAX or "\0" in given or any("\ud800" <= c <= "\udfff" for c in given):
        raise UsageRefused(f"parameter {name}: at most {VALUE_CHARS_MAX} characters of text, without NUL")
    literal = _literal(kind, given)
    if literal is None:
        raise UsageRefused(f"parameter {name}={given[:40]!r} is no {kind.value}, as its default is")
    return Value(given, literal)


def values_of(declared: Mapping[str, str], given: Mapping[str, str], *, period: Period, zone: str) -> dict[str, Value]:
    """All parameters of one report: the built-in ones and its own, by name. Raises ``UsageRefused`` for one that is not declared."""
    unknown = [name for name in given if name not in declared]
    if unknown:
        raise UsageRefused(f"there is no parameter {unknown[0]!r}; the report has {', '.join(('day', *declared))}")
    own = {name: value_of(name, given.get(name, default), kind_of(default)) for name, default in declared.items()}
    return {
        **own,
        "day": _day(period.day),
        "last_day": _day(period.last_day),
        "since": _moment(period.since_us),
        "until": _moment(period.until_us),
        "zone": Value(zone, quoted(zone)),
    }


def check_names(declared: Mapping[str, str]) -> None:
    """Raises ``UsageRefused`` for a name that can't stand between braces, or is built in."""
    for name in declared:
        if _NAME.fullmatch(name) is None:
            raise UsageRefused(f"{name!r} is no name for a parameter: letters, digits and _")
        if name in BUILT_IN:
            raise UsageRefused(f"{name!r} is there without being declared")


def fill_sql(sql: str, values: Mapping[str, Value]) -> str:
    """The query with its parameters as literals. Raises ``UsageRefused`` for an unknown one, and where no value can stand."""

    def put(name: str) -> str:
        if name not in values:
            raise UsageRefused(f"{{{name}}} is no parameter of this report; it has {', '.join(sorted(values))}")
        return values[name].sql

    return "".join(_parts(sql, put, frozenset(values)))


def fill_text(text: str, values: Mapping[str, Value]) -> str:
    """Markdown with its parameters as plain text; braces around anything else stay as they are."""

    def put(found: re.Match[str]) -> str:
        value = values.get(found[1])
        return found[0] if value is None else _SIGNS.sub(r"\\\1", " ".join(value.text.split()))

    return _HOLE.sub(put, text)


def quoted(text: str) -> str:
    """A literal of text in DuckDB: nothing but a quote means anything in it."""
    return "'" + text.replace("'", "''") + "'"


def _parts(sql: str, put: Callable[[str], str], names: frozenset[str]) -> Iterator[str]:
    at = 0
    while (found := _OPENS.search(sql, at)) is not None:
        yield sql[at : found.start()]
        opened = found[0]
        if opened.startswith("{"):
            yield put(opened[1:-1])
            at = found.end()
            continue
        at = _end(sql, found.end(), opened)
        inside = sql[found.start() : at]
        inner = next((m[1] for m in _HOLE.finditer(inside) if m[1] in names), None)
        if inner is not None:
            raise UsageRefused(f"{{{inner}}} stands within {_WHAT.get(opened[-1], 'quotes')}: it is a whole value, write it without")
        yield inside
    yield sql[at:]


_WHAT: Final = {"'": "quotes", '"': "a quoted name", "-": "a comment", "*": "a comment"}


def _end(sql: str, at: int, opened: str) -> int:
    """Where what was opened before ``at`` is over; the end of the text where it never is."""
    if opened == "--":
        return _after(sql.find("\n", at), 1, sql)
    if opened == "/*":
        depth = 1  # they nest
        for found in re.compile(r"/\*|\*/").finditer(sql, at):
            depth += 1 if found[0] == "/*" else -1
            if depth == 0:
                return found.end()
        return len(sql)
    if opened.startswith("$"):
        return _after(sql.find(opened, at), len(opened), sql)
    quote = opened[-1]
    while at < len(sql):
        if sql[at] == "\\" and len(opened) == 2:
            at += 2
        elif sql[at] == quote:
            if sql[at + 1 : at + 2] != quote:
                return at + 1
            at += 2
        else:
            at += 1
    return len(sql)


def _after(found: int, length: int, sql: str) -> int:
    return len(sql) if found < 0 else found + length


def _literal(kind: Kind, text: str) -> str | None:
    """The literal of a text that is of this kind, else None."""
    match kind:
        case Kind.NUMBER:
            return f"({text})" if _NUMBER.fullmatch(text) and text.isascii() else None
        case Kind.BOOL:
            return text if text in ("true", "false") else None
        case Kind.DAY:
            try:
                return f"DATE '{date.fromisoformat(text).isoformat()}'"
            except ValueError:
                return None
        case Kind.MOMENT:
            try:
                found = datetime.fromisoformat(text)
            except ValueError:
                return None
            return _timestamp(found.replace(tzinfo=None) if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None))
        case Kind.TEXT:
            return quoted(text)


def _timestamp(moment: datetime) -> str:
    return f"TIMESTAMP '{moment.isoformat(sep=' ')}'"


def _day(day: date) -> Value:
    return Value(day.isoformat(), f"DATE '{day.isoformat()}'")


def _moment(at_us: int) -> Value:
    whole, rest = divmod(at_us, US_PER_S)
    moment = datetime.fromtimestamp(whole, UTC).replace(tzinfo=None, microsecond=rest)
    return Value(iso(at_us), _timestamp(moment))
