"""Which streams and columns an analysis looks at. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from appliance.hybrid_options import AnalysisOptions
from appliance.records import fold

RATE: Final = "_per_s"
"""How the name of a rate ends, of that of its total."""


class Wanted:
    """The patterns of one analysis; case makes no difference."""

    def __init__(self, options: AnalysisOptions) -> None:
        self._streams, self._not_streams = _any_of(options.streams), _any_of(options.except_streams)
        self._columns, self._not_columns = _any_of(options.columns), _any_of(options.except_columns)

    def stream(self, name: str) -> bool:
        """Whether it is looked at; the appliance's internal ones (``_…``) never are."""
        key = fold(name)
        return not key.startswith("_") and bool(self._streams.fullmatch(key)) and not self._not_streams.fullmatch(key)

    def column(self, name: str) -> bool:
        """Whether the field is."""
        key = fold(name)
        return bool(self._columns.fullmatch(key)) and not self._not_columns.fullmatch(key)

    def fields(self, names: Collection[str]) -> tuple[str, ...]:
        """Those that are, of the fields of one stream, in their order. A total (``bytes``) is left out beside its rate (``bytes_per_s``):
        it says the same of each moment, in figures that mean nothing to anybody."""
        found = [name for name in names if self.column(name)]
        rates = {fold(name) for name in found if fold(name).endswith(RATE)}
        return tuple(name for name in found if fold(name) + RATE not in rates)


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    """One expression for all; without any it matches nothing."""
    found = ["".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", fold(p))) for p in patterns]
    return re.compile("|".join(found) or r"(?!)", re.DOTALL)
