"""What one round changes, decided and not yet written: a frozen value that ``tables.write`` stores and ``AlertBook.accept`` makes true."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from appliance.hot.alerts.dispatch import Parcel
from appliance.hot.alerts.rules import RuleFacts
from appliance.hot.alerts.values import Ident, Instance, Silence, Transition

Beside = Callable[[sqlite3.Connection], Sequence[int]]
"""Writes, within the same transaction, what somebody else has to be true together with alerts; ids of messages that it has put into the
outbox. Run again where the transaction is tried again; it must not fail where the disk does not."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far one stream has been evaluated: records up to ``seq`` are in the alerts, later ones are not."""

    stream_id: int
    seq: int
    event_us: int
    """The largest event time up to there."""
    watermark_us: int
    wall_us: int
    """When that was."""


@dataclass(frozen=True, slots=True)
class Known:
    """A rule as it was when its alerts were stored."""

    condition: str
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything of one round that belongs into one transaction."""

    now_us: int
    instances: Mapping[Ident, Instance | None] = field(default_factory=dict)
    """Alerts as they are from now on; None: nothing is to be remembered of it any more."""
    transitions: tuple[Transition, ...] = ()
    """Those of one alert in the order in which they happened."""
    parcels: tuple[Parcel, ...] = ()
    silences: tuple[Silence, ...] = ()
    """New ones, and those that were taken back."""
    rules: Mapping[str, RuleFacts] | None = None
    """All rules, when the config has changed them; None: they are as they were."""
    known: Mapping[str, Known | None] = field(default_factory=dict)
    """With ``rules``: what is stored of those that have changed; None: the rule is gone, and so are its alerts."""
    channels: frozenset[str] | None = None
    """With ``rules``: the channels that the config has; None: any."""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the columns of the keys, by rule, for all rules of ``instances`` and ``transitions``."""
    former: Mapping[Ident, tuple[str, ...]] = field(default_factory=dict)
    """The same for alerts that have ended because their rule has other columns now."""
    held: Mapping[Ident, bool] = field(default_factory=dict)
    """Alerts that were looked at: whether something is to be told of them when nothing mutes them any more."""
    places: tuple[Place, ...] = ()
    beside: tuple[Beside, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing of it needs to be stored; the places alone can wait for the next one that does."""
        return not (self.instances or self.transitions or self.parcels or self.silences or self.known or self.beside)

    def columns_of(self, transition: Transition) -> tuple[str, ...]:
        """The names of the columns of its key."""
        found = self.former.get((transition.rule, transition.key))
        return self.columns.get(transition.rule, ()) if found is None else found
