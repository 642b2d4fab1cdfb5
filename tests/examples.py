"""How many examples a property is tried with. Each run draws others: what one of them misses, one of the next finds."""

from __future__ import annotations

import os
from typing import Final

SHARE: Final = float(os.environ.get("EXAMPLES", "0.5"))
"""Of the number that stands with a property; ``EXAMPLES=10 make test TESTS=tests/hot`` is for who has just changed what it is about."""
FEWEST: Final = 30


def examples(count: int) -> int:
    """Those of this run; never fewer than ``FEWEST``, or ``count`` where that is less."""
    return max(min(count, FEWEST), round(count * SHARE))
