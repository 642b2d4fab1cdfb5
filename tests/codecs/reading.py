"""How the codec tests read: bytes in, rows and refusals out, whatever the notation."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from appliance.records import Column, Kind, Schema
from appliance.sources.codecs.content import Content, ContentDamaged, GzipContent, PlainContent
from appliance.sources.codecs.csv import read_csv
from appliance.sources.codecs.jsonl import read_jsonl
from appliance.sources.codecs.pieces import Piece, Pieces, Target
from tests.clock import NOON_US, FakeClock

Reader = Callable[..., Pieces]


@dataclass
class Read:
    """What came out."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    """Fields and tags that are not null; ``ts`` as microseconds."""
    refused: list[tuple[int, str, bytes]] = field(default_factory=list)
    """Line, reason, original bytes."""
    ends: list[int] = field(default_factory=list)
    """``position_next`` of each piece."""
    lasts: list[bool] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)
    """Type of each column of the last batch that has it."""
    damage: str = ""

    def add(self, piece: Piece) -> None:
        for batch in piece.batches:
            assert batch.origin is not None
            data = batch.data.set_column(0, "ts", batch.data.column(0).cast("int64"))
            for number, row in enumerate(data.to_pylist()):
                self.rows.append({name: value for name, value in row.items() if value is not None})
                assert batch.origin.raw(number)
            self.kinds.update({f.name: "tag" if f.name in batch.tags else str(f.type) for f in batch.data.schema})
        self.refused += [(reject.line, reject.reason, reject.raw) for reject in piece.rejects]
        self.ends.append(piece.position_next)
        self.lasts.append(piece.last)

    def values(self, name: str) -> list[Any]:
        return [row.get(name) for row in self.rows]

    @property
    def bad_lines(self) -> list[int]:
        return [line for line, _reason, _raw in self.refused]


def target(*tags: str, known: dict[str, Kind] | None = None) -> Target:
    schema = Schema("s", tuple(Column(name, kind) for name, kind in known.items())) if known else None
    return Target("s", FakeClock(), tags=tags, schema=lambda: schema)


def content(data: bytes, *, zipped: bool = False, bytes_max: int = 1 << 30) -> Content:
    plain = PlainContent(io.BytesIO(data), size=len(data))
    return GzipContent(plain, bytes_max=bytes_max) if zipped else plain


def read(pieces: Pieces) -> Read:
    """All of it; a damage at the end is kept beside what came before."""
    found = Read()
    try:
        for piece in pieces:
            found.add(piece)
    except ContentDamaged as damage:
        found.damage = str(damage)
    return found


def csv(data: bytes, *tags: str, start: int = 0, **options: Any) -> Read:
    return read(read_csv(content(data), target(*tags, **options), start=start))


def jsonl(data: bytes, *tags: str, start: int = 0, **options: Any) -> Read:
    return read(read_jsonl(content(data), target(*tags, **options), start=start))


NOW = NOON_US
