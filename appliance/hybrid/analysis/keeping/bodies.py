"""What grouping has to know across a restart, as one text for each workload: sightings that wait, what is usual, how far it has come."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from appliance.hybrid.analysis.incidents.cases import Case, Size
from appliance.hybrid.analysis.incidents.grouping import Group
from appliance.hybrid.analysis.incidents.opening import Heat, Peaks
from appliance.hybrid.analysis.incidents.surprises import Surprises
from appliance.hybrid.analysis.sighting import Sighting
from appliance.observe.analysis import IncidentRow, MemberRow

log = logging.getLogger(__name__)


class _Rest(msgspec.Struct, frozen=True, kw_only=True):
    """Of an incident that goes on: what no table has."""

    since_us: int
    until_us: int
    others: int
    learned: float
    step_us: int
    is_dismissed: bool
    told: Size


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    waiting: tuple[Sighting, ...] = ()
    heats: dict[str, Heat] = {}
    free: dict[str, Heat] = {}
    peaks: dict[str, Peaks] = {}
    places: dict[str, int] = {}
    seen: dict[str, int] = {}
    cases: dict[str, _Rest] = {}


def body_of(group: Group) -> str:
    """As text; ``group_of`` makes it again."""
    names = _Rest.__struct_fields__
    cases = {str(c.id): _Rest(**{name: getattr(c, name) for name in names}) for c in group.cases.values()}
    found = group.surprises
    body = _Body(
        waiting=group.waiting,
        heats=found.all,
        free=found.free,
        peaks=found.peaks,
        places=dict(group.places),
        seen=dict(group.seen),
        cases=cases,
    )
    return msgspec.json.encode(body).decode()


def group_of(text: str, rows: Sequence[IncidentRow], members: Mapping[int, Sequence[MemberRow]]) -> Group:
    """A group as it was stored. ``rows``: its incidents that were going on; one that the text does not know goes on as its row says."""
    try:
        body = msgspec.json.decode(text, type=_Body) if text else _Body()
    except msgspec.MsgspecError:
        log.warning("what was kept of the grouping of incidents can't be read; it begins anew", exc_info=True)
        body = _Body()
    cases = {row.id: _case(row, body.cases.get(str(row.id)), members[row.id]) for row in rows if members.get(row.id)}
    return Group(cases, body.waiting, Surprises(body.heats, body.free, body.peaks), body.places, body.seen)


def going_on(text: str) -> list[int]:
    """Ids of the incidents that a stored text is about."""
    try:
        return [int(i) for i in msgspec.json.decode(text, type=_Body).cases]
    except (msgspec.MsgspecError, ValueError):
        return []


def _case(row: IncidentRow, rest: _Rest | None, members: Sequence[MemberRow]) -> Case:
    by_series = {(m.stream, m.column, tuple(m.key.items()), m.template): m for m in members}
    if rest is None:
        case = Case(id=row.id, workload=row.workload, since_us=row.since_us, until_us=row.until_us, members=by_series)
        return replace(case, told=case.size)
    found = {name: getattr(rest, name) for name in _Rest.__struct_fields__}
    return Case(id=row.id, workload=row.workload, members=by_series, **found)
