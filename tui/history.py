"""The far past of a column: asked in SQL, over hot and cold, where the service's quick answer (from memory) does not reach.

One question at a time: a newer one ends the one before. The values below decide what to ask and read what came; the screen owns
the worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from appliance.clock import iso
from tui.client import Answer, Client, Series, Stop
from tui.widgets.plot import Window

NEAR_US = 600_000_000
"""Up to this span, and up to now, the quick answer does."""
ASK_AGAIN_US = 10_000_000
_BUCKETS_A_CELL = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """A column of a stream over the cells of a chart."""

    stream: str
    column: str
    window: Window

    @property
    def step_us(self) -> int:
        """The width of a bucket: half a cell."""
        return self.window.cell_us // _BUCKETS_A_CELL

    def sql(self) -> str:
        """One row a bucket that holds a value: its start in microseconds, lowest, highest and mean."""
        column = quoted(self.column)
        since, until = (iso(us).removesuffix("Z") for us in (self.window.from_us, self.window.until_us))
        return (
            f"SELECT epoch_us(ts) // {self.step_us} * {self.step_us} AS start, CAST(min({column}) AS DOUBLE) AS low, "
            f"CAST(max({column}) AS DOUBLE) AS high, avg(CAST({column} AS DOUBLE)) AS mean FROM {quoted(self.stream)} "
            f"WHERE ts >= TIMESTAMP '{since}' AND ts < TIMESTAMP '{until}' AND {column} IS NOT NULL GROUP BY 1 ORDER BY 1"
        )

    def replaces(self, before: Wanted | None, *, since_us: int) -> bool:
        """Whether to ask for this now, when ``before`` was asked ``since_us`` ago: something else at once, newer data in a while."""
        if before is None or (before.stream, before.column) != (self.stream, self.column):
            return True
        moved = self.window.from_us - before.window.from_us
        other = self.window.cell_us != before.window.cell_us or self.window.cells != before.window.cells
        return other or not 0 <= moved <= since_us + 2 * self.window.cell_us or (moved > 0 and since_us >= ASK_AGAIN_US)


def ask_history(client: Client, wanted: Wanted, stop: Stop) -> Series:
    """In a worker thread; raises what ``client.query`` raises."""
    rows_max = wanted.window.cells * _BUCKETS_A_CELL + _BUCKETS_A_CELL
    return read_history(client.query(wanted.sql(), rows_max=rows_max, stop=stop), wanted)


def read_history(answer: Answer, wanted: Wanted) -> Series:
    """The rows as buckets; one without a row is a gap."""
    window, step = wanted.window, wanted.step_us
    count = (window.until_us - window.from_us) // step
    rows: dict[int, tuple[Any, Any, Any]] = {
        (start - window.from_us) // step: (low, high, mean)
        for start, low, high, mean in zip(*(column.to_pylist() for column in answer.table.columns), strict=True)
    }
    empty = (None, None, None)
    low, high, mean = zip(*(rows.get(place, empty) for place in range(count)), strict=True)
    return Series(wanted.stream, wanted.column, step, window.from_us, low, high, mean)


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever it is."""
    return '"' + name.replace('"', '""') + '"'
