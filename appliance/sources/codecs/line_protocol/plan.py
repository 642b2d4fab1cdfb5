"""What a group of lines must look like, made once for each shape: its names, the types of its columns, the bytes of its keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from appliance.records import Kind
from appliance.sources.codecs.line_protocol import grammar
from appliance.sources.codecs.line_protocol.cells import FIRST_BYTES, Page, Words, word
from appliance.sources.codecs.line_protocol.values import Flags, Ints, Shape

KINDS = (Kind.FLOAT, Kind.INT, Kind.BOOL, Kind.TEXT)
KIND_OF: Words = np.zeros(256, dtype=np.uint64)
"""By the last byte of a value: 1 + the index in ``KINDS``; 0 for no type."""
for _number, _last in enumerate((b"0123456789.", b"iu", b"tTfFeE", b'"'), start=1):
    KIND_OF[list(_last)] = _number

_COMPARED_BYTES = 256 * 1024
"""What is compared at once: stays in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the lines of one shape are read."""

    shape: Shape
    kinds: Words
    """The number in ``KIND_OF`` of each field, as a column."""
    rows: Mapping[Kind, Ints]
    """Which fields are of a type; types without any are left out."""
    lengths: Ints
    """Of the measurement and each key in bytes, as a column."""
    word_key: Ints
    """Of each word that is compared: its key's row, …"""
    word_offset: Ints
    """… where in the key it begins (a column), …"""
    word_mask: Words
    """… which of its bytes belong to the key (a column), …"""
    word_bytes: Words
    """… and what they must be (a column)."""

    def unlike(self, page: Page, starts: Ints, ends: Ints) -> Flags:
        """The lines (columns) whose measurement and keys (rows) are not exactly this shape's."""
        bad: Flags = (ends - starts != self.lengths).any(axis=0)
        if bad.all():
            return bad
        if bad.any():
            starts = np.where(bad, starts[:, int(np.argmin(bad)), None], starts)  # keeps what is read within bounds
        step = max(1, _COMPARED_BYTES // (8 * len(self.word_key)))
        for begin in range(0, starts.shape[1], step):
            words = page.words[starts[self.word_key, begin : begin + step] + self.word_offset]
            words &= self.word_mask
            words ^= self.word_bytes
            bad[begin : begin + step] |= np.bitwise_or.reduce(words, axis=0) != 0
        return bad


@lru_cache(maxsize=256)
def plan_of(names: tuple[bytes, ...], tags: int, kinds: bytes, name_bytes_max: int) -> Plan | None:
    """The plan for lines with these names (measurement, ``tags`` tags, fields) and numbers of types.

    None when the exact route would refuse such lines, or read them otherwise.
    """
    if not all(names) or not all(kinds):
        return None
    stream = grammar.measurement_name(names[0])
    keys = tuple(map(grammar.key_name, names[1:]))
    shape = Shape(stream, keys[:tags], keys[tags:], tuple(KINDS[kind - 1] for kind in kinds))
    if grammar.names_refused(stream, shape.tags, shape.fields, name_bytes_max) is not None:
        return None
    numbers = np.frombuffer(kinds, dtype=np.uint8).astype(np.uint64)
    rows = {kind: np.flatnonzero(numbers == number) for number, kind in enumerate(KINDS, start=1) if number in kinds}
    words = [(key, offset) for key, name in enumerate(names) for offset in range(0, len(name), 8)]
    wanted = [names[key][offset : offset + 8] for key, offset in words]
    return Plan(
        shape,
        numbers[:, None],
        rows,
        np.array([len(name) for name in names])[:, None],
        np.array([key for key, _ in words]),
        np.array([offset for _, offset in words])[:, None],
        FIRST_BYTES[[len(text) for text in wanted]][:, None],
        np.array([word(text) for text in wanted], dtype=np.uint64)[:, None],
    )
