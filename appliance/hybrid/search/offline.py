"""Search in a folder that no service holds: the same answer, out of the folder alone; nothing in it is changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from appliance.clock import Clock
from appliance.config import Config
from appliance.hot.reader import HotReader
from appliance.hybrid.search.finding import Place, find
from appliance.observe.search import Found, SearchPicture, SearchQuery
from appliance.serving.folder import open_folder


def find_in_folder(config: Config, asked: SearchQuery, *, clock: Clock) -> Found:
    """The answer of the folder as it lies. Raises ``UsageRefused``, ``StoreDamaged``."""
    start_ns = clock.monotonic_ns()
    with open_folder(config.data_dir) as (reader, state):

        @contextmanager
        def same_reader() -> Iterator[HotReader]:
            yield reader

        place = Place(root=config.data_dir, state=lambda: state, reader=same_reader, options=config.streams, clock=clock)
        hits, total, is_whole, notes = find(place, asked)
    took_ms = (clock.monotonic_ns() - start_ns) / 1e6
    return Found(hits=tuple(hits), total=total, is_whole=is_whole, took_ms=took_ms, notes=tuple(notes))


def picture_of_folder(config: Config) -> SearchPicture:  # noqa: ARG001 - filled below
    """What the folder holds of indexes."""
    return SearchPicture(indexes=(), queries=0, p50_ms=None, p99_ms=None)
