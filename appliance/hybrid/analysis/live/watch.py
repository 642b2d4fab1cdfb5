"""One analysis as it runs: all that is known of its streams, and what is unusual in records that come. Owned by the follower's thread."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from appliance.errors import ApplianceError
from appliance.hot.state import State, StreamState
from appliance.hot.stream.event_clock import NEVER, near
from appliance.hot.stream.followed import PastRows
from appliance.hot.stream.values import Rows
from appliance.hybrid.analysis.live.followed import Followed, Room, Stored, Values, restored
from appliance.hybrid.analysis.live.model_stored import packed, unpacked
from appliance.hybrid.analysis.live.outages import Outages
from appliance.hybrid.analysis.live.passing import left_waiting
from appliance.hybrid.analysis.live.reading import behind, next_pieces
from appliance.hybrid.analysis.live.rounds import Batch, Round, round_of
from appliance.hybrid.analysis.live.series import SlotPool
from appliance.hybrid.analysis.live.sightings import Found, number, silent_series
from appliance.hybrid.analysis.live.telling import unusual_from
from appliance.hybrid.analysis.live.texts import TextFields, Whose
from appliance.hybrid.analysis.live.times import SlotTimes
from appliance.hybrid.analysis.live.wanted import Wanted
from appliance.hybrid.analysis.numeric.counters import Counters
from appliance.hybrid.analysis.numeric.model import Model, without
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
PAST_ROWS_MAX: Final = 16_384
"""The same where they are read from the store or the lake, which takes as long for a few."""
BACK_ROWS_MAX: Final = 20_000
"""Records of a stream that was there before the analysis which are learned from, without telling of them."""


ROOM_TICKS: Final = 300
"""Seconds of event time after which it is looked again whether series have ended."""
KEY_BYTES: Final = 400
"""About what a set of tags takes."""


class StateUnusable(ApplianceError):
    """What is stored is of another format, or damaged: it is learned anew."""


class _Head(msgspec.Struct, frozen=True):
    format: int
    used: int
    free: list[int]
    newest_id: int
    """The highest id of any stream: those above it are new."""
    streams: list[Stored]
    room_from: int = 0


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
        self._model_series = -1
        self._texts = TextFields()
        self._counters = Counters()
        self._outages = Outages()
        self._room_from = 0
        """The tick from which on series that have ended may make room again."""
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
        self._outages.presence.forgets = not options.notify
        for key, followed in tuple(self.streams.items()):
            followed.presence.forgets = not options.notify
            if self._wanted.stream(followed.name):
                followed.take_schema(followed.schema, self._wanted)
            else:
                self._stored[followed.id] = followed.store()
                del self.streams[key]

    @property
    def nbytes(self) -> int:
        """Memory of what is known of all series, about."""
        keys = sum(len(f.keys) * KEY_BYTES for f in self.streams.values())
        return self._scorer.nbytes + self._counters.nbytes + self._texts.nbytes + keys

    def templates(self) -> Iterator[tuple[str, Template]]:
        """Stream and template, of all texts that are followed."""
        for followed in self.streams.values():
            yield from ((followed.name, template) for texts in self._texts.of(followed.id, followed.texts) for template in texts.known())

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
                found.presence.forgets = not self.options.notify
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

    def round(self, state: State, past: PastRows, *, now_us: int, now_ns: int) -> Iterator[Round]:
        """Scores what has come, one lot after the other; what is known is in order between any two, and who asks for no more of them
        begins with the next stream the next time. ``now_ns`` is monotonic: by it whole streams are told as silent."""
        batch, turns = Batch(sightings=self._outages.look(self.name, state, self.streams, now_ns=now_ns)), self._in_turn()
        has_more = True
        while has_more:
            has_more = False
            for (key, followed), (self._next, _) in zip(turns, (*turns[1:], *turns[:1]), strict=True):
                stream, start = state.streams.get(key), followed.seq
                if stream is None or start >= stream.last_seq or self.streams.get(key) is not followed:
                    continue
                turn_rows = TURN_ROWS_MAX if stream.ring_first <= start + 1 else PAST_ROWS_MAX
                for piece in next_pieces(stream, start, past=past, columns=followed.columns):
                    left = piece.rows
                    while left is not None and (room_tick := self._take(batch, key, followed, left, now_us)) is not None:
                        yield self._score(batch)
                        batch = Batch()
                        self._make_room(room_tick)
                        left = behind(left, followed.seq)
                    if key not in self.streams:
                        break
                    followed.seq = piece.up_to
                    if batch.values >= VALUES_MAX:
                        yield self._score(batch)
                        batch = Batch()
                    if followed.seq - start >= turn_rows:
                        break
                has_more |= start < followed.seq < stream.last_seq
        if batch.rows or batch.sightings:
            yield self._score(batch)

    def _in_turn(self) -> Sequence[tuple[str, Followed]]:
        """All streams, from the one on whose turn was next when no more was asked for."""
        streams = tuple(self.streams.items())
        first = next((i for i, (key, _) in enumerate(streams) if key == self._next), 0)
        return streams[first:] + streams[:first]

    def _take(self, batch: Batch, key: str, followed: Followed, rows: Rows, now_us: int) -> int | None:
        """Records into the batch. Not None: only those up to ``followed.seq``; at that tick there must be room for another series first. A
        stream that can't be scored is set aside until the next config, and the others go on."""
        timely = near(rows.ts, now_us=now_us)
        try:
            taken = followed.take(rows, self._pool, timely, room=Room(self._tick, self._room_from))
            whose = Whose(self.name, followed.name)
            texts = self._texts.take(
                followed.id, followed.texts, taken.rows, whose, unusual_from=self._unusual_from, after_seq=followed.quiet_seq
            )
            batch.sightings += texts
        except Exception as e:
            log.exception("the stream %s can't be scored by the analysis %s; it waits until the next reload", followed.name, self.name)
            self.aside[key] = f"its records can't be scored ({type(e).__name__}: {e}); see the log, mend it and reload"
            del self.streams[key]
            return None
        if followed.seq > followed.quiet_seq:
            batch.sightings += [silent_series(self.name, followed, silence) for silence in taken.silences]
        if len(taken.rows):
            batch.rows[key] = batch.rows.get(key, 0) + len(taken.rows)
            batch.seen[followed.name] = max(batch.seen.get(followed.name, NEVER), taken.newest_us)
        if taken.values is not None:
            batch.parts.append((followed, taken.values))
            batch.values += len(taken.values)
        return taken.wants_room

    @property
    def _tick(self) -> int:
        """The second by the clocks of all streams: the newest of them."""
        return max((f.presence.tick for f in self.streams.values()), default=0)

    def _make_room(self, tick: int) -> None:
        """Series that have ended give their slots back; nothing may wait to be scored. Where none has, it is tried again a while later."""
        tick = max(tick, self._tick)
        self._room_from = tick + ROOM_TICKS
        followed = {f.id for f in self.streams.values()}
        gone = [np.frombuffer(c, np.int32) for i in self._stored.keys() - followed for c in self._stored.pop(i).columns.values()]
        gone += [f.let_go(tick=tick) for f in self.streams.values()]
        slots = np.concatenate(gone) if gone else np.empty(0, np.int32)
        slots = slots[slots >= 0]
        self._grow()
        for known in (self._scorer, self._times, self._counters):
            known.forget(slots)
        self._pool.give_back(slots.tolist())
        for each in self.streams.values():
            each.has_room()
        if self._model is not None and len(slots):
            self._model = without(self._model, slots)
            self._scorer.with_model(self._model)

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

    def _grow(self) -> None:
        for known in (self._scorer, self._times, self._counters):
            known.grow(self._pool.used)

    def _score(self, batch: Batch) -> Round:
        self.scored += sum(batch.rows.values())
        if not batch.parts:
            return round_of(batch)
        self._grow()
        parts = [values for _, values in batch.parts]
        slots, ts_us, values = (np.concatenate([getattr(v, name) for v in parts]) for name in ("slots", "ts_us", "values"))
        with np.errstate(all="ignore"):  # a value at the end of what a float can be is one that is unusual, and no more
            scored = self._counters.score(self._scorer, slots, ts_us, values)
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
        return round_of(batch)

    def _told(self, followed: Followed, part: Values, scored: Scored, at: int, first: int) -> Iterator[Sighting]:
        """Value ``at`` of a part that begins at ``first`` of what was scored, where it is told."""
        place = first + at
        slot, ts_us, score = int(part.slots[at]), int(part.ts_us[at]), float(scored.score[place])
        records = followed.telling.take(slot, ts_us, score, may_tell=followed.budget.has_room(int(part.seqs[at]), ts_us))
        if not records:
            return
        followed.budget.spend()
        is_rate = bool(self._counters.are(part.slots[at : at + 1])[0])
        found = Found(self._scorer.reason(scored, place), is_rate=is_rate, records=records)
        yield number(self.name, followed, part, at, scored, place, found, self._times)

    def use(self, model: Model | None) -> None:
        """From the next record on with these profiles; None: with what it has learned itself. Stored with what is known, soon."""
        self._model, self._model_series = model, self.series_given
        self._scorer.with_model(model)
        self.wants_storing = True

    @property
    def model_in_use(self) -> tuple[str | None, int]:
        """The version of the model (None: what it has learned itself), and ``series_given`` when it came into use; from any thread."""
        model = self._model
        return None if model is None else model.version, self._model_series

    @property
    def series_given(self) -> int:
        """How many series have had a slot since this was made: another number when a model has to be put into slots again."""
        return self._pool.given

    # --- what is known ----------------------------------------------------------------------------------------------------

    def learning(self) -> list[LearningRow]:
        """What is followed of each stream; without how long records wait, which whoever follows knows."""
        return [self._learning(key, f) for key, f in sorted(self.streams.items())]

    def _learning(self, key: str, followed: Followed) -> LearningRow:
        slots = followed.slots.given.tolist()
        texts = self._texts.of(followed.id, followed.texts)
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
        yield "head", msgspec.msgpack.encode(_Head(FORMAT, self._pool.used, self._pool.free, self._newest_id, streams, self._room_from))
        yield from self._texts.dump()
        if self._model is not None:
            yield "model", packed(self._model)
        yield "times", self._times.dump()
        yield "counters", self._counters.dump()
        yield "outages", self._outages.dump()
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
        self._texts.load(parts)
        self._counters.load(parts.get("counters", b""))
        self._outages.load(parts.get("outages", b""))
        self._room_from = head.room_from
        self._pool.used, self._pool.free, self._newest_id = head.used, list(head.free), head.newest_id
        self._stored = {s.id: s for s in head.streams}
        self.has_begun = True

    def follows(self, stream: str) -> bool:
        """By its name."""
        return fold(stream) in self.streams
