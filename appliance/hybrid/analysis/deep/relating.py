"""What moved together, and which began first: many series against one, at all lags at once. Pure, by column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.hybrid.analysis.deep.values import F64, I64, MAD_TO_SIGMA, Mask

UNUSUAL: Final = 4.0
"""Spreads of the time before from which on a cell counts as moved; of a normal distribution one of 16,000 is."""
ABOVE: Final = 1.5
"""And so many times what it reached before."""
LAG_PART: Final = 8
"""Lags are looked at up to this part of the cells either way."""

_BLOCK: Final = 128
"""Series that are transformed at once: memory is bounded by it."""


@dataclass(frozen=True, slots=True)
class Moves:
    """How each of some series moved: one element for each."""

    peak: F64
    """The furthest from its median before, in spreads of the time before, with its sign."""
    at: I64
    """The cell of the peak."""
    onset: I64
    """The first cell of its move; -1: it did not move."""
    moved: Mask


@dataclass(frozen=True, slots=True)
class Correlated:
    """How each of some series goes along with one of them."""

    strength: F64
    """Correlation at the best lag, -1 to 1."""
    lag: I64
    """Cells by which it is behind; negative: ahead."""


def moves(table: F64, *, since: int, until: int) -> Moves:
    """Rows are series, columns cells; finite. What happened in the cells ``since`` to ``until`` against the cells before ``since``.

    Without at least eight cells before nothing has moved.
    """
    count, size = table.shape
    until = min(max(until, since + 1), size)
    if since < 8 or since >= size:
        none = np.full(count, -1, np.int64)
        return Moves(np.zeros(count), np.zeros(count, np.int64), none, np.zeros(count, np.bool_))
    before = table[:, :since]
    middle = np.median(before, axis=1, keepdims=True)
    spread = np.median(np.abs(before - middle), axis=1, keepdims=True) * MAD_TO_SIGMA
    floor = 1e-3 * np.abs(middle) + 0.1 * before.std(axis=1, keepdims=True) + 1e-9
    with np.errstate(over="ignore"):
        z = (table - middle) / np.maximum(spread, floor)
    during = np.abs(z[:, since:until])
    at = during.argmax(axis=1) + since
    rows = np.arange(count)
    peak = z[rows, at]
    # what may belong to its move already is left out, and the highest hundredth: an earlier spike of one cell does not hide that it moves
    usual = np.quantile(np.abs(z[:, : max(since // 2, since - size // LAG_PART)]), 0.99, axis=1)
    moved = (np.abs(peak) >= UNUSUAL) & (np.abs(peak) >= ABOVE * usual)
    # it begins where it first has a third of its height, on its side, and stays there for another cell
    high = z * np.sign(peak)[:, None] >= np.maximum(UNUSUAL / 2, np.abs(peak) / 3)[:, None]
    lasting = high & np.c_[high[:, 1:], np.zeros(count, np.bool_)]
    lasting[rows, at] = True
    lasting[:, : max(0, since - size // LAG_PART)] = False
    onset = np.where(moved, lasting.argmax(axis=1), -1)
    return Moves(peak, at.astype(np.int64), onset.astype(np.int64), moved)


def correlated(lead: F64, table: F64) -> Correlated:
    """``lead`` is one series, the rows of ``table`` are others over the same cells; finite. Constant ones: 0 at lag 0."""
    size = len(lead)
    if size < 2:
        return Correlated(np.zeros(len(table)), np.zeros(len(table), np.int64))
    width = 1 << (2 * size - 1).bit_length()
    spectrum = np.conj(np.fft.rfft(_scaled(lead[None])[0], width))
    most = max(1, size // LAG_PART)
    lags = np.r_[np.arange(0, most + 1), np.arange(-most, 0)]
    blocks = [table[at : at + _BLOCK] for at in range(0, max(1, len(table)), _BLOCK)]
    near = np.concatenate([np.fft.irfft(np.fft.rfft(_scaled(b), width) * spectrum, width)[:, lags] / size for b in blocks])
    best = np.abs(near).argmax(axis=1)
    strength = np.clip(near[np.arange(len(table)), best], -1.0, 1.0)
    return Correlated(strength, np.where(np.abs(strength) > 1e-9, lags[best], 0))


def _scaled(rows: F64) -> F64:
    """Mean 0, standard deviation 1; a constant row: 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        centre = rows - rows.mean(axis=1, keepdims=True)
        spread = centre.std(axis=1, keepdims=True)
        return np.asarray(np.where(spread > 1e-12, centre / np.where(spread > 1e-12, spread, 1.0), 0.0), np.float64)
