"""Texts as numbers: what a table knows a text by, for as long as a window holds it."""

from __future__ import annotations

import numpy as np

from appliance.hot.stream.values import I64, Mask, Vector

_TEXTS_MIN = 4_096
"""Below this nothing is thrown away."""


class TextPool:
    """The texts of one argument. Codes have no order; those that nothing holds any more are given back by ``shrink``."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._texts: list[str] = []
        self._limit = _TEXTS_MIN
        self._last: tuple[tuple[str, ...], I64] | None = None

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def bytes(self) -> int:
        """About what the texts hold in memory."""
        return sum(len(text) for text in self._texts) + 150 * len(self._texts)

    @property
    def crowded(self) -> bool:
        """Whether it is worth asking which texts are still held."""
        return len(self._texts) > self._limit

    def codes(self, vector: Vector) -> I64:
        """The code of each value; 0 where it is null."""
        assert vector.texts is not None
        if self._last is None or self._last[0] is not vector.texts:
            self._last = (vector.texts, np.array([*(self._code(text) for text in vector.texts), 0], dtype=np.int64))
        return np.asarray(self._last[1][np.where(vector.valid, vector.values, -1)])

    def vector(self, codes: I64, valid: Mask) -> Vector:
        """Texts of codes, of which only those that are there."""
        found, places = np.unique(np.where(valid, codes, -1), return_inverse=True)
        texts = tuple(self._texts[code] if code >= 0 else "" for code in found.tolist())
        return Vector(places.astype(np.int32), valid, texts)

    def shrink(self, held: I64) -> I64:
        """Keeps the texts of the codes ``held`` (distinct) and gives the new code of each old one."""
        new = np.zeros(len(self._texts), dtype=np.int64)
        new[held] = np.arange(len(held))
        self._texts = [self._texts[code] for code in held.tolist()]
        self._codes = {text: code for code, text in enumerate(self._texts)}
        self._limit = max(_TEXTS_MIN, 2 * len(self._texts))
        self._last = None
        return new

    def _code(self, text: str) -> int:
        code = self._codes.setdefault(text, len(self._texts))
        if code == len(self._texts):
            self._texts.append(text)
        return code
