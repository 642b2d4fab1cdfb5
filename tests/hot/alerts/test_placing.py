"""Into which messages items go, as a table."""

from __future__ import annotations

import pytest

from appliance.hot.alerts.dispatch import Parcel
from appliance.hot.alerts.placing import Open, place
from appliance.hot.alerts.values import Item, Tells
from tests.hot.alerts.cases import D1

FIRE = (("hot", D1), 1)


def parcel(tells: Tells, *, due: int = 10, channel: str = "ops", group: str = "g", fire: int = 1) -> Parcel:
    return Parcel(channel, group, due, Item("hot", D1, fire, tells, 0, "", {}, {}, "warning"))


FIRING, RESOLVED, REPEAT = parcel(Tells.FIRING), parcel(Tells.RESOLVED), parcel(Tells.REPEAT)
FRESH, FAILED = Open(7, 20, 0), Open(6, 99, 3)
TELLING, FAILED_TELLING = Open(7, 20, 0, frozenset({FIRE})), Open(6, 99, 3, frozenset({FIRE}))

CASES: dict[str, tuple[list[Parcel], list[Open], list[tuple[int | None, int, int]]]] = {
    "nothing waits": ([FIRING], [], [(None, 10, 1)]),
    "two of a group": ([FIRING, RESOLVED], [], [(None, 10, 2)]),
    "the more urgent of two sets the time": ([FIRING, parcel(Tells.FIRING, due=3)], [], [(None, 3, 2)]),
    "two channels": ([FIRING, parcel(Tells.FIRING, channel="mail")], [], [(None, 10, 1), (None, 10, 1)]),
    "one joins what waits": ([FIRING], [FRESH], [(7, 10, 1)]),
    "one that can wait joins at the time of the message": ([parcel(Tells.FIRING, due=50)], [FRESH], [(7, 20, 1)]),
    "one does not join what has failed": ([FIRING], [FAILED], [(None, 10, 1)]),
    "one joins what gathers behind what has failed": ([FIRING], [FAILED, FRESH], [(7, 10, 1)]),
    "the end joins the fire": ([RESOLVED], [TELLING], [(7, 10, 1)]),
    "the end joins the fire although that has failed, and waits for its time": ([RESOLVED], [FAILED_TELLING], [(6, 99, 1)]),
    "the end joins the newest that tells of the fire": ([RESOLVED], [FAILED_TELLING, TELLING], [(7, 10, 1)]),
    "the end of a fire that was told": ([RESOLVED], [FAILED], [(None, 10, 1)]),
    "the next fire after an end that joined": ([RESOLVED, parcel(Tells.FIRING, fire=2)], [FAILED_TELLING], [(6, 99, 1), (None, 10, 1)]),
    "a repeat of what still waits": ([REPEAT], [FAILED_TELLING], []),
    "a repeat of what was told": ([REPEAT], [FRESH], [(7, 10, 1)]),
}


@pytest.mark.parametrize("name", CASES)
def test_where_parcels_go(name: str) -> None:
    parcels, waiting, expected = CASES[name]
    found = place(parcels, {("ops", "g"): waiting})
    assert [(p.message_id, p.due_us, len(p.items)) for p in found] == expected
