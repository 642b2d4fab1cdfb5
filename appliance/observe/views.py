"""One view as every surface shows it: how fresh, how dirty, how large, and why it can't be used when it can't. Values only."""

from __future__ import annotations

import msgspec


class ViewRow(msgspec.Struct, frozen=True, kw_only=True):
    """One view; times in microseconds."""

    name: str
    state: str
    """``ok``, ``building`` (a new version is being made, the old one answers), ``waiting`` (nothing stored yet) or ``unusable``."""
    reason: str | None
    """Why it can't be asked, or can't be refreshed."""
    source: str
    """The stream or view that it reads; empty until that is known."""
    stream: str
    """The stream below it all, folded."""
    bucket_s: float | None
    version: int | None
    """The one that answers."""
    building: int | None
    """The one that is being made."""
    fresh_until_us: int | None
    """The end of what is stored; what comes after it is computed from the records. None: nothing is stored."""
    dirty_buckets: int
    """Stored ones that are computed from the records until they are made anew."""
    refreshed_us: int | None
    cost_s: float | None
    """What the last step of a refresh took."""
    files: int
    rows: int
    bytes: int
    begin_us: int | None
    """It holds nothing before; None: it holds all."""
    sealed_us: int | None
    """Before it buckets stay as they are, because their records are gone; None: none do."""
    late_sealed: int
    """Records that have come for sealed buckets, which don't hold them."""
    sql: str
