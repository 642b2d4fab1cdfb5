"""What every workload may say about its needs, and ``[paths]``: what happens when they ask for another path.

Frozen values as in ``appliance.options``. Which path follows from the needs ``appliance.paths`` says. Nothing here does I/O.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from appliance.options import Duration, OptionRefused, Options


class NeedsOptions(Options, frozen=True, kw_only=True):
    """The needs of a workload, of whatever kind; what is not said is the default of its kind."""

    waiting: bool | None = None
    """Whether a person waits for its answer. Default: no."""
    triggers: bool | None = None
    """Whether it raises alerts or sends notifications that have to be at once. Default: yes for alerts, else no."""
    session_bound: bool | None = None
    """Whether its data belongs to a session that is still open. Default: yes for sessions, else no."""
    freshness_s: Duration | None = None
    """How old the newest record may be that its answer does not know yet. Default: 1s for alerts and sessions, 4s for panels, 5s for
    views, the time between its runs for batch work."""
    staleness_s: Duration | None = None
    """How old an answer may be when somebody looks at it. Default: `freshness`; where that isn't said either, that of the kind."""
    records: Annotated[int, Meta(ge=0, lt=2**62)] | None = None
    """Records that one run looks at. Default: measured."""
    complex: bool | None = None
    """Whether it groups, joins, sorts or ranks over many records. Default: what its SQL says; yes for batch work without any."""
    nature: Literal["plain", "analysis", "search", "cache"] | None = None
    """What it is besides its figures: analysis, search indexes and caches have a first answer from hot and a better one from cold.
    Default: `cache` for views, else `plain`."""

    def check_needs(self) -> None:
        """Refuses needs that contradict each other; called by the classes that have checks of their own."""
        if self.freshness_s is not None and self.staleness_s is not None and self.staleness_s < self.freshness_s:
            raise OptionRefused("staleness", "must be at least freshness: an answer is no fresher than what it knows")

    def __post_init__(self) -> None:
        self.check_needs()


class PathsOptions(Options, frozen=True, kw_only=True):
    """Which path workloads run on, where what is measured asks for another one than what is declared."""

    moves: Literal["propose", "make"] = "propose"
    """Whether such a move is only proposed (`appliance paths`), or made by itself."""
