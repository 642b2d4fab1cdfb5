"""A book of alerts on a real hot store, driven round by round: what the processor does, without threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from appliance.hot.alerts import outbox
from appliance.hot.alerts.book import AlertBook
from appliance.hot.alerts.draft import Draft
from appliance.hot.alerts.plan import Plan
from appliance.hot.alerts.rules import RuleFacts
from appliance.hot.alerts.tables import Written, commit_alerts, load_instances, load_known, load_silence_id, load_silences
from appliance.hot.alerts.values import Instance, Item, Message
from appliance.hot.store import HotStore
from appliance.hot.stream.values import Key, Signal
from tests.hot.alerts import waiting
from tests.hot.alerts.cases import D1, at

CLOCK = "readings"
HOUR = 3_600
Work = Callable[[Draft], object]


def silenced(*matchers: str, until: float, since: float = 0) -> Work:
    """Makes a silence."""
    return lambda draft: draft.silence(matchers, since_us=at(since), until_us=at(until), author="ann", comment="works")


def acked(until: float | None = None, name: str = "hot") -> Work:
    """Acknowledges all that fires of a rule."""
    return lambda draft: draft.acknowledge(name, None, author="ann", until_us=None if until is None else at(until))


class House:
    """Everything of alerts; ``restart`` throws away what is in memory alone. Times are seconds of the wall clock, as of event time."""

    def __init__(self, folder: Path, *rules: RuleFacts, channels: Iterable[str] | None = None, now: float = 0) -> None:
        self.folder = folder
        self.rules = {rule.name: rule for rule in rules}
        self.channels = channels
        self.history_max = 1_000
        self.written = Written()
        self.plan = Plan(0)
        self._open(now)

    def _open(self, now: float) -> None:
        self.store = HotStore(self.folder, durability="crash")
        db = self.store.connection
        self.book = AlertBook(
            instances=load_instances(db),
            silences=load_silences(db, now_us=at(now)),
            known=load_known(db),
            silence_id=load_silence_id(db),
        )
        self.do(now, lambda draft: draft.configure(self.rules, self.channels))

    def restart(self, now: float, *rules: RuleFacts) -> None:
        if rules:
            self.rules = {rule.name: rule for rule in rules}
        self.close()
        self._open(now)

    def close(self) -> None:
        self.store.close()

    def do(self, now: float, *work: Work) -> Plan:
        """One round: drafted, stored, accepted."""
        draft = Draft(self.book, now_us=at(now))
        for one in work:
            one(draft)
        return self.keep(draft.finish())

    def keep(self, plan: Plan) -> Plan:
        if not plan.is_empty:
            self.written = commit_alerts(self.store, plan, history_max=self.history_max)
        self.book.accept(plan)
        self.plan = plan
        return plan

    def see(self, now: float, *signals: Signal, reached: float | None = None) -> Plan:
        """Signals, and then the timers that are due when event time has ``reached`` so far."""

        def work(draft: Draft) -> None:
            draft.apply(signals)
            if reached is not None:
                draft.advance(CLOCK, at(reached))

        return self.do(now, work)

    def configure(self, now: float, *rules: RuleFacts, channels: Iterable[str] | None = None) -> Plan:
        self.rules, self.channels = {rule.name: rule for rule in rules}, channels
        return self.do(now, lambda draft: draft.configure(self.rules, channels))

    def alert(self, name: str = "hot", key: Key = D1) -> Instance:
        found = self.book.get((name, key))
        assert found is not None
        return found

    def waiting(self) -> list[Message]:
        return waiting.waiting(self.store.connection)

    def due(self, now: float) -> list[Message]:
        """What could be handed over now, whatever the channel; of each group the oldest."""
        return waiting.due(self.store.connection, now_us=at(now))

    def deliver(self, now: float) -> list[str]:
        """Hands over all that is due and says what everybody has got: ``ops: firing hot d1``."""
        got = []
        while due := self.due(now):
            for message in due:
                with self.store.transaction():
                    outbox.sent(self.store.connection, message, now_us=at(now))
                got.append(spoken(message))
        return got


def spoken(message: Message) -> str:
    others = f" and {message.others} more" if message.others else ""
    return f"{message.channel}: {', '.join(map(said_of, message.items))}{others}"


def said_of(item: Item) -> str:
    return f"{item.tells} {item.rule} {'/'.join(str(k) for k in item.key)}"
