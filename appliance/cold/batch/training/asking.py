"""What a training asks of the lake, as SQL: it gives rows by key and hour, whatever the number of records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

HOUR_US: Final = 3_600_000_000
SPREADS: Final = 3.0
"""A record further than so many spreads from the median is out of bounds: of a normal distribution 0.3 % are."""
MAD_TO_SIGMA: Final = 1.4826
"""A median absolute deviation times this is the standard deviation of a normal distribution (Rousseeuw and Croux, 1993)."""


def hourly_sql(stream: str, by: Sequence[str], column: str, *, since_us: int, until_us: int) -> str:
    """Columns ``k0``…, ``h`` (hours since 1970), ``n`` (records), ``mean``, ``low`` and ``high`` (the extremes)."""
    value = _quoted(column)
    return (
        f"SELECT {_keys(by)}epoch_us(ts) // {HOUR_US} AS h, count(*) AS n, avg({value}) AS mean,"
        f" CAST(min({value}) AS DOUBLE) AS low, CAST(max({value}) AS DOUBLE) AS high"
        f" FROM {_quoted(stream)} WHERE {_within(column, since_us, until_us)} GROUP BY ALL"
    )


def robust_sql(stream: str, by: Sequence[str], column: str, *, since_us: int, held_us: int, until_us: int) -> str:
    """Columns ``k0``…, ``median``, ``mad``, ``held`` (records from ``held_us`` on), ``inside`` (of these, those within bounds).

    Medians by t-digest, so memory follows the keys; learned from what is before ``held_us`` alone.
    """
    names = [f"k{i}" for i in range(len(by))]
    same = " AND ".join(f"r.{n} IS NOT DISTINCT FROM m.{n}" for n in names) or "true"
    keys = "".join(f"r.{n}, " for n in names)
    known, mads = "".join(f"{n}, " for n in names), "".join(f"m.{n}, " for n in names)
    return (
        f"WITH r AS (SELECT {_keys(by)}epoch_us(ts) AS us, CAST({_quoted(column)} AS DOUBLE) AS x FROM {_quoted(stream)}"
        f" WHERE {_within(column, since_us, until_us)}),"
        f" c AS (SELECT {known}approx_quantile(x, 0.5) AS median FROM r WHERE us < {held_us} GROUP BY ALL),"
        f" m AS (SELECT {keys}any_value(m.median) AS median, approx_quantile(abs(r.x - m.median), 0.5) AS mad"
        f" FROM r JOIN c AS m ON {same} WHERE r.us < {held_us} GROUP BY {keys.rstrip(', ') or 'ALL'})"
        f" SELECT {mads}any_value(m.median) AS median, any_value(m.mad) AS mad, count(*) FILTER (r.us >= {held_us}) AS held,"
        f" count(*) FILTER (r.us >= {held_us} AND abs(r.x - m.median) <= {SPREADS * MAD_TO_SIGMA} * m.mad) AS inside"
        f" FROM r JOIN m ON {same} GROUP BY {mads.rstrip(', ') or 'ALL'}"
    )


def _keys(by: Sequence[str]) -> str:
    return "".join(f'CAST({_quoted(c)} AS VARCHAR) AS "k{i}", ' for i, c in enumerate(by))


def _within(column: str, since_us: int, until_us: int) -> str:
    return f"ts >= make_timestamp({since_us}) AND ts < make_timestamp({until_us}) AND {_quoted(column)} IS NOT NULL"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
