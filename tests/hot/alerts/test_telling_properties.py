"""Any signals, silences, acknowledgements, deliveries and restarts: what every channel gets makes sense."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.alerts import outbox
from appliance.hot.alerts.matchers import is_active, silence_of
from appliance.hot.alerts.plan import Plan
from appliance.hot.alerts.rules import RuleFacts
from appliance.hot.alerts.values import Item, Kind, Message, Phase, Silence, Tells
from appliance.hot.stream.values import Signal
from tests.examples import examples
from tests.hot.alerts.cases import at, back, broken, down, gap, rule, up
from tests.hot.alerts.house import House, acked, silenced

KEYS = (("d1",), ("d2",))
RULES = (
    rule("a", notify=("ops", "mail"), group_wait_s=0, repeat_s=40, escalate=("boss",), escalate_after_s=30, flap_max=3, flap_within_s=25),
    rule("b", notify=("ops",), group_wait_s=4, for_s=3, keep_s=2, group_by=("device",), inhibited_by=("a",)),
    rule("c", notify=("mail", "ops"), group_wait_s=0, inhibited_by=("b",), repeat_s=15),
)
SIGNALS = {"up": up, "down": down, "gap": gap, "back": back, "broken": broken}
DOINGS = ("silence", "ack", "sent", "lost", "failed", "dead", "restart", "other config", "nothing")
STEPS = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.lists(st.tuples(st.sampled_from(sorted(SIGNALS)), st.sampled_from("abc"), st.sampled_from(KEYS)), max_size=5),
        st.sampled_from(DOINGS),
        st.sampled_from("abc"),
    ),
    min_size=1,
    max_size=25,
)
Steps = list[tuple[int, list[tuple[str, str, tuple[str]]], str, str]]


class World:
    """A house, what its channels have got, and all silences that were ever made."""

    def __init__(self, folder: Path) -> None:
        self.house = House(folder, *RULES)
        self.got: dict[str, list[list[Item]]] = defaultdict(list)
        self.silences: dict[int, Silence] = {}
        self.fires: set[tuple[str, tuple[str | None, ...], int]] = set()
        """Fires that have begun and were noted."""

    def note(self, plan: Plan) -> None:
        self.silences.update({s.id: s for s in plan.silences})
        active = [s for s in self.silences.values() if is_active(s, now_us=plan.now_us)]
        assert all(silence_of(p.item.labels, active) is None for p in plan.parcels), "silenced, and told"
        for t in plan.transitions:
            if t.new is Phase.FIRING and t.kind in (Kind.CHANGE, Kind.FLAPPING, Kind.CALM):
                self.fires.add((t.rule, t.key, t.fire))

    def do(self, what: str, name: str, now: int) -> None:
        h = self.house
        if what == "silence":
            self.note(h.do(now, silenced(f"rule={name}", since=now, until=now + 20)))
        elif what == "ack" and h.book.firing(name):
            self.note(h.do(now, acked(until=now + 25, name=name)))
        elif what == "restart":
            h.restart(now)
            self.note(h.plan)
        elif what == "other config":
            kept = [replace(r, notify=("ops",)) for r in RULES if r.name != name]
            self.note(h.configure(now, *kept))
            self.note(h.configure(now, *RULES))
        elif what in ("sent", "lost", "failed", "dead"):
            for message in h.due(now):
                self.hand_over(message, what, now)

    def hand_over(self, message: Message, how: str, now: int) -> None:
        """``lost``: the channel has got it, the confirmation was lost, and so it comes again."""
        db = self.house.store.connection
        assert message.id is not None
        if how in ("sent", "lost"):
            self.got[message.channel].append(list(message.items))
        with self.house.store.transaction():
            if how == "sent":
                outbox.sent(db, message, now_us=at(now))
            elif how == "dead":
                outbox.dead(db, message, reason="x", now_us=at(now), age_max_us=1_000_000_000)
            else:
                outbox.failed(db, message.id, error="500", due_us=at(now + 3))


def run(steps: Steps, folder: Path) -> World:
    world = World(folder)
    now = 0
    for passed, events, doing, name in steps:
        now += passed
        signals: list[Signal] = [SIGNALS[what](now, name=of, key=key) for what, of, key in events]
        world.note(world.house.see(now, *signals, reached=now - 1))
        world.do(doing, name, now)
    for later in (now + 25, now + 26, now + 60):
        world.note(world.house.see(later, reached=later - 1))
        for _ in range(3):
            world.do("sent", "", later + 10)
    return world


@given(STEPS)
@settings(max_examples=examples(60), deadline=None)
def test_what_channels_get_makes_sense(steps: Steps) -> None:
    with TemporaryDirectory() as folder:
        world = run(steps, Path(folder))
        check_order(world)
        check_memory(world)
        world.house.close()


def check_order(world: World) -> None:
    """Nobody hears of the end of a fire of which it has not heard, or twice; but for what comes again as it was."""
    for channel, messages in world.got.items():
        told: set[tuple[str, tuple[str | None, ...], int]] = set()
        keys: set[str] = set()
        newest: dict[tuple[str, tuple[str | None, ...]], int] = {}
        for item in [i for items in messages for i in items]:
            if item.idempotency_key in keys:
                continue
            keys.add(item.idempotency_key)
            fire = (item.rule, item.key, item.fire)
            assert fire in world.fires, "a phantom"
            if item.tells is Tells.RESOLVED:
                assert fire in told, f"{channel} has heard nothing of {fire}"
                told.remove(fire)
            elif item.tells is Tells.FIRING:
                assert item.fire >= newest.get(fire[:2], 0), "out of order"
                newest[fire[:2]] = item.fire
                told.add(fire)
            else:
                assert item.tells is not Tells.REPEAT or fire in told
                told.add(fire)


def check_memory(world: World) -> None:
    """What is in memory is what a new process would load."""
    book = world.house.book
    before = {(i.rule, i.key): i for i in book.instances()}
    held, counts = set(book.held), [book.counts(r.name) for r in RULES]
    timers = book.next_due("readings")
    world.house.restart(10_000)
    book = world.house.book
    after = {(i.rule, i.key): i for i in book.instances()}
    assert after.keys() == before.keys()
    if not world.house.plan.parcels:
        assert (after, book.held, book.next_due("readings")) == (before, held, timers)
        assert [book.counts(r.name) for r in RULES] == counts


def plain(rules: tuple[RuleFacts, ...]) -> tuple[RuleFacts, ...]:
    return tuple(replace(r, inhibited_by=(), flap_max=1_000) for r in rules)


@given(STEPS)
@settings(max_examples=30, deadline=None)
def test_without_silences_every_fire_is_told_and_its_end_too(steps: Steps) -> None:
    calm = [
        (passed, events, "nothing" if doing in ("silence", "other config", "dead") else doing, name)
        for passed, events, doing, name in steps
    ]
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        now = 0
        world.note(world.house.configure(0, *plain(RULES)))
        for passed, events, doing, name in calm:
            now += passed
            world.note(world.house.see(now, *[SIGNALS[what](now, name=of, key=key) for what, of, key in events], reached=now - 1))
            world.do(doing, name, now)
        for _ in range(3):
            now += 50
            world.note(world.house.see(now, reached=now - 1))
            for _ in range(3):
                world.do("sent", "", now)
        told = {(i.rule, i.key, i.fire) for items in world.got["ops"] for i in items if i.tells is Tells.FIRING}
        over = {(i.rule, i.key, i.fire) for items in world.got["ops"] for i in items if i.tells is Tells.RESOLVED}
        going_on = {(i.rule, i.key, i.fire) for i in world.house.book.instances() if i.is_firing}
        assert told == world.fires
        assert over == told - going_on
        world.house.close()
