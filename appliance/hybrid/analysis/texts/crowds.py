"""Templates that differ in several places at once: where many begin alike and are as long, the places in which all differ vary. Pure.

After the iterative partitioning of Makanju et al. (IPLoM, KDD 2009): split by the place with the fewest different words until what is left
differs in nothing, or in each place by many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from appliance.hybrid.analysis.texts.columns import Columns, is_name, is_word
from appliance.hybrid.analysis.texts.rules import FEW, may_vary

CROWD_MIN: Final = 16
"""Templates that begin alike and are as long, from which on they are looked at together."""
_WORDS_MIN: Final = 2


def crowd_of(columns: Columns) -> tuple[int, str] | None:
    """What the templates of one crowd share: how long they are, and their first word; None: there is none."""
    first = next((column for column in columns if is_word(column)), None)
    return None if first is None else (len(columns), first)


def is_due(size: int) -> bool:
    """Whether a crowd that has grown to that size is looked at: at 16, 32, 64, …"""
    return size >= CROWD_MIN and size & (size - 1) == 0


def alike_in(crowd: Sequence[Columns]) -> list[list[int]]:
    """Which of a crowd are one template: groups of places in the sequence."""
    groups: list[list[int]] = []
    waiting = [list(range(len(crowd)))]
    while waiting:
        members = waiting.pop()
        if len(members) < CROWD_MIN:
            continue
        different = [len({crowd[i][place] for i in members}) for place in range(len(crowd[0]))]
        varying = [place for place, count in enumerate(different) if count > 1]
        narrow = min(varying, key=lambda place: (different[place], place), default=None)
        if narrow is None:
            continue
        if different[narrow] > FEW and all(may_vary(crowd[members[0]][place]) for place in varying):
            if sum(is_word(c) and not is_name(c) for place, c in enumerate(crowd[members[0]]) if different[place] == 1) >= _WORDS_MIN:
                groups.append(members)
            continue
        by_value: dict[str, list[int]] = {}
        for i in members:
            by_value.setdefault(crowd[i][narrow], []).append(i)
        waiting += by_value.values()
    return groups
