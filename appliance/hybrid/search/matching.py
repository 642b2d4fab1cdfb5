"""Which texts fit a query, by looking at the texts themselves: what search means, and how what no index covers is searched. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from appliance.hybrid.search.language import All, Leaf, Node, Not, Query
from appliance.hybrid.search.words import I64, Mask, Split, split

Masks = Mapping[Leaf, Mask]
"""For each leaf of a query, in which rows it is found."""


def fitting(query: Query, columns: Sequence[Any]) -> Mask:
    """True for each row of ``columns`` (texts of equal length, each a field) that fits the query."""
    return combined(query.root, masks_of(query.leaves, columns))


def masks_of(leaves: Sequence[Leaf], columns: Sequence[Any]) -> dict[Leaf, Mask]:
    """Where each leaf is found, in whichever column."""
    splits = [split(column) for column in columns]
    found: dict[Leaf, Mask] = {}
    for leaf in leaves:
        parts = [leaf_rows(leaf, of) for of in splits]
        found[leaf] = np.logical_or.reduce(parts) if len(parts) > 1 else parts[0]
    return found


def combined(node: Node, found: Masks) -> Mask:
    """What a query says of rows of which it is known where its leaves are."""
    if isinstance(node, Leaf):
        return found[node]
    if isinstance(node, Not):
        return ~combined(node.of, found)
    parts = [combined(n, found) for n in node.of]
    return np.asarray(np.logical_and.reduce(parts) if isinstance(node, All) else np.logical_or.reduce(parts), np.bool_)


def leaf_rows(leaf: Leaf, of: Split) -> Mask:
    """The rows in which the words follow each other."""
    mask = np.zeros(of.rows, dtype=np.bool_)
    mask[of.row[leaf_places(leaf, of)]] = True
    return mask


def leaf_places(leaf: Leaf, of: Split) -> I64:
    """Which words of ``of`` begin what the leaf says, as their numbers, rising."""
    last = len(leaf.words) - 1
    at = _equal(of, np.arange(len(of), dtype=np.int64), leaf.words[0], is_prefix=leaf.is_prefix and last == 0)
    for step, word in enumerate(leaf.words[1:], start=1):
        at = at[at + step < len(of)]
        at = at[of.row[at] == of.row[at + step]]
        at = _equal(of, at + step, word, is_prefix=leaf.is_prefix and step == last) - step
    return at


def _equal(of: Split, places: I64, word: bytes, *, is_prefix: bool) -> I64:
    """Those of ``places`` at which ``word`` stands."""
    sizes = of.size if len(places) == len(of) else of.size[places]
    kept = places[sizes >= len(word)] if is_prefix else places[sizes == len(word)]
    for step, byte in enumerate(word):
        if not len(kept):
            break
        kept = kept[of.data[of.begin[kept] + step] == byte]
    return kept
