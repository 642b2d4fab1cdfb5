"""What is asked of records about one incident, and how it is handed to the program. On the event loop; results are files below ``tmp``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from appliance.batching.work import Runner
from appliance.clock import US_PER_S
from appliance.hot.state import State, StreamState
from appliance.hybrid.analysis.deep import asking
from appliance.hybrid.analysis.deep.learning import key_of, name_of
from appliance.hybrid.analysis.deep.similar import sign_of
from appliance.hybrid.analysis.deep.values import DAY_US, HOUR_US, Asked, Past, Source, TextSource
from appliance.hybrid.analysis.refining.around import Trained
from appliance.observe.analysis import IncidentPicture, IncidentRow, MemberRow
from appliance.records import Kind, fold

HISTORY_US: Final = 30 * DAY_US
HISTORY_CELLS_MAX: Final = 9_000
"""Of a series: 30 days by five minutes."""
NEAR_CELLS_MAX: Final = 600
NEAR_US: Final = 1_200 * US_PER_S
"""At least so much before an incident, and half of it after it, is looked at closely."""
NEAR_US_MAX: Final = 6 * HOUR_US
MEMBERS_MAX: Final = 24
STREAMS_MAX: Final = 40
"""Streams around an incident, those of its members first, then those with the newest records."""
COLUMNS_MAX: Final = 64
"""Fields of one stream that are looked at around an incident, those of its members first."""
TEXTS_MAX: Final = 8
VALUES_MAX: Final = 2_000_000
"""Values of one stream around an incident: memory is bounded also with a hundred thousand keys."""
PEAKS_MAX: Final = 4
"""Of so many members it is asked whether the record at the peak is still the same."""
SETTLED_US: Final = 10 * US_PER_S
"""A record that came after another one with an event time so much earlier is late."""
_NUMBERS: Final = (Kind.FLOAT, Kind.INT)


@dataclass(slots=True)
class Gathered:
    """What the program is given, and the files that go when it has ended."""

    asked: Asked
    files: list[Path] = field(default_factory=list)

    def remove(self) -> None:
        """The files are no longer needed."""
        for file in self.files:
            file.unlink(missing_ok=True)


async def gather(
    runner: Runner,
    state: State,
    picture: IncidentPicture,
    past: Sequence[IncidentPicture],
    *,
    now_us: int,
    zone: str,
    trained: Trained,
) -> Gathered:
    """Asks about an incident as it is. Streams that are gone are left out; raises as the ``runner``'s queries."""
    incident = picture.incident
    members = tuple(m for m in picture.members if state.get(m.stream) is not None)
    now_us = min(now_us, max([_newest_us(s) for m in members if (s := state.get(m.stream))], default=now_us))
    severity = picture.answers[0].severity if picture.answers else incident.severity
    asked = _asked(incident, members, past, severity=severity, now_us=now_us, zone=zone, trained=trained)
    gathered = Gathered(asked)
    try:
        return await _filled(gathered, runner, state)
    except BaseException:
        gathered.remove()
        raise


def _asked(
    incident: IncidentRow,
    members: tuple[MemberRow, ...],
    past: Sequence[IncidentPicture],
    *,
    severity: float,
    now_us: int,
    zone: str,
    trained: Trained,
) -> Asked:
    since_us, until_us = incident.since_us, max(incident.since_us, incident.until_us)
    margin_us = min(NEAR_US_MAX, max(NEAR_US, 3 * (until_us - since_us)))
    return Asked(
        id=incident.id,
        since_us=since_us,
        until_us=until_us,
        now_us=now_us,
        severity=severity,
        members=members,
        history_since_us=since_us - HISTORY_US,
        near_since_us=since_us - margin_us,
        near_until_us=max(until_us + US_PER_S, min(now_us + US_PER_S, until_us + margin_us // 2)),
        history=(),
        near=(),
        past=tuple(_past(p) for p in past if p.incident.id != incident.id),
        zone=zone,
        models=trained.models,
        factors=_factors(members, trained),
    )


def _factors(members: Sequence[MemberRow], trained: Trained) -> dict[str, float]:
    names = [name_of(key_of(m.stream, m.column, m.key)) for m in members]
    return {str(i): trained.factors[name] for i, name in enumerate(names) if name in trained.factors and members[i].template is None}


async def _filled(gathered: Gathered, runner: Runner, state: State) -> Gathered:
    asked = gathered.asked
    history = [s for stream in _streams_of(asked.members) if (s := await _history(gathered, runner, state, stream)) is not None]
    near = [s for stream in _around(state, asked) if (s := await _near(gathered, runner, stream)) is not None]
    texts = [t for stream in _around(state, asked) for t in await _lines(gathered, runner, stream)]
    late = sum([await _late(runner, asked, stream) for stream in _streams_of(asked.members)])
    replaced, back = await _replaced(runner, state, asked), await _back(runner, state, asked)
    replaced |= {i: None for i, (last_us, _) in back.items() if last_us is not None and last_us > asked.members[int(i)].since_us}
    returned = {i: back_us for i, (_, back_us) in back.items() if back_us is not None and i not in replaced}
    gathered.asked = msgspec.structs.replace(
        asked, history=tuple(history), near=tuple(near), texts=tuple(texts[:TEXTS_MAX]), late=late, replaced=replaced, returned=returned
    )
    return gathered


async def _history(gathered: Gathered, runner: Runner, state: State, name: str) -> Source | None:
    """The members of one stream over all of its history."""
    asked, stream = gathered.asked, state.get(name)
    members = [m for m in asked.members if fold(m.stream) == fold(name) and m.template is None][:MEMBERS_MAX]
    if stream is None or not members:
        return None
    columns = [c for c in stream.schema.fields if c.kind in _NUMBERS and fold(c.name) in {fold(m.column) for m in members}]
    if not columns:
        return None
    tags = stream.schema.tags
    keys = list({tuple(sorted(m.key.items())): {t: m.key.get(t) for t in tags} for m in members}.values())
    since_us = max(asked.history_since_us, _oldest_us(stream))
    until_us = asked.now_us + US_PER_S
    step = asking.step_us(until_us - since_us, cells_max=HISTORY_CELLS_MAX)
    names = tuple(c.name for c in columns)
    sql = asking.cells_sql(
        stream.name, tags, names, step_us=step, since_us=since_us, until_us=until_us, keys=keys if tags else (), extremes=True
    )
    path = await _file(gathered, runner, sql)
    return Source(stream=stream.name, tags=tags, columns=names, path=path, step_us=step, has_extremes=True)


async def _near(gathered: Gathered, runner: Runner, stream: StreamState) -> Source | None:
    """All series of one stream around the incident."""
    asked = gathered.asked
    wanted = {fold(m.column) for m in asked.members if fold(m.stream) == fold(stream.name)}
    numbers = [c.name for c in stream.schema.fields if c.kind in _NUMBERS]
    names = tuple(sorted(numbers, key=lambda n: fold(n) not in wanted)[:COLUMNS_MAX])
    if not names:
        return None
    since_us, until_us = asked.near_since_us, asked.near_until_us
    step = asking.step_us(until_us - since_us, cells_max=NEAR_CELLS_MAX)
    sql = asking.cells_sql(stream.name, stream.schema.tags, names, step_us=step, since_us=since_us, until_us=until_us)
    path = await _file(gathered, runner, f"{sql} LIMIT {VALUES_MAX // len(names)}")
    return Source(stream=stream.name, tags=stream.schema.tags, columns=names, path=path, step_us=step)


async def _lines(gathered: Gathered, runner: Runner, stream: StreamState) -> list[TextSource]:
    """The lines of one stream around the incident."""
    asked = gathered.asked
    found: list[TextSource] = []
    for column in [c.name for c in stream.schema.fields if c.kind is Kind.TEXT][:2]:
        sql = asking.lines_sql(stream.name, column, since_us=asked.near_since_us, until_us=asked.near_until_us, near_us=asked.since_us)
        found.append(TextSource(stream=stream.name, column=column, path=await _file(gathered, runner, sql)))
    return found


async def _late(runner: Runner, asked: Asked, name: str) -> int:
    """Records of one stream that came after the record at the peak and were from before it."""
    newest = max((m for m in asked.members if fold(m.stream) == fold(name)), key=lambda m: m.seq)
    if newest.seq <= 0:
        return 0
    until_us = newest.peak_us - SETTLED_US
    sql = asking.late_sql(newest.stream, since_us=asked.near_since_us, until_us=until_us, after_seq=newest.seq)
    return int((await runner.table(sql)).column("n")[0].as_py()) if until_us > asked.near_since_us else 0


async def _replaced(runner: Runner, state: State, asked: Asked) -> dict[str, float | None]:
    """Of the gravest members: those whose record at the peak is another one now."""
    found: dict[str, float | None] = {}
    order = sorted(range(len(asked.members)), key=lambda i: -asked.members[i].score)
    known = [i for i in order if asked.members[i].kind == "value" and asked.members[i].value is not None and asked.members[i].seq > 0]
    for i in known[:PEAKS_MAX]:
        member = asked.members[i]
        stream = state.get(member.stream)
        column = None if stream is None else stream.schema.by_fold.get(fold(member.column))
        if stream is None or column is None:
            continue
        sql = asking.at_sql(stream.name, stream.schema.tags, column.name, member.key, ts_us=member.peak_us)
        [row] = (await runner.table(sql)).to_pylist()
        if not row["n"] or row["v"] is None:
            found[str(i)] = None
        elif row["v"] != member.value and row["n"] == 1:
            found[str(i)] = float(row["v"])
    return found


async def _back(runner: Runner, state: State, asked: Asked) -> dict[str, tuple[int | None, int | None]]:
    """Of the gravest series that were said to be silent: when something came of them last within that time, and again after it."""
    found: dict[str, tuple[int | None, int | None]] = {}
    silent = [i for i, m in enumerate(asked.members) if m.kind == "silence" and m.key and state.get(m.stream) is not None]
    for i in sorted(silent, key=lambda i: -asked.members[i].score)[:PEAKS_MAX]:
        m, stream = asked.members[i], state.get(asked.members[i].stream)
        assert stream is not None
        since_us = min(asked.near_since_us, m.since_us)
        sql = asking.around_sql(stream.name, stream.schema.tags, m.key, since_us=since_us, until_us=m.until_us)
        [row] = (await runner.table(sql)).to_pylist()
        found[str(i)] = (row["last"], row["back"])
    return found


async def _file(gathered: Gathered, runner: Runner, sql: str) -> str:
    written = await runner.file(sql, format="parquet")
    gathered.files.append(written.path)
    return str(written.path)


def _streams_of(members: Sequence[MemberRow]) -> list[str]:
    """In the order of the members, each once."""
    return list({fold(m.stream): m.stream for m in members}.values())


def _around(state: State, asked: Asked) -> list[StreamState]:
    """Streams that have records around the incident."""
    own = {fold(m.stream) for m in asked.members}
    found = [s for key, s in state.streams.items() if not key.startswith("_") and _newest_us(s) >= asked.near_since_us]
    return sorted(found, key=lambda s: (fold(s.name) not in own, -_newest_us(s), s.name))[:STREAMS_MAX]


def _oldest_us(stream: StreamState) -> int:
    """Event time of the earliest record that is known of without reading."""
    return min([*(s.ts_min for s in stream.segments), *(c.ts_min for c in stream.ring)], default=0)


def _newest_us(stream: StreamState) -> int:
    return max([*(s.ts_max for s in stream.segments), *(c.ts_max for c in stream.ring)], default=0)


def _past(picture: IncidentPicture) -> Past:
    incident = picture.incident
    return Past(
        id=incident.id,
        since_us=incident.since_us,
        verdict=incident.verdict,
        feedback=incident.feedback,
        members=tuple(sign_of(m) for m in picture.members),
    )
