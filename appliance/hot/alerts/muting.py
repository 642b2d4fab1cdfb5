"""Why nobody is told of an alert just now: a silence that covers it, or a rule that fires for the same thing. Pure, for one instant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from appliance.hot.alerts.matchers import is_active, silence_of
from appliance.hot.alerts.rules import RuleFacts
from appliance.hot.alerts.values import Instance, Silence

_Shared = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Muted:
    """What keeps an alert from being told; false when nothing does."""

    silence: int | None = None
    inhibitor: str | None = None
    """The rule."""

    def __bool__(self) -> bool:
        return self.silence is not None or self.inhibitor is not None


class Mutes:
    """Answers for any number of alerts at one instant; what it looks up it keeps, so ask a new one when anything has changed."""

    def __init__(
        self,
        rules: Mapping[str, RuleFacts],
        silences: Iterable[Silence],
        firing: Callable[[str], Iterable[Instance]],
        *,
        now_us: int,
    ) -> None:
        """``firing`` gives the alerts of a rule of which a fire goes on."""
        self._rules = rules
        self._silences = tuple(s for s in silences if is_active(s, now_us=now_us))
        self._firing = firing
        self._found: dict[_Shared, frozenset[tuple[str | None, ...]]] = {}

    def of(self, instance: Instance, rule: RuleFacts) -> Muted:
        """What mutes one alert."""
        return Muted(silence_of(instance.labels, self._silences), self._inhibitor(instance, rule))

    def _inhibitor(self, instance: Instance, rule: RuleFacts) -> str | None:
        """The first rule of ``inhibited_by`` that fires for the same values of the columns that both keys have. Never itself."""
        for name in rule.inhibited_by:
            other = self._rules.get(name)
            if other is None or name == rule.name:
                continue
            shared = tuple(column for column in rule.by if column in other.by)
            mine = tuple(instance.key[rule.by.index(column)] for column in shared)
            if mine in self._values(other, shared):
                return name
        return None

    def _values(self, other: RuleFacts, shared: tuple[str, ...]) -> frozenset[tuple[str | None, ...]]:
        found = self._found.get((other.name, shared))
        if found is None:
            places = [other.by.index(column) for column in shared]
            found = frozenset(tuple(i.key[p] for p in places) for i in self._firing(other.name))
            self._found[(other.name, shared)] = found
        return found
