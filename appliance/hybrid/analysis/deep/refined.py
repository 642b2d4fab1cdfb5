"""From an incident and what the lake says of it to the deep pass' answer: its verdict, confidence, basis, evidence. Pure but for reading.

What it says rests on three things: how far off the members were from what was to be expected with everything known before and after; how
often their history has something like it; and what moved around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from appliance.hybrid.analysis.deep import telling
from appliance.hybrid.analysis.deep.grid import Grid, from_cells
from appliance.hybrid.analysis.deep.judging import Judged, judged
from appliance.hybrid.analysis.deep.similar import Alike, id_of, similar
from appliance.hybrid.analysis.deep.surroundings import Around, Moved, around
from appliance.hybrid.analysis.deep.tables import Series, series_of
from appliance.hybrid.analysis.deep.totals import as_rates
from appliance.hybrid.analysis.deep.values import DAY_US, F64, HOUR_US, Asked, Refined
from appliance.observe.analysis import MemberRow

DISMISSED_BELOW: Final = 0.3
"""What is less unusual than this with everything known is nothing."""
EARLIER_US: Final = 60_000_000
"""It began earlier, where by more than this."""
BY_PEOPLE: Final = 0.5
"""What people have dismissed is worth this part of what it would be."""
MEMBERS_MAX: Final = 24
"""The gravest members are looked at."""
ADDED_MAX: Final = 8
ADDED_SPREADS: Final = 6.0
"""Further series belong to it from this size on."""
Looked = tuple[MemberRow, Judged]


def refine(asked: Asked) -> Refined:
    """See the module. With too little history it says so, with little confidence."""
    members = sorted(asked.members, key=lambda m: -m.score)[:MEMBERS_MAX]
    looked = _look(asked, members)
    replaced = [m for i, m in enumerate(asked.members) if str(i) in asked.replaced]
    known = [(m, j) for m, j in looked if j.is_known and m not in replaced]
    lead = max(known, key=lambda each: each[1].unusual)[0] if known else next((m for m in members if m.template is None), None)
    surroundings = around(asked, lead)
    alike = similar(asked.members, asked.past)
    unusual = _unusual(known, members, replaced, alike)
    added = _added(surroundings) if unusual >= DISMISSED_BELOW else ()
    since_us = _since(asked, surroundings, known)
    wrong = _wrong(members, known)
    verdict = _verdict(unusual, known, is_wrong=wrong is not None or bool(replaced), is_more=bool(added) or since_us is not None)
    severity = min(1.0, unusual) if known else asked.severity * (0.2 if verdict == "dismissed" else 1.0)
    picture = telling.Picture(asked, verdict, looked, replaced, lead, surroundings, tuple(alike), added, since_us, wrong)
    return Refined(
        verdict=verdict,
        confidence=_confidence(asked, unusual, known, bool(replaced), verdict),
        severity=severity,
        summary=telling.summary(picture),
        basis=telling.basis(picture),
        difference=telling.difference(picture),
        evidence=telling.evidence(picture),
        members=tuple(telling.member(m) for m in added),
        lines=surroundings.lines,
        since_us=since_us,
        models=asked.models,
    )


def _look(asked: Asked, members: Sequence[MemberRow]) -> list[Looked]:
    """The numeric members with what their history says of them."""
    wanted = {id_of(m.stream, m.column, m.key): m for m in members if m.template is None}
    factors = {id(m): asked.factors.get(str(i), 1.0) for i, m in enumerate(asked.members)}
    found: list[Looked] = []
    for source in asked.history:
        for series in series_of(source):
            member = wanted.get(id_of(series.stream, series.column, series.key))
            if member is not None:
                j = _judge(series, member, asked, source.step_us)
                found.append((member, replace(j, unusual=min(1.0, j.unusual / factors[id(member)]))))
    return found


def _judge(series: Series, member: MemberRow, asked: Asked, step_us: int) -> Judged:
    if member.kind == "rate" and len(series.cells) > 1:
        series = as_rates(series, step_us=step_us)
        if not len(series.cells):
            return judged(Grid(0, 1, np.zeros(1), np.zeros(1, np.bool_)), np.full(1, np.nan), np.full(1, np.nan), since_us=0, until_us=0)
    since, until = int(series.cells[0]), int(max(series.cells[-1], member.until_us // step_us)) + 1
    grid = from_cells(series.cells, series.mean, step_us=step_us, since=since, until=until)
    low, high = (_spread_out(series, v, since, until) for v in (series.low, series.high))
    return judged(grid, low, high, since_us=max(member.since_us, asked.history_since_us), until_us=member.until_us)


def _spread_out(series: Series, values: F64, since: int, until: int) -> F64:
    out = np.full(until - since, np.nan)
    out[series.cells - since] = values
    return out


def _unusual(known: Sequence[Looked], members: Sequence[MemberRow], replaced: Sequence[MemberRow], alike: Sequence[Alike]) -> float:
    """0 to 1: the most unusual member, and what people said of incidents like it."""
    if known:
        found = max(j.unusual for _, j in known)
    elif replaced and all(m in replaced for m in members):
        found = 0.0
    else:
        found = 0.5
    said = [a.past.feedback for a in alike if a.past.feedback]
    if said and all(word == "dismiss" for word in said):
        found *= BY_PEOPLE
    elif said and all(word == "confirm" for word in said):
        found = min(1.0, max(found, DISMISSED_BELOW) / BY_PEOPLE) if found < BY_PEOPLE else found
    return found


def _added(surroundings: Around) -> tuple[Moved, ...]:
    """Series that belong to it and were not known to: the furthest."""
    found = [m for m in surroundings.moved if not m.is_member and m.template is None and abs(m.spreads) >= ADDED_SPREADS]
    return tuple(sorted(found, key=lambda m: -abs(m.spreads * m.together))[:ADDED_MAX])


def _since(asked: Asked, surroundings: Around, known: Sequence[Looked]) -> int | None:
    """When it began, where that was clearly earlier than the first answer has it: by the members' own moves, and by their history."""
    onsets = [m.onset_us for m in surroundings.moved if m.is_member]
    onsets += [j.since_us for _, j in known if j.since_us is not None]
    return min(onsets) if onsets and min(onsets) < asked.since_us - EARLIER_US else None


def _wrong(members: Sequence[MemberRow], known: Sequence[Looked]) -> MemberRow | None:
    """What the first pass held to be the gravest, where that is nothing and another one is what is unusual; None: it was right."""
    gravest = next((j for m, j in known if members and m is members[0]), None)
    others = [j.unusual for m, j in known if not members or m is not members[0]]
    is_wrong = gravest is not None and gravest.unusual < DISMISSED_BELOW <= max(others, default=0.0)
    return members[0] if is_wrong else None


def _verdict(unusual: float, known: Sequence[Looked], *, is_wrong: bool, is_more: bool) -> str:
    if unusual < DISMISSED_BELOW:
        return "dismissed"
    if is_wrong or any(j.change is not None for _, j in known):
        return "corrected"
    return "extended" if is_more else "confirmed"


def _confidence(asked: Asked, unusual: float, known: Sequence[Looked], is_replaced: bool, verdict: str) -> float:
    """From how clear it is, how much history there is, and whether there is anything after it yet."""
    if verdict == "dismissed" and not known:
        return 0.9 if is_replaced else 0.4
    if not known:
        return 0.3
    clear = (DISMISSED_BELOW - unusual) / DISMISSED_BELOW if verdict == "dismissed" else (unusual - DISMISSED_BELOW) / 0.5
    history_us = max(j.history_us for _, j in known)
    enough = next(
        c for least, c in ((14 * DAY_US, 1.0), (3 * DAY_US, 0.9), (DAY_US, 0.8), (HOUR_US, 0.6), (0, 0.45)) if history_us >= least
    )
    has_after = asked.now_us - asked.until_us >= min(600_000_000, asked.until_us - asked.since_us)
    return round(float((0.5 + 0.5 * min(1.0, clear)) * enough * (1.0 if has_after else 0.9)), 3)
