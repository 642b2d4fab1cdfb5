"""The text fields of streams: their templates, and which of their texts are unusual. Owned by the follower."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
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
from appliance.records import fold

KINDS: Final[dict[int, SightingKind]] = {NEW: "new template", RATE: "rate", PARAMETER: "parameter"}

FIELDS_MAX: Final = 64
"""Text fields of all streams that are looked at."""
PART: Final = "text"


class _Stored(msgspec.Struct, frozen=True):
    scorer: bytes
    told: list[tuple[int, int, float, int]]
    first_us: int | None


@dataclass(frozen=True, slots=True)
class Whose:
    """What its sightings say of where they come from."""

    workload: str
    stream: str
    column: str = ""


class TextField:
    """One of them."""

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


class TextFields:
    """The text fields of all streams of an analysis, at most ``FIELDS_MAX`` of them."""

    def __init__(self) -> None:
        self._all: dict[tuple[int, str], TextField] = {}
        """By id of the stream and folded name of the field."""

    @property
    def nbytes(self) -> int:
        """Memory of what is known; from any thread."""
        return sum(text.nbytes for text in tuple(self._all.values()))

    def of(self, stream_id: int, names: Iterable[str]) -> list[TextField]:
        """Those of a stream that are known."""
        return [text for name in names if (text := self._all.get((stream_id, fold(name)))) is not None]

    def take(
        self, stream_id: int, names: Iterable[str], rows: Rows, whose: Whose, *, unusual_from: float, after_seq: int
    ) -> Iterator[Sighting]:
        """As ``TextField.take``, of all of these fields of a stream; ``whose`` is without a column."""
        for name in names:
            place = (stream_id, fold(name))
            text = self._all.get(place)
            if text is None:
                if len(self._all) >= FIELDS_MAX:
                    continue
                text = self._all[place] = TextField()
            yield from text.take(rows, replace(whose, column=name), unusual_from=unusual_from, after_seq=after_seq)

    def dump(self) -> Iterator[tuple[str, bytes]]:
        """As named parts."""
        for (stream, name), text in self._all.items():
            yield f"{PART} {stream} {name}", text.dump()

    def load(self, parts: Mapping[str, bytes]) -> None:
        """What ``dump`` gave, among other parts."""
        for part, dumped in parts.items():
            kind, _, place = part.partition(" ")
            if kind == PART:
                stream, _, name = place.partition(" ")
                self._all[int(stream), name] = TextField.load(dumped)


def _unusual(score: npt.NDArray[np.float64], seqs: I64, unusual_from: float, after_seq: int) -> npt.NDArray[np.intp]:
    return np.flatnonzero((score >= unusual_from) & (seqs > after_seq))
