"""The outbox on a real store: what joins while a message is on its way, failures, dead letters."""

from __future__ import annotations

import pytest

from appliance.hot.alerts import looks, outbox
from appliance.hot.alerts.values import Message
from tests.hot.alerts.cases import at, down, rule, up
from tests.hot.alerts.conftest import Houses
from tests.hot.alerts.house import House, spoken

OPS = rule(notify=("ops",), group_wait_s=0)


def read(h: House) -> Message:
    (message,) = h.waiting()
    return message


def settle(h: House, message: Message, now: float) -> int | None:
    with h.store.transaction():
        return outbox.sent(h.store.connection, message, now_us=at(now))


def fail(h: House, message: Message, due: float, error: str = "500") -> None:
    assert message.id is not None
    with h.store.transaction():
        outbox.failed(h.store.connection, message.id, error=error, due_us=at(due))


def states(h: House) -> list[tuple[int, str, int, str]]:
    return [(row[0], row[3], row[9], row[10]) for row in sorted(looks.outbox(h.store.connection))]


def test_what_joins_while_a_message_is_on_its_way_goes_next(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    on_its_way = read(h)
    h.see(2, down(2), up(2, key=("d2",)))
    assert spoken(read(h)) == "ops: firing hot d1, resolved hot d1, firing hot d2"
    assert settle(h, on_its_way, 3) == on_its_way.id
    left = read(h)
    assert (left.due_us, left.created_us, left.attempts, spoken(left)) == (at(3), at(2), 0, "ops: resolved hot d1, firing hot d2")
    assert states(h) == [(1, "waiting", 0, ""), (2, "sent", 1, "")]
    assert settle(h, left, 4) is None
    assert h.waiting() == []


def test_what_is_written_after_a_message_was_handed_over_does_not_join_it(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    settle(h, read(h), 1)
    h.see(2, down(2))
    assert spoken(read(h)) == "ops: resolved hot d1"


def test_a_message_is_settled_once(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    message = read(h)
    settle(h, message, 2)
    h.see(3, up(3, key=("d2",)))
    assert settle(h, message, 4) is None
    assert [row[1:3] for row in states(h)] == [("sent", 1), ("waiting", 0)]


def test_a_message_that_failed_waits_and_others_gather_behind_it(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    fail(h, read(h), 60, error="answered 500")
    h.see(2, up(2, key=("d2",)))
    h.see(3, up(3, key=("d3",)))
    h.see(4, down(4))
    assert [(spoken(m), m.attempts, m.due_us) for m in h.waiting()] == [
        ("ops: firing hot d1, resolved hot d1", 1, at(60)),
        ("ops: firing hot d2, firing hot d3", 0, at(2)),
    ]
    assert states(h) == [(1, "waiting", 1, "answered 500"), (2, "waiting", 0, "")]
    assert h.due(59) == []
    assert [m.id for m in h.due(60)] == [1], "the group stays in order"
    assert h.deliver(60) == ["ops: firing hot d1, resolved hot d1", "ops: firing hot d2, firing hot d3"]
    assert h.waiting() == []


def test_what_is_due_before_it_was_made_is_due_now(house: Houses) -> None:
    """The wall clock was set back: nobody waits for it to come again."""
    h = house(rule(notify=("ops",), group_wait_s=5))
    h.see(1, up(1))
    assert h.due(2) == []
    assert len(h.due(-86_400)) == 1


def test_a_dead_letter_has_its_reason_and_holds_back_nothing(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    message = read(h)
    with h.store.transaction():
        assert outbox.dead(h.store.connection, message, reason="no such host", now_us=at(5)) is None
    assert (h.waiting(), states(h)) == ([], [(1, "dead", 1, "no such host")])
    h.see(6, down(6))
    assert [spoken(m) for m in h.waiting()] == ["ops: resolved hot d1"]


def test_what_joined_a_message_lately_does_not_die_with_it(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    h.see(100, up(100, key=("d2",)))
    message = read(h)
    with h.store.transaction():
        outbox.dead(h.store.connection, message, reason="too old", now_us=at(120), age_max_us=60_000_000)
    assert (spoken(read(h)), read(h).created_us) == ("ops: firing hot d2", at(100))
    assert [row[1] for row in states(h)] == ["waiting", "dead"]


def test_one_message_is_read_while_it_waits(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    found = outbox.load_message(h.store.connection, 1)
    assert found == read(h)
    assert found is not None
    settle(h, found, 2)
    assert outbox.load_message(h.store.connection, 1) is None


def test_only_the_newest_that_were_sent_are_kept(house: Houses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "SENT_KEPT", 2)
    h = house(OPS)
    for i in range(5):
        h.see(i, up(i, key=(f"d{i}",)))
        settle(h, read(h), i)
    assert [row[0] for row in states(h)] == [4, 5]
    assert h.store.connection.execute("SELECT count(*) FROM outbox_item").fetchone() == (2,)


def test_a_store_knows_which_messages_have_grown(house: Houses) -> None:
    h = house(rule(notify=("ops", "mail"), group_wait_s=0))
    h.see(1, up(1))
    assert h.written.messages == (1, 2)
    h.see(2, up(2, key=("d2",)))
    assert h.written.messages == (1, 2)


def test_what_goes_next_is_not_overtaken(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    fail(h, read(h), 5)
    (on_its_way,) = h.due(5)
    h.see(6, down(6), up(7))
    settle(h, on_its_way, 8)
    assert [m.id for m in h.waiting()] == [1, 2]
    assert h.deliver(9) == ["ops: resolved hot d1", "ops: firing hot d1"]


def test_a_message_of_which_all_is_young_lives_on(house: Houses) -> None:
    h = house(OPS)
    h.see(1, up(1))
    fail(h, read(h), 2)
    with h.store.transaction():
        assert outbox.dead(h.store.connection, read(h), reason="too old", now_us=at(3), age_max_us=60_000_000) == 1
    assert [(row[1], row[2]) for row in states(h)] == [("waiting", 0)]
