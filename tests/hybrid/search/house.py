"""A box with texts, in one process, and what a person would find in it by reading every record that SQL shows.

The reading is by other means than the search: words by Python's own idea of letters, records by DuckDB over the merged view.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from appliance.hybrid.search.finding import Place, fields_of, find
from appliance.hybrid.search.fresh import Fresh
from appliance.hybrid.search.language import All, Leaf, Node, Not, parse
from appliance.hybrid.search.language import Any as Either
from appliance.hybrid.search.sealed.building import Task, build
from appliance.hybrid.search.sealed.shelf import Shelf
from appliance.observe.search import Hit, SearchQuery
from appliance.records import TS_TYPE, Batch, Format, Submission
from appliance.serving.source import pinned_reader
from tests.clock import NOON_US
from tests.views.house import House

STREAM = "readings"
FIELDS = ("note", "more")
Row = tuple[float, str | None, str | None, str | None]
"""Hours after noon, device, note, more."""


class TextHouse(House):
    """Records of devices with two texts each, in a stream where equal times of a device are the same record."""

    def __init__(self, root: Path, **more: Any) -> None:
        super().__init__(root, {}, **more)

    def write(self, rows: Sequence[Row], *, format: Format = Format.LP) -> None:
        """What comes as CSV makes a stream without identity."""
        data = {
            "ts": pa.array([NOON_US + int(r[0] * 3_600_000_000) for r in rows], pa.int64()).cast(TS_TYPE),
            "device": pa.array([r[1] for r in rows], pa.string()).dictionary_encode(),
            "note": pa.array([r[2] for r in rows], pa.string()),
            "more": pa.array([r[3] for r in rows], pa.string()),
        }
        self.box.door.submit_blocking(Submission("http", format, (Batch(STREAM, ("device",), pa.record_batch(data)),)))

    @property
    def shelf(self) -> Shelf:
        return Shelf(self.folder)

    def seal(self) -> int:
        """As batch does; how many indexes were made."""
        stream = self.box.state.streams[STREAM]
        self.shelf.sweep(self.box.state)
        missing = self.shelf.missing(stream, fields_of(stream, {}))
        made = build(Task(str(self.folder), tuple(missing), 24 << 20))
        assert made.failed == {}
        return made.built

    def index(self) -> None:
        """As the follower does, also of few records."""
        while self.fresh.follow(self.box.state.streams[STREAM]):
            continue

    def start(self) -> None:
        """Opens the box; the index of hot records begins anew."""
        super().start()
        self.fresh = Fresh(self.folder, fields=lambda stream: fields_of(stream, {}), rows_min=1)

    def place(self) -> Place:
        """Where a search of the running box looks."""
        box, shelf = self.box, self.shelf
        return Place(
            root=self.folder,
            state=lambda: box.state,
            reader=lambda: pinned_reader(self.folder),
            options={},
            clock=self.clock,
            index=shelf.index,
            fresh=self.fresh.candidates,
            broken=shelf.broken,
        )

    def search(self, text: str, **more: Any) -> tuple[list[Hit], int]:
        """Records that are found, and how many there are."""
        hits, total, is_whole, notes = find(self.place(), SearchQuery(text=text, **{"limit": 1_000, **more}))
        assert (is_whole, notes) == (True, [])
        return hits, total

    def everything(self) -> list[dict[str, Any]]:
        """Every record that SQL shows, newest first."""
        found = self.ask(f"SELECT *, epoch_us(ts) AS us FROM {STREAM}")
        for row in found:
            row["words"] = [words(row.get(f) or "") for f in FIELDS]
        return sorted(found, key=lambda row: (row["us"], row["_seq"]), reverse=True)

    def read(self, text: str, rows: Sequence[dict[str, Any]] | None = None) -> list[int]:
        """The sequences of the records that fit, newest first, by looking at each one."""
        root = parse(text).root
        return [r["_seq"] for r in (self.everything() if rows is None else rows) if fits(root, r["words"])]

    def check(self, *texts: str) -> None:  # type: ignore[override]  # of texts, not of views
        """Search and reading say the same."""
        rows = self.everything()
        for text in texts:
            hits, total = self.search(text)
            wanted = self.read(text, rows)
            assert [h.seq for h in hits] == wanted, text
            assert total == len(wanted)
            ranked, _ = self.search(text, order="rank")
            assert sorted(h.seq or 0 for h in ranked) == sorted(wanted)
            assert [h.rank for h in ranked] == sorted((h.rank for h in ranked), reverse=True)


def words(text: str) -> list[bytes]:
    """The words of a text."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.category(c).startswith("M"))
    return [w.encode()[:48] for w in re.findall(r"[^\W_]+", plain.lower())]


def fits(node: Node, fields: Sequence[Sequence[bytes]]) -> bool:
    """Whether a record with these fields is meant."""
    match node:
        case Leaf():
            return any(_follows(node, field) for field in fields)
        case Not():
            return not fits(node.of, fields)
        case All():
            return all(fits(n, fields) for n in node.of)
        case Either():
            return any(fits(n, fields) for n in node.of)


def _follows(leaf: Leaf, field: Sequence[bytes]) -> bool:
    size = len(leaf.words)
    return any(_same(leaf, field[at : at + size]) for at in range(len(field) - size + 1))


def _same(leaf: Leaf, found: Sequence[bytes]) -> bool:
    last = found[-1].startswith(leaf.words[-1]) if leaf.is_prefix else found[-1] == leaf.words[-1]
    return last and tuple(found[:-1]) == leaf.words[:-1]


def seqs(hits: Sequence[Hit]) -> list[int | None]:
    """In their order."""
    return [h.seq for h in hits]
