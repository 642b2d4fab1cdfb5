"""How much one body may make of itself. A few bytes can ask for much memory: a million measurements, a field of its own in each line.

Each bound lies far beyond what any agent sends and keeps the memory for a body of 32 MiB at a few hundred MiB. A body over one is
refused whole with ``PayloadTooLarge``: sent in smaller pieces it would be taken.
"""

from __future__ import annotations

from appliance.errors import PayloadTooLarge

REFUSED_LINES_MAX = 200_000
"""Some 300 bytes each, besides their text."""
SHAPE_COLUMNS_MAX = 500_000
"""Columns of all shapes together, counted again in each block that has them: some 300 bytes each."""
SHAPE_COSTS_COLUMNS = 8
"""A shape itself counts for as many."""
CELLS_MAX = 16_000_000
"""Rows times columns of all batches; where lines of many shapes share a measurement most cells are null, and take 8 bytes as well."""
BATCHES_MAX = 20_000
"""Measurements, and changes of a column between types that do not fit: some 5 KB each."""


def check(number: int, bound: int, what: str) -> None:
    """Raises ``PayloadTooLarge`` when ``number`` is over ``bound``."""
    if number > bound:
        raise PayloadTooLarge(f"the body holds more than {bound} {what}; send it in smaller pieces")
