"""What is known, brought to the hot store and back. Used by the follower's thread; the writer's does the writing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Any, Final

import msgspec
import pyarrow as pa

from appliance.clock import Clock
from appliance.door.commit import Committer
from appliance.door.writer import Writer
from appliance.errors import ApplianceError
from appliance.hot import analysis_table
from appliance.hot.reader import HotReader
from appliance.hybrid.analysis.live.watch import Watch
from appliance.hybrid_options import AnalysisOptions

log = logging.getLogger(__name__)
CHUNK_BYTES: Final = 256 * 1024
"""What one transaction writes: some milliseconds of the writer's time."""
_CODEC: Final = "zstd"
_SIZE_BYTES: Final = 8


class Shelf:
    """See the module."""

    def __init__(
        self, writer: Writer, reader: Callable[[], AbstractContextManager[HotReader]], *, clock: Clock, step: Callable[[str], None]
    ) -> None:
        """``step`` is told each named step, for tests that stop there."""
        self._writer, self._reader, self._clock, self._step = writer, reader, clock, step
        self._generations: dict[str, int] = {}

    def load(self, name: str, options: AnalysisOptions) -> Watch:
        """An analysis as it was stored; a new one where nothing is, or nothing that can be used, which the log says."""
        watch = Watch(name, options)
        with self._reader() as reader:
            stored = analysis_table.load_generation(reader, name)
        self._generations[name] = stored.generation
        if not stored.is_whole:
            log.error("what the analysis %s has learned is damaged; it is learned anew", name)
        if not stored.parts:
            return watch
        try:
            watch.load({part: _unpacked(body) for part, body in stored.parts.items()})
        except (ApplianceError, msgspec.MsgspecError, pa.ArrowInvalid, OSError, ValueError) as e:
            log.warning("the analysis %s learns anew: %s", name, e)
            return Watch(name, options)
        return watch

    def save(self, watch: Watch) -> None:
        """What is known takes the place of what was stored; durable when it returns. Raises ``RetryLater``; what was stored counts then."""
        name = watch.name
        generation = self._generations.get(name, 0) + 1
        places = {f.name: f.seq for f in watch.streams.values()}
        self._write(lambda c: analysis_table.forget_generation(c.store.connection, name, generation))
        for part, body in watch.dump():
            packed = _packed(body)
            for number in range(-(-len(packed) // CHUNK_BYTES)):
                self._put(name, generation, part, number, packed[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES])
        self._step("analysis.written")
        now_us = self._clock.now_us()
        self._write(lambda c: analysis_table.put_generation(c.store.connection, name, generation, places, at_us=now_us))
        self._generations[name] = generation
        self._step("analysis.saved")

    def keep_only(self, names: Collection[str]) -> None:
        """What was stored of others goes. Raises ``RetryLater``."""
        self._write(lambda c: analysis_table.keep_only(c.store.connection, tuple(names)))

    def _put(self, name: str, generation: int, part: str, number: int, body: bytes) -> None:
        self._write(lambda c: analysis_table.put_chunk(c.store.connection, name, generation, part, number, body))

    def _write(self, statement: Callable[[Committer], None]) -> None:
        def run(committer: Committer) -> None:
            with committer.store.transaction():
                statement(committer)

        self._writer.call(run).result()


def _packed(body: bytes) -> bytes:
    codec: Any = pa.Codec(_CODEC)
    return len(body).to_bytes(_SIZE_BYTES, "little") + bytes(codec.compress(body, asbytes=True))


def _unpacked(packed: bytes) -> bytes:
    codec: Any = pa.Codec(_CODEC)
    return bytes(codec.decompress(packed[_SIZE_BYTES:], int.from_bytes(packed[:_SIZE_BYTES], "little"), asbytes=True))
