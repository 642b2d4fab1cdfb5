"""What became of template ids that live no more."""

from __future__ import annotations

import numpy as np

from appliance.hybrid.analysis.texts.coding import I32
from appliance.hybrid.analysis.texts.templates import OTHER


class Lineage:
    """Ids that live no more, each with what it became. Keeps the newest ``keep``; older ones became ``OTHER`` for all that is known."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self.dead: dict[int, int] = {}
        """Id -> what it became, which may have become another since."""

    def __len__(self) -> int:
        return len(self.dead)

    def bury(self, old: int, heir: int) -> None:
        """From now on ``old`` is ``heir``."""
        self.dead[old] = heir
        if len(self.dead) > self._keep:
            del self.dead[next(iter(self.dead))]

    def heir(self, id_: int) -> int:
        """What the id became at last; itself, where nothing is known."""
        while id_ in self.dead:
            id_ = self.dead[id_]
        return id_

    @staticmethod
    def as_of_rows(ids: I32, joined: list[tuple[int, int, int]]) -> I32:
        """Ids as they were at the first row of each shape, brought to what they were at their own row.

        ``joined``: (row from which on, id, what it became), in the order of the rows.
        """
        highest = max(int(ids.max(initial=OTHER)), *(max(old, heir) for _, old, heir in joined)) + 1
        died = np.full(highest, np.iinfo(np.int64).max, np.int64)
        became = np.arange(highest, dtype=np.int32)
        for row, old, heir in joined:
            died[old], became[old] = row, heir
        rows = np.arange(len(ids))
        out = ids.copy()
        while (gone := (out >= 0) & (died[np.maximum(out, 0)] <= rows)).any():
            out[gone] = became[out[gone]]
        return out
