"""Search in a folder that no service holds: the same answer, out of the folder alone; nothing in it is changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from appliance.clock import Clock
from appliance.config import Config
from appliance.hot.reader import HotReader
from appliance.hot.stored_latest import latest_values
from appliance.hybrid.search.checking import DIFFERS, make_check, make_repair
from appliance.hybrid.search.finding import Place, fields_of, find
from appliance.hybrid.search.names import Names
from appliance.hybrid.search.pictures import index_rows
from appliance.hybrid.search.sealed.shelf import Shelf
from appliance.observe.search import Found, SearchPicture, SearchQuery
from appliance.reconcile.look import Check, Repairs
from appliance.serving.folder import open_folder


def find_in_folder(config: Config, asked: SearchQuery, *, clock: Clock) -> Found:
    """The answer of the folder as it lies. Raises ``UsageRefused``, ``StoreDamaged``."""
    start_ns = clock.monotonic_ns()
    with open_folder(config.data_dir) as (reader, state):

        @contextmanager
        def same_reader() -> Iterator[HotReader]:
            yield reader

        shelf = Shelf(config.data_dir)
        place = Place(
            root=config.data_dir,
            state=lambda: state,
            reader=same_reader,
            options=config.streams,
            clock=clock,
            index=shelf.index,
            names=lambda query, of: Names(lambda stream: latest_values(reader, stream), clock).find(query, of, reader),
            broken=shelf.distrust,
        )
        hits, total, is_whole, notes = find(place, asked)
    took_ms = (clock.monotonic_ns() - start_ns) / 1e6
    return Found(hits=tuple(hits), total=total, is_whole=is_whole, took_ms=took_ms, notes=tuple(notes))


def checks_of_folder(config: Config) -> tuple[tuple[Check, ...], Repairs]:
    """What reconciliation looks at of indexes, and its repair: what differs is removed, and the next service makes it anew."""
    shelf = Shelf(config.data_dir)
    check = make_check(shelf, lambda stream: fields_of(stream, config.streams))
    return (check,), {DIFFERS: make_repair(shelf, lambda: None)}


def picture_of_folder(config: Config) -> SearchPicture:
    """What the folder holds of indexes."""
    with open_folder(config.data_dir) as (_, state):
        rows = index_rows(state, Shelf(config.data_dir), lambda s: fields_of(s, config.streams), hot=lambda _stream: 0)
    return SearchPicture(indexes=rows, queries=0, p50_ms=None, p99_ms=None)
