"""What differs between two revisions, row by row; and when a revision is due."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.clock import US_PER_DAY
from appliance.cold.batch.reports.data import document
from appliance.cold.batch.reports.difference import difference
from appliance.cold.batch.reports.document import Box, Query
from appliance.cold.batch.reports.revising import PAUSE_US, Issued, Stored, is_time, maybe_changed
from appliance.cold.batch.reports.tables import plain_table
from appliance.cold.batch.reports.values import Cell, Difference, Part
from tests.reports.making import report

HEAD: Any = (("device", "text"), ("n", "number"), ("mean", "number"))
Rows = list[tuple[Cell, ...]]


def differs(before: Rows, now: Rows, *, key: tuple[str, ...] = (), head: Any = HEAD) -> Difference:
    old, new = (document(report([Part(Query("", "T", key), plain_table(head, rows))])) for rows in (before, now))
    return difference(old, new)


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ([("a", 1, 2.0)], [("a", 1, 2.0)], []),
        ([("a", 1, 2.0)], [("a", 1, 2.0 + 1e-13)], []),
        ([("a", 1, 2.0), ("b", 2, 3.0)], [("b", 2, 3.0), ("a", 1, 2.0)], []),
        ([("a", 1, 2.0)], [("a", 2, 2.0)], [("changed", {"device": "a"}, {"n": 1}, {"n": 2})]),
        ([], [("a", 1, None)], [("added", {"device": "a"}, {}, {"n": 1, "mean": None})]),
        ([("a", 1, None)], [], [("removed", {"device": "a"}, {"n": 1, "mean": None}, {})]),
        ([("a", 1, None)], [("a", 1, 0.0)], [("changed", {"device": "a"}, {"mean": None}, {"mean": 0.0})]),
        ([(None, 1, 1)], [(None, 1, 2)], [("changed", {"device": None}, {"mean": 1}, {"mean": 2})]),
        (
            [("a", 1, 1), ("a", 2, 1)],
            [("a", 2, 1), ("a", 3, 1)],
            [("added", {}, {}, {"device": "a", "n": 3, "mean": 1}), ("removed", {}, {"device": "a", "n": 1, "mean": 1}, {})],
        ),
    ],
)
def test_rows_are_known_by_their_key(before: Rows, now: Rows, told: list[Any]) -> None:
    found = differs(before, now)
    assert [(c.kind, dict(c.key), dict(c.was), dict(c.now)) for p in found.parts for c in p.changes] == told
    assert found.words == ("nothing" if not told else f"{len(told)} row{'s' if len(told) > 1 else ''} of T")


def test_the_key_can_be_named_and_many_changes_are_counted() -> None:
    found = differs([("a", n, n) for n in range(80)], [("a", n, n + 1) for n in range(80)], key=("n",))
    assert (len(found.parts[0].changes), found.parts[0].more, found.words) == (50, 30, "80 rows of T")


def test_what_can_t_be_compared_is_said_and_what_the_box_says_of_itself_is_no_change() -> None:
    failed, whole = Part(Query("", "T"), error="no stream"), Part(Query("", "T"), plain_table(HEAD, []))
    disks = [Part(Box("disk", "Disk"), plain_table((("what", "text"),), [(w,)])) for w in ("1 GiB", "2 GiB")]

    def words(before: list[Part], now: list[Part]) -> str:
        return difference(document(report(before)), document(report(now))).words

    assert words([failed], [whole]) == "T can be answered now"
    assert words([whole], [failed]) == "T failed: no stream"
    assert words([failed], [Part(Query("", "T"), error="another reason")]) == "nothing"
    assert words([whole], [Part(Query("", "U"), plain_table(HEAD, []))]) == "U is new; T is gone"
    assert words([whole], [Part(Query("", "T"), plain_table((("x", "text"),), []))]) == "T has other columns"
    assert words([whole, disks[0]], [whole, disks[1]]) == "nothing"


DAY = US_PER_DAY
ISSUED = Issued(since_us=10 * DAY, until_us=11 * DAY, revision=1, issued_us=11 * DAY + 1, up_to={"room": 100, "gone": 5})


@pytest.mark.parametrize(
    ("stored", "streams"),
    [
        ([Stored(100, 10 * DAY, 11 * DAY)], ()),
        ([Stored(101, 11 * DAY, 12 * DAY)], ()),
        ([Stored(101, 9 * DAY, 10 * DAY - 1)], ()),
        ([Stored(101, 10 * DAY, 10 * DAY)], ("room",)),
        ([Stored(101, 9 * DAY, 12 * DAY)], ("room",)),
        ([Stored(90, 10 * DAY, 11 * DAY), Stored(200, 11 * DAY - 1, 11 * DAY)], ("room",)),
        ([], ()),
    ],
)
def test_only_what_came_later_and_lies_in_its_days_can_change_a_report(stored: list[Stored], streams: tuple[str, ...]) -> None:
    assert maybe_changed(ISSUED, {"room": stored, "other": [Stored(999, 10 * DAY, 11 * DAY)]}) == streams


@pytest.mark.parametrize(
    ("revision", "after_us", "may"),
    [(1, PAUSE_US - 1, False), (1, PAUSE_US, True), (2, PAUSE_US, False), (2, 2 * PAUSE_US, True), (40, DAY, True), (40, DAY - 1, False)],
)
def test_revisions_become_rarer_while_a_backlog_trickles_in(revision: int, after_us: int, may: bool) -> None:
    issued = Issued(ISSUED.since_us, ISSUED.until_us, revision, 12 * DAY, {})
    assert is_time(issued, now_us=12 * DAY + after_us) is may


def test_a_report_of_a_day_that_goes_on_is_not_revised_before_it_is_over() -> None:
    early = Issued(10 * DAY, 11 * DAY, 1, 10 * DAY + 1, {})
    assert not is_time(early, now_us=11 * DAY - 1)
    assert is_time(early, now_us=11 * DAY)
