"""Alerts, their history and the outbox: what doesn't fit together is found; no history of signals and deliveries is ever reported."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from appliance.box import Box
from appliance.hot.reader import HotReader
from appliance.reconcile.derived.alerts import check_alerts
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Look
from tests.clock import NOON_US
from tests.derived.looking import harm, mended, tables
from tests.door.batches import at as second
from tests.door.batches import batch, open_box, send
from tests.hot.alerts.cases import down, rule, up
from tests.hot.alerts.house import House
from tests.hot.alerts.test_telling_properties import STEPS, Steps, run


def wrong(folder: Path) -> list[Finding]:
    reader = HotReader(folder)
    try:
        with reader.pinned():
            look = Look(folder=folder, reader=reader, state=reader.load_state(), scope="all", now_us=NOON_US)
            return list(check_alerts(look))
    finally:
        reader.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two alerts: one fires and was told, one is over and waits to be told; and a message of each."""
    made = House(tmp_path, rule("hot", notify=("ops",), group_wait_s=0), rule("far", notify=("ops", "mail"), group_wait_s=60))
    made.see(0, up(0, name="far", key=("d0",)), down(0.5, name="far", key=("d0",)))
    made.see(1, up(1, values={"temperature": 90.5}))
    made.deliver(2)
    made.see(3, up(3, name="far", key=("d2",)))
    made.see(4, down(4, name="far", key=("d2",)))
    made.see(5, up(5, name="far", key=("d1",)))
    made.close()
    return tmp_path


@contextmanager
def opened(folder: Path) -> Iterator[Box]:
    box = open_box(folder)
    try:
        yield box
    finally:
        box.close()


def message_of_no_fire(folder: Path) -> None:
    harm(
        folder,
        "INSERT INTO outbox (channel, group_name, title, created_us, due_us) VALUES ('ops', 'rule=cold', 'x', 1, 1)",
        "INSERT INTO outbox_item (message_id, rule, key, fire, tells, at_us, added_us, body)"
        " SELECT (SELECT max(id) FROM outbox), 'cold', key, 1, tells, at_us, added_us, body FROM outbox_item LIMIT 1",
    )


def item_of_no_fire(folder: Path) -> None:
    """Among others in one message."""
    harm(
        folder,
        "INSERT INTO outbox_item (message_id, rule, key, fire, tells, at_us, added_us, body)"
        " SELECT message_id, rule, key, 7, tells, at_us, added_us, body FROM outbox_item WHERE rule = 'far' LIMIT 1",
    )


def fire_unwritten(folder: Path) -> None:
    harm(folder, "DELETE FROM alert_event WHERE rule = 'hot'")


def last_transition(folder: Path) -> None:
    harm(folder, "DELETE FROM alert_event WHERE id = (SELECT max(id) FROM alert_event)")


def message_gone(folder: Path) -> None:
    harm(
        folder,
        "DELETE FROM outbox_item WHERE rule = 'hot'",
        "DELETE FROM outbox WHERE id NOT IN (SELECT message_id FROM outbox_item)",
    )


def alert_gone(folder: Path) -> None:
    harm(folder, "DELETE FROM alert WHERE rule = 'hot'")


def alert_changed(folder: Path) -> None:
    harm(folder, "UPDATE alert SET phase = 'ok' WHERE rule = 'hot'")


def message_without_head(folder: Path) -> None:
    harm(folder, "DELETE FROM outbox WHERE channel = 'mail'")


INJECTED: dict[Callable[[Path], None], tuple[set[str], bool]] = {
    message_of_no_fire: ({"message without transition"}, True),
    item_of_no_fire: ({"message without transition"}, True),
    fire_unwritten: ({"fire without transition", "transition missing"}, True),
    last_transition: ({"fire without transition", "transition missing"}, True),
    message_gone: ({"message missing"}, True),
    alert_gone: ({"alert missing"}, False),
    alert_changed: ({"alert differs from its history"}, False),
    message_without_head: ({"item without message", "message missing"}, False),
}


@pytest.mark.parametrize("inject", INJECTED, ids=lambda f: f.__name__)
def test_what_does_not_fit_together_is_found_and_mended_where_the_rest_proves_it(folder: Path, inject: Callable[[Path], None]) -> None:
    assert wrong(folder) == []
    before = tables(folder)
    inject(folder)
    kinds, is_mended = INJECTED[inject]
    found = wrong(folder)
    assert {f.kind for f in found} == kinds
    with opened(folder) as box:
        mended(box, found)
    left = wrong(folder)
    if not is_mended:
        assert {f.kind for f in left} <= kinds
        assert left
        return
    assert left == [], "and what was set aside is not found again"
    after = tables(folder)
    assert after["alert"] == before["alert"]
    assert after["alert_event"] == before["alert_event"]
    if inject is not message_gone:  # which waits again, because nobody knows whether it was told
        assert [row for row in after["outbox"] if "dead" not in row] == before["outbox"]


def test_a_place_beyond_the_newest_record_is_set_back(tmp_path: Path) -> None:
    with opened(tmp_path) as box:
        send(box, batch("room", [second(1)], x=[1]))
        harm(tmp_path, "INSERT INTO evaluated VALUES (1, 5, 0, 0, 0)")
        (found,) = wrong(tmp_path)
        assert (found.kind, found.first, found.last) == ("place ahead of its records", 2, 5)
        mended(box, [found])
        assert wrong(tmp_path) == []


@given(STEPS)
@settings(max_examples=int(os.environ.get("ALERT_HISTORIES", "8")), deadline=None)
def test_no_history_of_alerts_is_reported(steps: Steps) -> None:
    with TemporaryDirectory() as place:
        world = run(steps, Path(place))
        try:
            assert wrong(Path(place)) == []
        finally:
            world.house.close()
