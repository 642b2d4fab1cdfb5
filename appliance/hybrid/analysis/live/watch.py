"""One analysis as it runs: all that is known of its streams, and what is unusual in records that come. Owned by the follower's thread."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np

from appliance.errors import ApplianceError
from appliance.hot.state import State, StreamState
from appliance.hot.stream.event_clock import NEVER, near
from appliance.hot.stream.followed import PastRows
from appliance.hot.stream.values import Rows
from appliance.hybrid.analysis.live.followed import Followed, Stored, Values, restored
from appliance.hybrid.analysis.live.model_stored import packed, unpacked
from appliance.hybrid.analysis.live.passing import left_waiting
from appliance.hybrid.analysis.live.reading import next_pieces
from appliance.hybrid.analysis.live.series import SlotPool
from appliance.hybrid.analysis.live.telling import unusual_from
from appliance.hybrid.analysis.live.texts import TextField, Whose
from appliance.hybrid.analysis.live.times import SlotTimes
from appliance.hybrid.analysis.live.wanted import Wanted
from appliance.hybrid.analysis.numeric.model import Model
from appliance.hybrid.analysis.numeric.scored import Scored
from appliance.hybrid.analysis.numeric.scorer import Scorer
from appliance.hybrid.analysis.sighting import Sighting
from appliance.hybrid.analysis.texts.templates import Template
from appliance.hybrid_options import AnalysisOptions
from appliance.observe.analysis import LearningRow
from appliance.records import fold

log = logging.getLogger(__name__)
FORMAT: Final = 1
VALUES_MAX: Final = 8_192
"""Values from which on those gathered are scored: of a thousand series some of each, in a tenth of a second."""
TURN_ROWS_MAX: Final = 1_024
"""Records of a stream after which the next one has its turn."""
BACK_ROWS_MAX: Final = 20_000
"""Records of a stream that was there before the analysis which are learned from, without telling of them."""


TEXTS_MAX: Final = 64
"""Text fields of all streams that are looked at."""
KEY_BYTES: Final = 400
"""About what a set of tags takes."""
TEXT: Final = "text"


class StateUnusable(ApplianceError):
    """What is stored is of another format, or damaged: it is learned anew."""


class _Head(msgspec.Struct, frozen=True):
    format: int
    used: int
    free: list[int]
    newest_id: int
    """The highest id of any stream: those above it are new."""
    streams: list[Stored]


@dataclass(frozen=True, slots=True)
class Round:
    """What came of a round."""

    sightings: list[Sighting]
    """By event time."""
    seen: Mapping[str, int]
    """Stream -> the newest event time of its records."""
    rows: Mapping[str, int]
    """Folded name of each stream of which records were scored -> how many."""


@dataclass(slots=True)
class _Batch:
    """What is scored at once."""

    parts: list[tuple[Followed, Values]] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    """Of texts, which are scored at once."""
    values: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)


class Watch:
    """See the module."""

    def __init__(self, name: str, options: AnalysisOptions) -> None:
        self.name = name
        self.streams: dict[str, Followed] = {}
        """By folded name."""
        self.aside: dict[str, str] = {}
        """Streams that can't be scored, by folded name, and why."""
        self.has_begun = False
        """Whether it has ever looked at which streams there are: those that come later are new."""
        self.scored = 0
        """Records since it was made."""
        self._has_looked = False
        """Whether it has since it was made."""
        self._newest_id = 0
        self._stored: dict[int, Stored] = {}
        self._scorer = Scorer()
        self._times = SlotTimes()
        self.wants_storing = False
        """Whether what is known has become another thing by more than records."""
        self._model: Model | None = None
        self._texts: dict[tuple[int, str], TextField] = {}
        """By id of the stream and folded name of the field."""
        self._next: str | None = None
        """The stream whose turn is next."""
        self._pool = SlotPool(options.series_max)
        self.configure(options)

    def configure(self, options: AnalysisOptions) -> None:
        """From now on with these options; what was learned stays."""
        self.options = options
        self._wanted = Wanted(options)
        self._pool.slots_max = options.series_max
        self._unusual_from = unusual_from(options.sensitivity)
        self.aside = {}
        for key, followed in tuple(self.streams.items()):
            if self._wanted.stream(followed.name):
                followed.take_schema(followed.schema, self._wanted)
            else:
                self._stored[followed.id] = followed.store()
                del self.streams[key]

    @property
    def nbytes(self) -> int:
        """Memory of what is known of all series, about."""
        texts = sum(text.nbytes for text in tuple(self._texts.values()))
        return self._scorer.nbytes + texts + sum(len(f.keys) * KEY_BYTES for f in self.streams.values())

    def templates(self) -> Iterator[tuple[str, Template]]:
        """Stream and template, of all texts that are followed."""
        for followed in self.streams.values():
            yield from ((followed.name, template) for texts in self._texts_of(followed) for template in texts.known())

    # --- which streams there are ------------------------------------------------------------------------------------------

    def take_up(self, state: State) -> bool:
        """Follows the streams that there are; whether any of them had records before it was ever looked at."""
        has_past = False
        for key, stream in state.streams.items():
            followed = self.streams.get(key)
            if followed is not None:
                if followed.schema.version != stream.schema.version:
                    followed.take_schema(stream.schema, self._wanted)
            elif key not in self.aside and self._wanted.stream(stream.name):
                self.streams[key] = found = self._begun(stream)
                has_past |= found.seq > 0 and stream.id not in self._stored
        self._newest_id = max((self._newest_id, *(s.id for s in state.streams.values())))
        self.has_begun = self._has_looked = True
        return has_past

    def _begun(self, stream: StreamState) -> Followed:
        """As it was stored; one that came since then from its first record; one that was there before anybody looked from its newest."""
        stored = self._stored.get(stream.id)
        if stored is not None:
            return restored(stored, stream, self._wanted, replay_seq=0 if self._has_looked else stream.last_seq)
        if self.has_begun and stream.id > self._newest_id:
            return Followed(stream.id, stream.schema, self._wanted, 0, replay_seq=0 if self._has_looked else stream.last_seq)
        seq = max(0, stream.last_seq - BACK_ROWS_MAX)
        return Followed(stream.id, stream.schema, self._wanted, seq, stream.last_seq)

    # --- records ----------------------------------------------------------------------------------------------------------

    def round(self, state: State, past: PastRows, *, now_us: int) -> Iterator[Round]:
        """Scores what has come, one lot after the other; what is known is in order between any two, and who asks for no more of them
        begins with the next stream the next time."""
        batch, turns = _Batch(), self._in_turn()
        for (key, followed), (self._next, _) in zip(turns, (*turns[1:], *turns[:1]), strict=True):
            stream, start = state.streams.get(key), followed.seq
            if stream is None or start >= stream.last_seq:
                continue
            for piece in next_pieces(stream, start, past=past, columns=followed.columns):
                if piece.rows is not None and not self._take(batch, key, followed, piece.rows, now_us):
                    break
                followed.seq = piece.up_to
                if batch.values >= VALUES_MAX:
                    yield self._score(batch)
                    batch = _Batch()
                if followed.seq - start >= TURN_ROWS_MAX:
                    break
        if batch.rows:
            yield self._score(batch)

    def _in_turn(self) -> Sequence[tuple[str, Followed]]:
        """All streams, from the one on whose turn was next when no more was asked for."""
        streams = tuple(self.streams.items())
        first = next((i for i, (key, _) in enumerate(streams) if key == self._next), 0)
        return streams[first:] + streams[:first]

    def _take(self, batch: _Batch, key: str, followed: Followed, rows: Rows, now_us: int) -> bool:
        """Whether the stream goes on: one that can't be scored is set aside until the next config, and the others go on."""
        try:
            values = followed.take(rows, self._pool)
            batch.sightings += self._take_texts(followed, rows)
        except Exception as e:
            log.exception("the stream %s can't be scored by the analysis %s; it waits until the next reload", followed.name, self.name)
            self.aside[key] = f"its records can't be scored ({type(e).__name__}: {e}); see the log, mend it and reload"
            del self.streams[key]
            return False
        batch.rows[key] = batch.rows.get(key, 0) + len(rows)
        timely = near(rows.ts, now_us=now_us)
        newest_us = int((rows.ts if timely is None else rows.ts[timely]).max(initial=NEVER))
        batch.seen[followed.name] = max(batch.seen.get(followed.name, NEVER), newest_us)
        if values is not None:
            batch.parts.append((followed, values))
            batch.values += len(values)
        return True

    def waiting(self, state: State) -> dict[str, int]:
        """Records that have come and were not scored, by folded name of the stream."""
        return {key: state.streams[key].last_seq - f.seq for key, f in self.streams.items() if key in state.streams}

    def pass_over(self, state: State, rows_max: int) -> int:
        """Passes over the oldest of the records that wait where they are more than may; how many. Never those that were scored before the
        process ended."""
        waiting = self.waiting(state)
        if sum(waiting.values()) <= rows_max or any(f.seq < f.replay_seq for f in self.streams.values()):
            return 0
        left = left_waiting(waiting, rows_max)
        for key, rows in waiting.items():
            self.streams[key].seq += rows - left[key]
            self.streams[key].passed_over += rows - left[key]
        return sum(waiting.values()) - sum(left.values())

    def _take_texts(self, followed: Followed, rows: Rows) -> list[Sighting]:
        found: list[Sighting] = []
        for name in followed.texts:
            place = (followed.id, fold(name))
            texts = self._texts.get(place)
            if texts is None:
                if len(self._texts) >= TEXTS_MAX:
                    continue
                texts = self._texts[place] = TextField()
            whose = Whose(self.name, followed.name, name)
            found += texts.take(rows, whose, unusual_from=self._unusual_from, after_seq=followed.quiet_seq)
        return found

    def _texts_of(self, followed: Followed) -> list[TextField]:
        return [t for name in followed.texts if (t := self._texts.get((followed.id, fold(name)))) is not None]

    def _score(self, batch: _Batch) -> Round:
        self.scored += sum(batch.rows.values())
        if not batch.parts:
            return _round(batch)
        self._scorer.grow(self._pool.used)
        self._times.grow(self._pool.used)
        parts = [values for _, values in batch.parts]
        slots, ts_us, values = (np.concatenate([getattr(v, name) for v in parts]) for name in ("slots", "ts_us", "values"))
        with np.errstate(all="ignore"):  # a value at the end of what a float can be is one that is unusual, and no more
            scored = self._scorer.score(slots, ts_us, values)
        self._times.begin(slots, ts_us)
        first = 0
        unusual = scored.score >= self._unusual_from
        is_any = bool(unusual.any())
        for followed, part in batch.parts:
            followed.highest = float(scored.score[first : first + len(part)].max())
            found = np.flatnonzero(unusual[first : first + len(part)] & (part.seqs > followed.quiet_seq)) if is_any else ()
            if len(found):
                for at in found[np.lexsort((part.columns[found], part.seqs[found]))].tolist():
                    batch.sightings += self._told(followed, part, scored, at, first)
            first += len(part)
        self._times.take(slots, ts_us)
        return _round(batch)

    def _told(self, followed: Followed, part: Values, scored: Scored, at: int, first: int) -> Iterator[Sighting]:
        """Value ``at`` of a part that begins at ``first`` of what was scored, where it is told."""
        place = first + at
        slot, ts_us, score = int(part.slots[at]), int(part.ts_us[at]), float(scored.score[place])
        records = followed.telling.take(slot, ts_us, score, may_tell=followed.budget.has_room(int(part.seqs[at]), ts_us))
        if not records:
            return
        followed.budget.spend()
        expected = float(scored.expected[place])
        yield Sighting(
            workload=self.name,
            stream=followed.name,
            column=followed.names[part.columns[at]],
            key=followed.keys.keys[part.keys[at]],
            template=None,
            kind="value",
            ts_us=ts_us,
            seq=int(part.seqs[at]),
            score=score,
            value=float(part.values[at]),
            expected=None if np.isnan(expected) else expected,
            reason=self._scorer.reason(scored, place),
            learned=self._times.learned(slot, ts_us),
            step_us=self._times.step_us(scored.slots, scored.ts_us, place),
            records=records,
            spreads=_spreads(scored, place),
        )

    def use(self, model: Model | None) -> None:
        """From the next record on with these profiles; None: with what it has learned itself. Stored with what is known, soon."""
        self._model = model
        self._scorer.with_model(model)
        self.wants_storing = True

    @property
    def slots(self) -> int:
        """Slots that have been given so far."""
        return self._pool.used

    # --- what is known ----------------------------------------------------------------------------------------------------

    def learning(self) -> list[LearningRow]:
        """What is followed of each stream; without how long records wait, which whoever follows knows."""
        return [self._learning(key, f) for key, f in sorted(self.streams.items())]

    def _learning(self, key: str, followed: Followed) -> LearningRow:
        slots = followed.slots.given.tolist()
        texts = self._texts_of(followed)
        learned = min((*(self._scorer.learned(slot) for slot in slots), *(text.learned for text in texts)), default=0.0)
        return LearningRow(
            workload=self.name,
            stream=followed.name,
            series=len(slots),
            left_out=followed.left_out(),
            templates=sum(text.templates for text in texts),
            learned=learned,
            state=self.aside.get(key) or ("learned" if learned >= 1 else f"learning, {learned:.0%} of a week".replace("%", " %")),
            score=max((followed.highest, *(text.highest for text in texts))),
            behind_s=0.0,
            passed_over=followed.passed_over,
        )

    def slots_by_series(self) -> dict[tuple[str, str, frozenset[tuple[str, str | None]]], int]:
        """The slot of each series: by folded name of stream and field, and its tags that are not null. For who has a model by series."""
        return {
            (stream, column, frozenset(followed.keys.keys[number])): int(slots[number])
            for stream, followed in self.streams.items()
            for column, slots in followed.slots.by_field()
            for number in np.flatnonzero(slots[: len(followed.keys)] >= 0).tolist()
        }

    def dump(self) -> Iterator[tuple[str, bytes]]:
        """All that is known, as named parts; each is made when it is asked for, and nothing may be scored in between."""
        streams = [f.store() for f in self.streams.values()]
        followed = {f.id for f in self.streams.values()}
        streams += [s for s in self._stored.values() if s.id not in followed]
        yield "head", msgspec.msgpack.encode(_Head(FORMAT, self._pool.used, self._pool.free, self._newest_id, streams))
        for (stream, name), texts in self._texts.items():
            yield f"{TEXT} {stream} {name}", texts.dump()
        if self._model is not None:
            yield "model", packed(self._model)
        yield "times", self._times.dump()
        yield "numbers", self._scorer.dump()

    def load(self, parts: Mapping[str, bytes]) -> None:
        """What ``dump`` gave. Raises ``StateUnusable``, or what the parts raise; then nothing is to be done with this watch."""
        try:
            head = msgspec.msgpack.decode(parts["head"], type=_Head)
        except (KeyError, msgspec.DecodeError) as e:
            raise StateUnusable(f"what was stored of the analysis {self.name} is damaged: it is learned anew") from e
        if head.format != FORMAT:
            raise StateUnusable(f"what was stored of the analysis {self.name} has another format ({head.format}): it is learned anew")
        self._scorer.load(parts.get("numbers", b""))
        self._times.load(parts.get("times", b""))
        if "model" in parts:
            self._model = unpacked(parts["model"])
            self._scorer.with_model(self._model)
        for part in parts:
            kind, _, place = part.partition(" ")
            if kind == TEXT:
                stream, _, name = place.partition(" ")
                self._texts[int(stream), name] = TextField.load(parts[part])
        self._pool.used, self._pool.free, self._newest_id = head.used, list(head.free), head.newest_id
        self._stored = {s.id: s for s in head.streams}
        self.has_begun = True

    def follows(self, stream: str) -> bool:
        """By its name."""
        return fold(stream) in self.streams


def _round(batch: _Batch) -> Round:
    return Round(sorted(batch.sightings, key=lambda s: s.ts_us), batch.seen, batch.rows)


def _spreads(scored: Scored, place: int) -> float | None:
    far = abs(float(scored.values[place]) - float(scored.expected[place]))
    spread = float(scored.spread[place])
    return far / spread if np.isfinite(far) and np.isfinite(spread) and spread > 0 else None
