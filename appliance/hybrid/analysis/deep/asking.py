"""What the deep pass asks of the lake, as SQL: cells of time by key, whatever the number of records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from appliance.hybrid.analysis.deep.values import CELLS_MAX

STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600)
"""Widths of cells: what people know from clocks."""
LINES_MAX: Final = 20_000
"""Lines of one text field near an incident that are looked at, those nearest to its beginning first."""


def step_us(span_us: int, *, cells_max: int = CELLS_MAX) -> int:
    """The narrowest width with which a span has at most so many cells."""
    return next((s for s in STEPS_S if span_us <= s * 1_000_000 * cells_max), STEPS_S[-1]) * 1_000_000


def cells_sql(
    stream: str,
    tags: Sequence[str],
    columns: Sequence[str],
    *,
    step_us: int,
    since_us: int,
    until_us: int,
    keys: Sequence[Mapping[str, str | None]] = (),
    extremes: bool = False,
) -> str:
    """As ``Source`` has it; of these ``keys`` alone, with none given of all."""
    parts = [f'CAST({quoted(t)} AS VARCHAR) AS "k{i}"' for i, t in enumerate(tags)]
    parts += [f"epoch_us(ts) // {step_us} AS b", "count(*) AS n"]
    for i, column in enumerate(columns):
        value = f"CAST({quoted(column)} AS DOUBLE)"
        value = f"CASE WHEN isfinite({value}) THEN {value} END"
        parts.append(f"avg({value}) AS m{i}")
        if extremes:
            parts += [f"min({value}) AS l{i}", f"max({value}) AS h{i}"]
    where = f"ts >= make_timestamp({since_us}) AND ts < make_timestamp({until_us})"
    if keys:
        where += f" AND ({' OR '.join(_is(key) for key in keys)})"
    return f"SELECT {', '.join(parts)} FROM {quoted(stream)} WHERE {where} GROUP BY ALL"


def keys_sql(stream: str, tags: Sequence[str], *, since_us: int, until_us: int) -> str:
    """One row: ``n`` different keys; ``tags``: at least one."""
    names = ", ".join(map(quoted, tags))
    where = f"ts >= make_timestamp({since_us}) AND ts < make_timestamp({until_us})"
    return f"SELECT count(*) AS n FROM (SELECT DISTINCT {names} FROM {quoted(stream)} WHERE {where}) AS k"


def at_sql(stream: str, tags: Sequence[str], column: str, key: Mapping[str, str | None], *, ts_us: int) -> str:
    """One row: ``n`` records of a key at one instant, the newest's value ``v``."""
    value = f"CAST({quoted(column)} AS DOUBLE)"
    where = f"ts = make_timestamp({ts_us}) AND {_is({t: key.get(t) for t in tags})}"
    return f"SELECT count(*) AS n, arg_max({value}, _seq) AS v FROM {quoted(stream)} WHERE {where}"


def around_sql(stream: str, tags: Sequence[str], key: Mapping[str, str | None], *, since_us: int, until_us: int) -> str:
    """One row: event time of the newest record of a key from ``since_us`` to ``until_us`` (``last``), and of the first one after it
    (``back``); null: none."""
    until = f"make_timestamp({until_us})"
    return (
        f"SELECT epoch_us(max(ts) FILTER (WHERE ts <= {until})) AS last, epoch_us(min(ts) FILTER (WHERE ts > {until})) AS back"
        f" FROM {quoted(stream)} WHERE ts >= make_timestamp({since_us}) AND {_is({t: key.get(t) for t in tags})}"
    )


def late_sql(stream: str, *, since_us: int, until_us: int, after_seq: int) -> str:
    """One row: ``n`` records with an event time in the span that came after a sequence."""
    return (
        f"SELECT count(*) AS n FROM {quoted(stream)}"
        f" WHERE ts >= make_timestamp({since_us}) AND ts < make_timestamp({until_us}) AND _seq > {after_seq}"
    )


def lines_sql(stream: str, column: str, *, since_us: int, until_us: int, near_us: int) -> str:
    """Columns ``ts``, ``text``; at most ``LINES_MAX``, each at most 1,000 characters."""
    text = quoted(column)
    return (
        f"SELECT ts, left({text}, 1000) AS text FROM {quoted(stream)}"
        f" WHERE ts >= make_timestamp({since_us}) AND ts < make_timestamp({until_us}) AND {text} IS NOT NULL"
        f" ORDER BY abs(epoch_us(ts) - {near_us}) LIMIT {LINES_MAX}"
    )


def quoted(name: str) -> str:
    """As SQL has any name."""
    return '"' + name.replace('"', '""') + '"'


def _is(key: Mapping[str, str | None]) -> str:
    same = [f"{quoted(t)} IS NULL" if v is None else f"{quoted(t)} = {_text(v)}" for t, v in key.items()]
    return f"({' AND '.join(same)})" if same else "true"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
