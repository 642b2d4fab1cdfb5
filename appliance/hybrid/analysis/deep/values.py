"""Values of the deep pass: what flows between its parts, and what its program is given and gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from appliance.observe.analysis import EvidenceRow, MemberRow

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
WEEK_US: Final = 7 * DAY_US
CELLS_MAX: Final = 4_096
"""Cells of a grid in which every stretch is compared with every other: 16 million distances, a second of one core."""
MAD_TO_SIGMA: Final = 1.4826
"""A median absolute deviation times this is the standard deviation of a normal distribution (Rousseeuw and Croux, 1993)."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One table of cells of one stream, as a Parquet file: ``k0``… (text), ``b`` (number of the cell: event time // ``step_us``), ``n``
    (records), and for the i-th of ``columns`` ``m{i}`` (mean), with ``has_extremes`` also ``l{i}`` and ``h{i}`` (least, greatest)."""

    stream: str
    tags: tuple[str, ...]
    columns: tuple[str, ...]
    path: str
    step_us: int
    has_extremes: bool = False


class TextSource(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of one stream near the incident, as a Parquet file: ``ts`` (timestamp), ``text``."""

    stream: str
    column: str
    path: str


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier incident."""

    id: int
    since_us: int
    verdict: str
    feedback: str | None
    """``confirm`` or ``dismiss``."""
    members: tuple[tuple[str, str, str], ...]
    """Stream, column, and key or template as one text."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the program is given."""

    id: int
    since_us: int
    until_us: int
    now_us: int
    """Up to where there are records: event time."""
    severity: float
    members: tuple[MemberRow, ...]
    history_since_us: int
    """From where on there is history, at most."""
    near_since_us: int
    near_until_us: int
    history: tuple[Source, ...]
    """The members' series over all of the history that is looked at."""
    near: tuple[Source, ...]
    """All streams, some time before and after; all with cells of the same width."""
    texts: tuple[TextSource, ...] = ()
    past: tuple[Past, ...] = ()
    replaced: Mapping[str, float | None] = {}
    """Number of a member (as text) -> the value that the record at its peak has now, where it is another one; None: it is
    gone, or of a silence: what was missed came late."""
    returned: Mapping[str, int] = {}
    """Number of a member (as text) that was silent -> event time at which something came of it again."""
    late: int = 0
    """Records of the members' streams that came after the first answer with an event time before its end."""
    zone: str = "UTC"
    models: Mapping[str, str] = {}
    factors: Mapping[str, float] = {}
    """Number of a member (as text) -> how many times more unusual than others it must be, by what people said; others: once."""


class Refined(msgspec.Struct, frozen=True, kw_only=True):
    """What the program gives: the fields of an answer."""

    verdict: str
    """``confirmed``, ``corrected``, ``extended`` or ``dismissed``."""
    confidence: float
    severity: float
    summary: str
    basis: str
    difference: str
    evidence: tuple[EvidenceRow, ...]
    members: tuple[MemberRow, ...] = ()
    """Found besides those that were known, and known ones of which more is known now."""
    lines: tuple[Mapping[str, str], ...] = ()
    since_us: int | None = None
    models: Mapping[str, str] = {}


def finite(value: Any) -> float | None:
    """As JSON can have it; None for what is not a number."""
    found = float(value)
    return found if np.isfinite(found) else None
