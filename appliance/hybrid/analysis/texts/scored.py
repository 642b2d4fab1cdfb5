"""What the first pass says of texts: values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from appliance.hybrid.analysis.texts.coding import I32, I64

F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]
KINDS: Final = ("usual", "new template", "rate", "parameter")
"""What was most unusual, by number: nothing; a text that no template fits; more of one template within a minute than there ever are;
a value, or one word, in a place that has had few others."""
USUAL, NEW, RATE, PARAMETER = range(4)


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of the texts of one call, in their order."""

    ids: I32
    """The template of each text when it came; ``NO_TEXT`` for null, whose score is 0."""
    ts_us: I64
    score: F64
    """0 (as usual) to 1; 0.99 and more is rare."""
    kind: U8
    """What was most unusual: a place in ``KINDS``."""
    count: F64
    """Texts of this template in its minute so far, this one among them."""
    usual: F64
    """The most texts of this template that a minute usually has; NaN: not known yet."""
    born: dict[int, str] = field(default_factory=dict)
    """Row -> the template that came with it, as it was with that text alone."""
    reasons: dict[int, str] = field(default_factory=dict)
    """Row -> why, for new templates and values; see ``TextScorer.reason``."""


def surprise(rarity: float, weight: float) -> float:
    """A score, 0 to 1, of something that comes once in 10^``rarity`` times, told with ``weight`` (1: by its rarity alone)."""
    return float(1.0 - 10.0 ** (-max(0.0, rarity) * weight))
