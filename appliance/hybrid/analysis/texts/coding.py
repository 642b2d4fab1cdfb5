"""Texts as numbers of their distinct shapes, by column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from appliance.hybrid.analysis.texts.masks import clipped, marked, shapes

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
FEW_TEXTS: Final = 64
"""So many different texts and fewer are looked up among those that are remembered: setting up the patterns costs more than they do."""
REMEMBERED_MAX: Final = 1_024
REMEMBERED_CHARACTERS_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Coded:
    """Texts by what they have in common."""

    codes: I32
    """Of each text the place of its shape in ``shapes``; the place after the last for null."""
    shapes: list[str]
    """Distinct, in the order in which they come first."""
    of_text: I32
    """Of each text its place in ``marks``; the place after the last for null."""
    marks: pa.StringArray
    """Distinct texts, marked: see ``masks.py``."""


class Coder:
    """Codes texts; remembers some, by which nothing but time is saved. Owned by one `Miner`."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}

    def code(self, texts: pa.Array) -> Coded:
        """``texts``: of type ``string``, ``large_string`` or a dictionary of such."""
        encoded = texts if pa.types.is_dictionary(texts.type) else texts.dictionary_encode()
        distinct = clipped(encoded.dictionary)
        marks, shaped = self._looked_up(distinct) if len(distinct) <= FEW_TEXTS else _looked_at(distinct)
        found = shaped.dictionary_encode()
        names: list[str | None] = found.dictionary.to_pylist()
        code_of = np.append(_places(found.indices, len(names)), len(names)).astype(np.int32)
        of_text = _places(encoded.indices, len(distinct))
        return Coded(code_of[of_text], [name or "" for name in names], of_text, marks)

    def _looked_up(self, distinct: pa.StringArray) -> tuple[pa.StringArray, pa.StringArray]:
        texts: list[str | None] = distinct.to_pylist()
        missing = [text for text in texts if text is not None and text not in self._known]
        found: dict[str, tuple[str, str]] = {}
        if missing:
            marks, shaped = _looked_at(pa.array(missing, pa.string()))
            found = dict(zip(missing, zip(marks.to_pylist(), shaped.to_pylist(), strict=True), strict=True))
        both = [(None, None) if text is None else found.get(text) or self._known[text] for text in texts]
        self._known.update((text, pair) for text, pair in found.items() if len(text) <= REMEMBERED_CHARACTERS_MAX)
        if len(self._known) > REMEMBERED_MAX:
            self._known = {}
        return pa.array([mark for mark, _ in both], pa.string()), pa.array([shape for _, shape in both], pa.string())


def firsts(codes: I32, count: int) -> Iterator[tuple[int, int]]:
    """The row at which each code is there first, and the code, in the order of the rows; only codes below ``count``, without null."""
    distinct, rows = np.unique(codes, return_index=True)
    order = np.argsort(rows)
    yield from ((row, code) for row, code in zip(rows[order].tolist(), distinct[order].tolist(), strict=True) if code < count)


def _looked_at(distinct: pa.StringArray) -> tuple[pa.StringArray, pa.StringArray]:
    marks = marked(distinct)
    return marks, shapes(marks)


def _places(indices: pa.Array, for_null: int) -> I32:
    return np.asarray(indices.fill_null(for_null).to_numpy(zero_copy_only=False), np.int32)
