"""Whether both sides agree, as every surface shows it: what was looked at and when, what disagrees, what came of it. Values only.

``GET /api/consistency`` gives a ``ConsistencyPicture``, ``POST /api/reconcile`` a ``ReconcileAnswer``. Times in µs since 1970, UTC.
"""

from __future__ import annotations

import msgspec


class PassRow(msgspec.Struct, frozen=True, kw_only=True):
    """The newest pass of one kind, under way or over."""

    kind: str
    """``hot`` (every few seconds), ``newest`` (every few minutes), ``all`` (asked for), ``full`` (each segment within a week)."""
    state: str
    """``running``, ``done`` or ``failed``."""
    started_us: int
    took_s: float = 0.0
    """Up to now while it runs."""
    progress: float | None = None
    """The part that is done; None: not known, or over."""
    records: int = 0
    """Looked at, on both sides."""
    segments: int = 0
    bytes: int = 0
    rate: float = 0.0
    """Records a second."""
    found: int = 0
    """Disagreements that it saw, known ones among them."""
    next_us: int | None = None
    """When the next one is due; None: on request."""
    error: str = ""


class FindingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One disagreement, from when it was first seen to what came of it."""

    id: int
    """Rises; 0: it was only looked for, nothing was written down."""
    kind: str
    where: str
    """The file relative to the data folder, or ``hot.sqlite`` with its table."""
    key: str
    stream: str | None
    first: int | None
    """Sequences concerned; None: none, or not known."""
    last: int | None
    since_us: int | None
    """Event time concerned, half-open; None: unbounded, or not known."""
    until_us: int | None
    what: str
    """One line for a person."""
    repair: str | None
    """What can be done; None: nothing that is left proves what it should be."""
    state: str
    """``open``, ``repaired``, ``unmendable`` or ``gone``; the first and the third are wrong now."""
    found_us: int
    changed_us: int
    """When it got into this state."""
    did: str = ""
    """What a repair did, or why none could."""


class DayRow(msgspec.Struct, frozen=True, kw_only=True):
    """What was found on one UTC day, by what has become of it."""

    day: str
    """``YYYY-MM-DD``."""
    found: int
    repaired: int
    unmendable: int
    gone: int


class StreamRow(msgspec.Struct, frozen=True, kw_only=True):
    """One stream: do the books, the hot store and the lake have the same records."""

    name: str
    hot_rows: int
    cold_rows: int
    hot_ok: bool | None
    """None: not looked at yet."""
    cold_ok: bool | None
    books: str
    """``agree``, ``differ``, or ``unknown`` where records are from before counts were kept."""
    segments: int
    segments_due: int
    """Not looked at within a week."""
    oldest_look_us: int | None
    """When the segment that has waited longest was looked at; None: one has not been looked at yet, or there is none."""
    dirty_days: int
    open: int
    """Disagreements that concern it."""


class ViewDirt(msgspec.Struct, frozen=True, kw_only=True):
    """One view that has buckets which are no longer true as stored."""

    name: str
    dirty_buckets: int
    fresh_until_us: int | None


class ConsistencyPicture(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about agreement at one instant."""

    at_us: int
    is_consistent: bool
    """Whether nothing is open or unmendable."""
    passes: tuple[PassRow, ...] = ()
    """In the order ``hot``, ``newest``, ``all``, ``full``; those that there have been, or that are due."""
    open: tuple[FindingRow, ...] = ()
    """What is wrong now (``open`` and ``unmendable``), the newest first; at most 200."""
    open_total: int = 0
    repairs: tuple[FindingRow, ...] = ()
    """The newest that were repaired or are gone, the newest first; at most 50."""
    history: tuple[DayRow, ...] = ()
    """The last 30 days with findings, the newest first."""
    streams: tuple[StreamRow, ...] = ()
    dirty_views: tuple[ViewDirt, ...] = ()


class ReconcileAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass on request came to."""

    findings: tuple[FindingRow, ...]
    """Everything that it found, with what came of it; one that a repair has mended is ``repaired``."""
    passes: tuple[PassRow, ...]
    wrong: int
    """How many are ``open`` or ``unmendable`` at the end."""
