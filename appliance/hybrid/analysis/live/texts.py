"""One text field of a stream: its templates, and which of its texts are unusual. Owned by the follower."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from appliance.hot.stream.values import I64, Rows
from appliance.hybrid.analysis.live.telling import Telling
from appliance.hybrid.analysis.live.times import WEEK_US
from appliance.hybrid.analysis.sighting import Sighting, SightingKind
from appliance.hybrid.analysis.texts.scored import NEW, PARAMETER, RATE
from appliance.hybrid.analysis.texts.scorer import TextScorer
from appliance.hybrid.analysis.texts.templates import OTHER, Template

KINDS: Final[dict[int, SightingKind]] = {NEW: "new template", RATE: "rate", PARAMETER: "parameter"}


class _Stored(msgspec.Struct, frozen=True):
    scorer: bytes
    told: list[tuple[int, int, float, int]]
    first_us: int | None


@dataclass(frozen=True, slots=True)
class Whose:
    """What its sightings say of where they come from."""

    workload: str
    stream: str
    column: str


class TextField:
    """See the module."""

    def __init__(self) -> None:
        self.highest = 0.0
        """The score of the most unusual of the newest texts."""
        self._scorer = TextScorer()
        self._telling: Telling[int] = Telling()
        """By template."""
        self._first_us: int | None = None

    @property
    def templates(self) -> int:
        """How many there are."""
        return self._scorer.miner.live

    def known(self) -> list[Template]:
        """The templates, without what has none of its own."""
        return [template for template in self._scorer.miner.templates.values() if template.id != OTHER]

    @property
    def nbytes(self) -> int:
        """Memory of what is known."""
        return self._scorer.nbytes

    @property
    def learned(self) -> float:
        """How much of a week was seen: 0 to 1."""
        return self._scorer.learned

    def take(self, rows: Rows, whose: Whose, *, unusual_from: float, after_seq: int) -> Iterator[Sighting]:
        """The unusual ones of texts that come next; nothing is told of records up to ``after_seq``. To be gone through to its end."""
        at = rows.data.schema.get_field_index(whose.column)
        column = rows.data.column(at) if at >= 0 else None
        if column is None or column.null_count == len(column):
            return
        texts = column if pa.types.is_string(column.type) else column.cast(pa.string())
        ts_us = rows.ts
        if self._first_us is None:
            self._first_us = int(ts_us[np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))[0]])
        scored = self._scorer.score(texts, ts_us)
        self.highest = float(scored.score.max())
        for row in _unusual(scored.score, rows.seqs, unusual_from, after_seq).tolist():
            score, at_us = float(scored.score[row]), int(ts_us[row])
            records = self._telling.take(int(scored.ids[row]), at_us, score)
            if records:
                yield Sighting(
                    workload=whose.workload,
                    stream=whose.stream,
                    column=whose.column,
                    key=(),
                    template=self._scorer.template(scored, row),
                    kind=KINDS[int(scored.kind[row])],
                    ts_us=at_us,
                    seq=int(rows.seqs[row]),
                    score=score,
                    value=None,
                    expected=None,
                    reason=self._scorer.reason(scored, row),
                    learned=min(1.0, max(0, at_us - self._first_us) / WEEK_US),
                    records=records,
                )

    def dump(self) -> bytes:
        """All that is known."""
        return msgspec.msgpack.encode(_Stored(self._scorer.dump(), self._telling.dump(), self._first_us))

    @classmethod
    def load(cls, dumped: bytes) -> TextField:
        """As it was dumped. Raises what its scorer does where that is of another format."""
        stored = msgspec.msgpack.decode(dumped, type=_Stored)
        found = cls()
        found._scorer = TextScorer.load(stored.scorer)
        found._telling.load(stored.told)
        found._first_us = stored.first_us
        return found


def _unusual(score: npt.NDArray[np.float64], seqs: I64, unusual_from: float, after_seq: int) -> npt.NDArray[np.intp]:
    return np.flatnonzero((score >= unusual_from) & (seqs > after_seq))
