"""The report that comes without any config: the box and its streams, one day. Its text is made from the streams that there are. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

NAME: Final = "daily"
SCHEDULE: Final = "15 0 * * *"
"""A while after midnight, so that what is under way arrives before it."""
TITLE: Final = "The day of the box"
STREAMS_MAX: Final = 100
"""Streams that are looked at, those with most records first; of more the report says so."""
STEP: Final = "INTERVAL '10 minutes'"


@dataclass(frozen=True, slots=True)
class StreamName:
    """A stream and what is in it, as far as the text depends on it."""

    name: str
    columns: frozenset[str]
    records: int


def text(streams: Sequence[StreamName]) -> str:
    """Markdown with its blocks; ``{since}`` and the like are still in it."""
    whole = [s for s in streams if "{" not in s.name]  # a brace would be taken for a parameter
    known = sorted(whole, key=lambda s: (-s.records, s.name))[:STREAMS_MAX]
    pieces = ['```box health title="The box now"\n```', "```box problems title=Problems\n```"]
    if known:
        pieces += _records(known)
        if len(streams) > len(known):
            left = len(streams) - len(known)
            pieces.append(f"{left} of {len(streams)} streams are left out: at most {STREAMS_MAX}, and none with a brace in its name.")
    pieces += [_REFUSED, _AGREEMENT, _ALERTS, *_host(known)]
    pieces += ["## The machine and the service", "```box disk title=Disk\n```", _GROWTH]
    pieces += ['```box latency title="How fast it is now"\n```', "```box sources title=Sources\n```"]
    return "\n\n".join(pieces)


def _records(known: Sequence[StreamName]) -> list[str]:
    counted = "\nUNION ALL\n".join(
        f"SELECT {_literal(s.name)} AS stream, time_bucket({STEP}, ts) AS slot, count(*) AS n, min(ts) AS first, max(ts) AS last"
        f" FROM {_name(s.name)} WHERE ts >= {{since}} AND ts < {{until}} GROUP BY ALL"
        for s in known
    )
    largest = ", ".join(_literal(s.name) for s in known[:6])
    return [
        "## Records",
        f"""```sql title="Records per stream" key=stream
WITH counted AS ({counted})
SELECT s.name AS stream, coalesce(sum(n), 0)::BIGINT AS records, min(first) AS first, max(last) AS last,
       round(coalesce(sum(n), 0) / (epoch({{until}}) - epoch({{since}})), 3) AS per_second
FROM (VALUES {", ".join(f"({_literal(s.name)})" for s in known)}) s(name) LEFT JOIN counted c ON c.stream = s.name
GROUP BY s.name ORDER BY records DESC, stream
```""",
        f"""```chart area title="Records per hour" unit="records" x=hour y=records by=stream
WITH counted AS ({counted})
SELECT time_bucket(INTERVAL '1 hour', slot) AS hour, CASE WHEN stream IN ({largest}) THEN stream ELSE 'others' END AS stream,
       sum(n)::BIGINT AS records
FROM counted GROUP BY ALL ORDER BY ALL
```""",
        f"""```sql title="Gaps" key=stream,since
WITH counted AS ({counted}),
steps AS (SELECT stream, last AS since, lead(first) OVER (PARTITION BY stream ORDER BY slot) AS until,
                 epoch(lead(slot) OVER (PARTITION BY stream ORDER BY slot)) - epoch(slot) AS step_s FROM counted),
usual AS (SELECT stream, median(step_s) AS usual_s FROM steps GROUP BY stream)
SELECT stream, since, until, round((epoch(until) - epoch(since)) / 60, 1) AS minutes
FROM steps JOIN usual USING (stream) WHERE step_s > greatest(1200, 5 * usual_s) ORDER BY minutes DESC, stream LIMIT 50
```""",
    ]


_REFUSED: Final = """## Refused records

```sql key=source,stream,reason
SELECT source, stream, left(reason, 160) AS reason, count(*) AS records, count(replayed) AS replayed
FROM _deadletters WHERE "at" >= {since} AND "at" < {until} GROUP BY ALL ORDER BY records DESC LIMIT 30
```"""

_AGREEMENT: Final = """## Do both sides agree

```sql key=found,kind,what
SELECT found, kind, left(what, 200) AS what, state, left(did, 160) AS did
FROM _divergence WHERE (found >= {since} AND found < {until}) OR (changed >= {since} AND changed < {until}) ORDER BY found, id LIMIT 100
```"""

_ALERTS: Final = """## Alerts

```sql key=rule,key,fired
WITH fires AS (
    SELECT rule, key, fire, min("at") FILTER ("new" = 'firing') AS fired,
           max("at") FILTER ("new" = 'ok') AS resolved, count(*) FILTER (kind = 'acked') > 0 AS acknowledged
    FROM _alert_history WHERE fire > 0 GROUP BY ALL)
SELECT rule, key, fired, resolved, round((epoch(least(coalesce(resolved, {until}), {until})) - epoch(greatest(fired, {since}))) / 60, 1)
       AS minutes_of_the_day, acknowledged
FROM fires WHERE fired < {until} AND coalesce(resolved, {until}) >= {since} ORDER BY fired, rule, key LIMIT 200
```"""

_GROWTH: Final = """```sql title="What the lake grows by" key=stream
SELECT stream, sum(bytes)::BIGINT AS bytes, sum("rows")::BIGINT AS records, round(sum(bytes) / sum("rows"), 2) AS bytes_per_record
FROM _segments WHERE state = 'live' AND day >= {day} AND day <= {last_day} GROUP BY ALL ORDER BY bytes DESC, stream
```"""

_HOST: Final = (
    ("host_cpu", "busy", "Processor", "%", "avg(busy) AS busy, max(busy) AS peak", "cpu = 'all'"),
    ("host_load", "load1", "Load", "", "avg(load1) AS load1, max(load1) AS peak", "true"),
    ("host_memory", "used_percent", "Memory", "%", "avg(used_percent) AS used, max(used_percent) AS peak", "true"),
    ("host_disk", "used_percent", "Disks", "%", "mount, max(used_percent) AS used", "true"),
    (
        "host_net",
        "bytes_recv_per_s",
        "Network",
        "bytes/s",
        "interface, avg(bytes_recv_per_s) AS received, avg(bytes_sent_per_s) AS sent",
        "true",
    ),
    ("host_temperature", "celsius", "Temperature", "°C", "sensor, max(celsius) AS celsius", "true"),
)
"""Stream, a column that it must have, title, unit, what is drawn of each ten minutes, which records."""


def _host(known: Sequence[StreamName]) -> list[str]:
    there = {s.name.lower(): s for s in known}
    charts = [
        f"""```chart line title="{title}" unit="{unit}" x=slot
SELECT time_bucket({STEP}, ts) AS slot, {drawn} FROM {stream} WHERE ts >= {{since}} AND ts < {{until}} AND {which} GROUP BY ALL ORDER BY ALL
```"""
        for stream, column, title, unit, drawn, which in _HOST
        if stream in there and column in {c.lower() for c in there[stream].columns}
    ]
    return ["## This machine", *charts] if charts else []


def _name(stream: str) -> str:
    return '"' + stream.replace('"', '""') + '"'


def _literal(stream: str) -> str:
    return "'" + stream.replace("'", "''") + "'"
