"""From gathered lines to committed records: one thread that parses, submits, and waits for the commit.

Nobody waits for an acknowledgement at the other end of these sockets, so whatever can't be taken now stays here and is tried
again, while the buffer before it fills and slows the senders (TCP) or counts what is dropped (UDP).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from appliance.clock import Clock
from appliance.errors import RetryLater
from appliance.options import LimitOptions
from appliance.records import TS_TYPE, Batch, Format, Receipt, Reject, Submission
from appliance.sources.codecs.line_protocol import Precision, parse
from appliance.sources.line_replay import replayable_batches
from appliance.sources.line_sockets.gather import Gather, Taken

log = logging.getLogger(__name__)

GATHER_S: Final = 0.01
"""After a first line others are waited for this long: a commit of few lines costs as much as one of many."""
GATHER_BYTES: Final = 256 * 1024
"""With so many bytes nothing is waited for any more."""
BEHIND_LOOK_S: Final = 0.02
STOP_TRIES_MAX: Final = 5
"""How often a refused submission is tried again once the end has been asked for."""


class Door(Protocol):
    """The door, as far as a source with a thread of its own sees it."""

    def submit_blocking(self, submission: Submission, timeout_s: float | None = None) -> Receipt:
        """Returns after the durable commit; raises ``RetryLater``."""

    @property
    def is_behind(self) -> bool:
        """True while sources should not bring more."""


class Feeder:
    """One thread between a ``Gather`` and the door. The counters are its own; others only read them."""

    def __init__(self, gather: Gather, *, door: Door, source: str, clock: Clock, limits: LimitOptions) -> None:
        self.gather = gather
        self._door = door
        self._source = source
        self._clock = clock
        self._limits = limits
        self._stopping = threading.Event()
        self._last_us = 0
        self.records = 0
        self.rejected = 0
        self.lost_messages = 0
        """Given up at the end, because the door would not take them."""
        self.trouble: str | None = None
        """Why it is not getting on; None when it is."""
        self._thread = threading.Thread(target=self._run, name=f"feeder-{source}", daemon=True)  # noqa: TID251 - the owner of this thread

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """Brings in what has been gathered and ends. The caller has stopped everything that adds."""
        self._stopping.set()
        self.gather.close()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        while self.gather.wait():
            if self.gather.bytes < GATHER_BYTES:
                self._stopping.wait(GATHER_S)
            while self._door.is_behind and not self._stopping.wait(BEHIND_LOOK_S):
                self.trouble = "the door is behind"
            self._bring(self.gather.take())

    def _bring(self, taken: Taken) -> None:
        try:
            receipt = self._submit(self._parsed(taken))
        except Exception:
            log.exception("%s: %d bytes of line protocol could not be brought in", self._source, len(taken.lines))
            self._keep_whole(taken)
            return
        if receipt is None:
            self.lost_messages += taken.messages
            return
        self.records += receipt.records
        self.rejected += len(receipt.rejected)

    def _parsed(self, taken: Taken) -> Submission:
        now_us = max(self._clock.now_us(), self._last_us + 1)
        parsed = parse(
            taken.lines,
            precision=Precision.NS,
            now_us=now_us,
            value_bytes_max=self._limits.value_bytes_max,
            name_bytes_max=self._limits.name_bytes_max,
        )
        batches, self._last_us = spread_times(parsed.batches, now_us)
        return self._submission(replayable_batches(batches, precision=Precision.NS), (*taken.rejects, *parsed.rejects))

    def _submission(self, batches: tuple[Batch, ...], rejects: tuple[Reject, ...]) -> Submission:
        return Submission(source=self._source, format=Format.LP, batches=batches, rejects=rejects)

    def _submit(self, submission: Submission) -> Receipt | None:
        """Until the door takes it; None when the end comes first and the door still refuses."""
        tries_at_end = 0
        while True:
            try:
                receipt = self._door.submit_blocking(submission)
            except RetryLater as e:
                self.trouble = str(e)
                if self._stopping.is_set():
                    tries_at_end += 1
                    if tries_at_end >= STOP_TRIES_MAX:
                        log.warning("%s: %d records were given up at the end: %s", self._source, submission.rows, e)
                        return None
                self._stopping.wait(e.after_s if not self._stopping.is_set() else 0.2)
            else:
                self.trouble = None
                return receipt

    def _keep_whole(self, taken: Taken) -> None:
        """What broke the parser is a defect of ours: the bytes go to the dead letters, to be replayed when it is mended."""
        self.trouble = "some lines could not be parsed; they are in the dead letters, and the log has more"
        reject = Reject("the appliance failed to parse these lines", taken.lines)
        receipt = self._submit(self._submission((), (*taken.rejects, reject)))
        self.rejected += len(receipt.rejected) if receipt is not None else 0


def spread_times(batches: Sequence[Batch], now_us: int) -> tuple[tuple[Batch, ...], int]:
    """Gives the records that came without a time different times, a microsecond apart, and returns the last one given.

    They came in different messages, so they are different measurements; with the one time of their block, those of one series
    would be the same record.
    """
    spread: list[Batch] = []
    given = 0
    for batch in batches:
        stamps = batch.data.column("ts").cast(pa.int64())
        missing = pc.equal(stamps, now_us)
        count = pc.sum(missing).as_py() or 0
        if count and given + count > 1:
            offsets = pc.add(pc.cumulative_sum(missing.cast(pa.int64())), given - 1)
            moved = pc.if_else(missing, pc.add(stamps, offsets), stamps).cast(TS_TYPE)
            place = batch.data.schema.get_field_index("ts")
            batch = replace(batch, data=batch.data.set_column(place, batch.data.schema.field(place), moved))
        given += count
        spread.append(batch)
    return tuple(spread), now_us + max(given - 1, 0)
