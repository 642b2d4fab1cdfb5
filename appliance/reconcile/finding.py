"""What reconciliation finds, and what came of it: plain values. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

State = Literal["open", "repaired", "unmendable", "gone"]
"""``unmendable``: nothing that is left proves what it should be. ``gone``: a later look no longer found it, without a repair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One way in which what is kept disagrees with itself."""

    kind: str
    """What is wrong, as a word that stays: ``segment missing``, ``rows changed``, ``view differs`` …"""
    where: str
    """The file relative to the data folder, or ``hot.sqlite`` with its table; together with ``kind`` and ``key`` it names the finding."""
    key: str = ""
    """Which thing there: a sequence range, a bucket, an id."""
    stream: str | None = None
    """None where it concerns no stream."""
    first: int | None = None
    """Lowest sequence that is concerned; None: none, or not known."""
    last: int | None = None
    since_us: int | None = None
    """Event time that is concerned, half-open; None: unbounded, or not known."""
    until_us: int | None = None
    what: str
    """One line for a person: what disagrees with what, and which records it concerns."""
    repair: str | None = None
    """What can be done, in a few words; None: nothing that is left proves what it should be."""
    facts: Mapping[str, int | str] = field(default_factory=dict)
    """What the repair needs to know."""

    @property
    def name(self) -> tuple[str, str, str]:
        """The same disagreement has the same name at each look."""
        return self.kind, self.where, self.key
