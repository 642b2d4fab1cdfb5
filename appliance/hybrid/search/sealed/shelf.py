"""Which sealed indexes there are: the files below ``search``, each named after the content of its segment. From any thread.

A file is an index of a segment when it says that segment's SHA-256, its rows and the fields that are asked for; whatever else lies
there is none, and is swept away with the indexes of segments that are gone.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from appliance.cold.beside import FOLDER, SUFFIX, index_place
from appliance.hot.state import State, StreamState
from appliance.hybrid.search.language import Query
from appliance.hybrid.search.sealed import file
from appliance.hybrid.search.sealed.building import One, one_of
from appliance.hybrid.search.sealed.file import Facts, OpenIndex
from appliance.hybrid.search.sealed.frames import Broken
from appliance.hybrid.search.sealed.looking import Room
from appliance.hybrid.search.words import U8, Mask
from appliance.manifest import Segment

log = logging.getLogger(__name__)
OPEN_MAX: Final = 64
"""Files that are held open; each has some kilobytes of common words and patterns a run of rows in memory, and 256 KiB of SQLite's pages at
most."""
REMEMBERED_BYTES_MAX: Final = 16 << 20
"""Of all open files, which pattern each row has, two bytes a row: what was opened first stays, until nobody has searched for a while."""


@dataclass(frozen=True, slots=True)
class Index:
    """One sealed index."""

    path: Path
    facts: Facts
    size: int
    """Bytes."""
    open: Callable[[Path], OpenIndex] = OpenIndex

    def scores(self, query: Query) -> list[tuple[int, U8, Mask | None]]:
        """See ``OpenIndex.scores``. Raises ``Broken``."""
        return self.open(self.path).scores(query)

    def count(self, query: Query) -> int:
        """See ``OpenIndex.count``. Raises ``Broken``."""
        return self.open(self.path).count(query)


@dataclass(slots=True)
class Shelf:
    """See the module."""

    root: Path
    """The data folder."""
    _known: dict[str, Index | None] = field(default_factory=dict)
    """By the path relative to the data folder; None: it can't be used."""
    _open: OrderedDict[Path, OpenIndex] = field(default_factory=OrderedDict)
    """Those that were asked last, the newest at the end."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _room: Room = field(default_factory=lambda: Room(REMEMBERED_BYTES_MAX))

    def opened(self, path: Path) -> OpenIndex:
        """A file, open; of those that were not asked for longest some are closed."""
        gone: list[OpenIndex] = []
        with self._lock:
            found = self._open.get(path) or self._open.setdefault(path, OpenIndex(path, self._room))
            self._open.move_to_end(path)
            while len(self._open) > OPEN_MAX:
                gone.append(self._open.popitem(last=False)[1])
        for one in gone:
            one.close()
        return found

    def close(self) -> None:
        """Closes all files."""
        with self._lock:
            gone = list(self._open.values())
            self._open.clear()
        for one in gone:
            one.close()

    def index(self, stream: StreamState, segment: Segment, fields: Sequence[str]) -> Index | None:
        """The index of a segment's fields; None where there is none yet."""
        path = place_of(stream, segment)
        if path not in self._known:
            if not (self.root / path).is_file():
                return None
            self._known[path] = self._read(path)
        found = self._known[path]
        if found is None or (found.facts.sha256, found.facts.rows) != (segment.sha256, segment.rows):
            return None
        there = set(stream.schemas[segment.schema_version].by_fold)
        wanted = {f for f in fields if f.lower() in there}
        return found if set(found.facts.fields) == wanted else None

    def _read(self, path: str) -> Index | None:
        try:
            return Index(self.root / path, file.read_facts(self.root / path), (self.root / path).stat().st_size, self.opened)
        except (Broken, OSError) as e:
            log.warning("the search index %s can't be used and is made anew: %s", path, e)
            return None

    def missing(self, stream: StreamState, fields: Sequence[str]) -> list[One]:
        """The segments of a stream that have no index of these fields, newest first."""
        found = []
        for segment in stream.segments:
            there = set(stream.schemas[segment.schema_version].by_fold)
            mine = tuple(f for f in fields if f.lower() in there)
            if mine and self.index(stream, segment, fields) is None:
                place = place_of(stream, segment)
                folder, _, name = place.rpartition("/")
                found.append((segment.ts_max, one_of(segment, fields=mine, folder=folder, name=name)))
        return [one for _, one in sorted(found, key=lambda pair: pair[0], reverse=True)]

    def forget(self, paths: Collection[str] | None = None) -> None:
        """Looks at files anew (None: at all)."""
        for path in list(self._known) if paths is None else paths:
            self._known.pop(path, None)
        self.close()

    def drop(self, stream: StreamState) -> int:
        """Removes every index of a stream, so that it is made anew; how many there were."""
        gone = 0
        for path in sorted((self.root / FOLDER / stream.folder).glob(f"*{SUFFIX}")):
            path.unlink(missing_ok=True)
            gone += 1
        self.forget()
        return gone

    def broken(self, index: Index, reason: str) -> None:
        """Takes note that a file is not what was written: it goes, and is made anew."""
        self.distrust(index, reason)
        index.path.unlink(missing_ok=True)

    def distrust(self, index: Index, reason: str) -> None:
        """Takes note that a file is not what was written; it stays where it is."""
        log.warning("the search index %s is damaged, and the records are read instead: %s", index.path.name, reason)
        self._known[index.path.relative_to(self.root).as_posix()] = None
        self.close()

    def sweep(self, state: State, *, also_unfinished: bool = True) -> int:
        """Removes what belongs to no live segment; how many files there were. ``also_unfinished``: nobody writes there now."""
        wanted = {place_of(stream, segment) for stream in state.streams.values() for segment in stream.segments}
        gone = 0
        for path in self.files():
            name = path.relative_to(self.root).as_posix()
            if name not in wanted and (also_unfinished or name.endswith(SUFFIX)):
                path.unlink(missing_ok=True)
                self._known.pop(name, None)
                gone += 1
        return gone

    def files(self) -> list[Path]:
        """Everything below the folder of sealed indexes, half-written files too."""
        return sorted(p for p in (self.root / FOLDER).glob("*/*") if p.is_file() and not p.is_symlink())


def place_of(stream: StreamState, segment: Segment) -> str:
    """Where a segment's index lies, relative to the data folder."""
    return index_place(stream.folder, segment.sha256)
