"""One segment's file as it lies: its hash, what its footer says, what its rows are. Reads only, one row group at a time.

Files are looked at in threads: hashing, decoding and summing up all leave the interpreter free.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from appliance.cold.files import locate
from appliance.cold.segments import FileFacts, hash_file, read_facts, read_segment
from appliance.errors import StoreDamaged
from appliance.manifest import Segment, days_of
from appliance.reconcile.identities import FileIdentities, Gathered, Wanted
from appliance.tally import Tallies, by_day, group_hashes, joined

THREADS_MAX: Final = 2
ROWS_AT_ONCE: Final = 60_000


@dataclass(frozen=True, slots=True)
class Rows:
    """What the rows of a file are, by reading all of them."""

    rows: int
    first: int
    last: int
    ts_min: int
    ts_max: int
    tallies: Tallies
    identities: FileIdentities | None = None
    """None: nobody wanted them."""


@dataclass(frozen=True, slots=True)
class FileLook:
    """What one look at a file gave."""

    bytes: int
    sha256: str
    """"" where it was not hashed."""
    facts: FileFacts | None = None
    """None: the file is no segment."""
    rows: Rows | None = None
    """None: not read, or not readable."""
    times: tuple[int, int] | None = None
    """Earliest and latest event time as the footer has them, µs; None: it has none."""
    trouble: str | None = None
    """Why it, or a part of it, can't be read; None: all that was asked for was read."""
    is_there: bool = True


def look_at(
    root: Path, path: str, *, rows: bool, pause: Callable[[int], None] = lambda _bytes: None, wanted: Wanted | None = None
) -> FileLook:
    """One file, hashed, and with ``rows`` decoded whole. ``pause`` is told bytes as they are read; ``wanted``: see ``read_all``."""
    try:
        place = locate(root, path)
        if not place.is_file():
            return FileLook(0, "", trouble="is not a regular file" if place.exists() else "is missing", is_there=place.exists())
        sha256, size = hash_file(place)
        pause(size)
    except StoreDamaged as e:
        return FileLook(0, "", trouble=str(e))
    except OSError as e:
        return FileLook(0, "", trouble=f"can't be read: {e.strerror}")
    try:
        facts = read_facts(place)
        return FileLook(size, sha256, facts, read_all(place, facts, pause=pause, wanted=wanted) if rows else None, _times(place))
    except StoreDamaged as e:
        return FileLook(size, sha256, trouble=str(e))


def read_all(path: Path, facts: FileFacts, *, pause: Callable[[int], None] = lambda _bytes: None, wanted: Wanted | None = None) -> Rows:
    """Every row; with ``wanted`` also which records are the same one and when each series was last. Raises ``StoreDamaged``."""
    parts: list[Tallies] = []
    gathered = None if wanted is None else Gathered(wanted)
    count, first, last, low, high = 0, 2**63 - 1, -(2**63), 2**63 - 1, -(2**63)
    share = path.stat().st_size / max(1, facts.rows)
    for batch in read_segment(path, tags=facts.schema.tags, rows=ROWS_AT_ONCE):
        if not batch.num_rows:
            continue
        try:
            hashes, times, groups = group_hashes(batch, () if wanted is None else wanted.groups)
            parts.append(by_day(hashes, times))
            if gathered is not None:
                gathered.take(times, *groups)
        except (TypeError, pa.ArrowException, ValueError) as e:
            raise StoreDamaged(f"holds what no segment does: {e}", path=path) from e
        seqs = _span(batch.column("_seq"))
        count, low, high = count + batch.num_rows, min(low, int(times.min())), max(high, int(times.max()))
        first, last = min(first, seqs[0]), max(last, seqs[1])
        pause(int(batch.num_rows * share))
    if not count:
        raise StoreDamaged("has no rows", path=path)
    return Rows(count, first, last, low, high, joined(parts), None if gathered is None else gathered.done())


def look_at_all(
    root: Path,
    segments: Iterable[Segment],
    *,
    rows: Callable[[Segment], bool],
    pause: Callable[[int], None],
    threads: int = THREADS_MAX,
    wanted: Callable[[Segment], Wanted | None] = lambda _segment: None,
) -> Iterator[tuple[Segment, FileLook]]:
    """Each segment with what its file is, in their order; several at once, of which no more are ahead than there are threads."""
    threads = min(threads, len(os.sched_getaffinity(0)))
    with ThreadPoolExecutor(threads, thread_name_prefix="look") as pool:
        ahead: list[tuple[Segment, Any]] = []
        for segment in segments:
            looking = pool.submit(look_at, root, segment.path, rows=rows(segment), pause=pause, wanted=wanted(segment))
            ahead.append((segment, looking))
            if len(ahead) > threads:
                done = ahead.pop(0)
                yield done[0], done[1].result()
        for segment, future in ahead:
            yield segment, future.result()


def false_facts(segment: Segment, look: FileLook) -> dict[str, tuple[Any, Any]]:
    """What the manifest says of a file and the file doesn't: name -> (said, true). Of a file that is a segment."""
    assert look.facts is not None
    true: dict[str, Any] = {
        "bytes": look.bytes,
        "sha256": look.sha256,
        "schema_version": look.facts.schema.version,
        "rows": look.facts.rows,
        "first": look.facts.first,
        "last": look.facts.last,
    }
    if look.times is not None:
        true |= {"ts_min": look.times[0], "ts_max": look.times[1]}
    if look.rows is not None:
        r = look.rows
        day, days = days_of(r.ts_min, r.ts_max)
        true |= {"rows": r.rows, "first": r.first, "last": r.last, "ts_min": r.ts_min, "ts_max": r.ts_max, "day": day, "days": days}
    return {name: (getattr(segment, name), value) for name, value in true.items() if getattr(segment, name) != value}


def _times(path: Path) -> tuple[int, int] | None:
    meta = pq.read_metadata(path)
    at = [meta.schema.column(i).path for i in range(meta.num_columns)].index("ts")
    found = [meta.row_group(g).column(at).statistics for g in range(meta.num_row_groups)]
    if not found or any(f is None or not f.has_min_max for f in found):
        return None
    low, high = (np.array([getattr(f, n) for f in found], "datetime64[us]").astype(np.int64) for n in ("min", "max"))
    return int(low.min()), int(high.max())


def _span(values: Any) -> tuple[int, int]:
    found = pc.min_max(values)
    return int(found["min"].as_py()), int(found["max"].as_py())
