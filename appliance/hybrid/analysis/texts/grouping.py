"""Which shapes are one template: each begins as one of its own, and those that differ in one place become one when the rules say so.

Only ever more general, never split: so an id stays what it was, or points to its heir, the oldest of those that became one.
What comes out depends on the shapes and the order in which each came first, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from appliance.hybrid.analysis.texts.columns import SWITCHES, Columns, is_name, is_path, is_word
from appliance.hybrid.analysis.texts.crowds import alike_in, crowd_of, is_due
from appliance.hybrid.analysis.texts.masks import VARIES
from appliance.hybrid.analysis.texts.rules import FEW, SHARED_NAMES, WORDS_BESIDE_PATHS, is_detail, may_be_names, may_vary, one_template

Key = TypeVar("Key")
NAMES_MAX: Final = 4_096
"""Words that are kept because they were found to vary; further ones are not."""


class Grouping:
    """The live templates by their columns, and an index of which differ in one place. Owned by one `Miner`."""

    def __init__(self) -> None:
        self.columns: dict[int, Columns] = {}
        """Live id -> its columns."""
        self.names: dict[str, None] = {}
        """Words that were found to vary, in that order."""
        self.size = 0
        """Columns of all live templates together."""
        self._ids: dict[Columns, int] = {}
        self._open: dict[int, tuple[int, ...]] = {}
        self._masks: dict[int, dict[tuple[int, ...], int]] = {}
        self._near: dict[int, tuple[int, ...]] = {}
        self._alike: dict[Columns, tuple[int, ...]] = {}
        self._of_word: dict[str, dict[int, int]] = {}
        self._crowds: dict[tuple[int, str], tuple[int, ...]] = {}

    def match(self, columns: Columns) -> int | None:
        """The template that the shape is an instance of; the one with fewer places that vary before the other. None: there is none."""
        exact = self._ids.get(columns)
        if exact is not None:
            return exact
        for places in self._masks.get(len(columns), ()):
            found = self._ids.get(_opened(columns, places))
            if found is not None and self._open.get(found) == places:
                return found
        return None

    def add(self, columns: Columns, template: int, places: tuple[int, ...] = ()) -> list[tuple[int, int]]:
        """Takes in a shape that nothing matches as ``template``; returns what became one by it as (id, its heir), in order.

        ``places``: the columns that were found to vary, for one that is put back as it was.
        """
        self._put(template, columns, places)
        joined = self._settle([template])
        if joined or not is_due(len(self._crowd(columns))):
            return joined
        crowd = sorted(self._crowd(columns))
        for members in alike_in([self.columns[i] for i in crowd]):
            joined += self._join([crowd[i] for i in members])
        return joined + self._settle(sorted({heir for _, heir in joined}))

    def put(self, columns: Columns, template: int, places: tuple[int, ...]) -> None:
        """As it was when it was stored: joins nothing."""
        self._put(template, columns, places)

    def places(self, template: int) -> tuple[int, ...]:
        """The columns of a live template that were found to vary (besides those that its first text was masked in)."""
        return self._open.get(template, ())

    def neighbour(self, template: int) -> tuple[int, int] | None:
        """The oldest other live template that says the same but for one column, and that column; None: there is none."""
        columns = self.columns[template]
        near = [
            (min(others), place)
            for place, key in self._keys(columns)
            if is_detail(columns, place) and (others := [i for i in self._near[key] if i != template])
        ]
        return min(near) if near else None

    def drop(self, template: int) -> None:
        """Forgets a live template."""
        columns = self.columns.pop(template)
        self.size -= len(columns)
        del self._ids[columns]
        places = self._open.pop(template, ())
        if places:
            masks = self._masks[len(columns)]
            masks[places] -= 1
            if not masks[places]:
                del masks[places]
        crowd = crowd_of(columns)
        if crowd is not None:
            _take(self._crowds, crowd, template)
        for _, key in self._keys(columns):
            _take(self._near, key, template)
        for alike, _ in _looser(columns):
            _take(self._alike, alike, template)

    def _put(self, template: int, columns: Columns, places: tuple[int, ...]) -> None:
        self.columns[template], self._ids[columns] = columns, template
        self.size += len(columns)
        if places:
            self._open[template] = places
            masks = self._masks.setdefault(len(columns), {})
            masks[places] = masks.get(places, 0) + 1
            if masks[places] == 1:
                self._masks[len(columns)] = dict(sorted(masks.items(), key=lambda m: (len(m[0]), m[0])))
        for place, key in self._keys(columns):
            members = self._near[key] = (*self._near.get(key, ()), template)
            if len(members) >= SHARED_NAMES and may_be_names(columns, place):
                for value in self._words_at(place, members):
                    self._of_word.setdefault(value, {})[key] = place
        for alike, _ in _looser(columns):
            self._alike[alike] = (*self._alike.get(alike, ()), template)
        crowd = crowd_of(columns)
        if crowd is not None:
            self._crowds[crowd] = (*self._crowds.get(crowd, ()), template)

    def _settle(self, changed: list[int]) -> list[tuple[int, int]]:
        """Joins until the rules find nothing more around what has changed."""
        joined: list[tuple[int, int]] = []
        while changed:
            template = changed.pop()
            names = len(self.names)
            found = self._to_join(template) if template in self.columns else None
            if found is None:
                continue
            joined += self._join(found)
            changed += [min(found), *self._with_new_names(names)]
        return joined

    def _with_new_names(self, known: int) -> list[int]:
        """Those whose words have become known as names since there were so many: one of each place."""
        keys = {key: None for name in list(self.names)[known:] for key in self._of_word.get(name, ()) if key in self._near}
        return [min(self._near[key]) for key in keys]

    def _to_join(self, template: int) -> list[int] | None:
        columns = self.columns[template]
        for place, key in self._keys(columns):
            members = [i for i in self._near[key] if _differ_only_at(self.columns[i], columns, place)]
            if len(members) < 2:
                continue
            wide = [i for i in members if place in self._open.get(i, ())]
            found = (
                list(range(len(members))) if wide else one_template(columns, place, [self.columns[i][place] for i in members], self.names)
            )
            if found is not None:
                self._learn_names(self.columns[members[i]][place] for i in found)
                return [members[i] for i in found]
            if len(members) >= SHARED_NAMES and may_be_names(columns, place) and self._is_shared(place, key):
                self._learn_names(self._words_at(place, members))
                return members
        for alike, most in _looser(columns):
            members = list(self._alike[alike])
            if len(members) > most:
                return members
        return self._covered(template)

    def _words_at(self, place: int, members: Iterable[int]) -> list[str]:
        return [value for i in members if is_word(value := self.columns[i][place])]

    def _is_shared(self, place: int, key: int) -> bool:
        """Whether some other place has enough of the same words: then they are names of the same things."""
        shared: dict[int, int] = {}
        for value in self._words_at(place, self._near[key]):
            keys = self._of_word.get(value, {})
            for other in [k for k in keys if k not in self._near]:
                del keys[other]
            for other, there in keys.items():
                if other != key and value in self._words_at(there, self._near[other]):
                    shared[other] = shared.get(other, 0) + 1
        return any(count >= SHARED_NAMES for count in shared.values())

    def _covered(self, template: int) -> list[int] | None:
        """Those that a template with several places that vary matches in more than one of them."""
        places = self._open.get(template, ())
        if len(places) < 2:
            return None
        columns = self.columns[template]
        covered = [i for i, c in self.columns.items() if i != template and len(c) == len(columns) and _opened(c, places) == columns]
        return [template, *covered] if covered else None

    def _crowd(self, columns: Columns) -> tuple[int, ...]:
        crowd = crowd_of(columns)
        return self._crowds.get(crowd, ()) if crowd else ()

    def _join(self, members: list[int]) -> list[tuple[int, int]]:
        """Makes them one, the oldest; returns (id, heir) for the others."""
        heir = min(members)
        rows = [self.columns[i] for i in members]
        varying = {place for place, values in enumerate(zip(*rows, strict=True)) if len(set(values)) > 1}
        places = tuple(sorted(varying.union(*(self._open.get(i, ()) for i in members))))
        joined = _opened(rows[0], places)
        for member in members:
            self.drop(member)
        self._put(heir, joined, places)
        return [(old, heir) for old in sorted(members) if old != heir]

    def _learn_names(self, values: Iterable[str]) -> None:
        """What varied among words is known as names from now on."""
        for value in values:
            if is_word(value) and len(self.names) < NAMES_MAX:
                self.names[value] = None

    @staticmethod
    def _keys(columns: Columns) -> list[tuple[int, int]]:
        """For each place at which texts can differ and be one template what all such texts share."""
        hashes = [hash((place, column)) for place, column in enumerate(columns)]
        total = sum(hashes)
        words = [is_word(column) for column in columns]
        besides = sum(words) - 1
        return [
            (place, hash((place, total - hashes[place])))
            for place, column in enumerate(columns)
            if (besides > 0 or (besides == 0 and not words[place])) and may_vary(column)
        ]


def _looser(columns: Columns) -> list[tuple[Columns, int]]:
    """The columns with every switch as one, with every path, with every name; and how many such there may be that are not one template.

    Only where there are some of these, and enough words besides.
    """
    looser: list[tuple[Columns, int]] = []
    for stands_for, is_one, words_min, most in _LOOSER:
        places = [place for place, column in enumerate(columns) if is_one(column)]
        if places and sum(map(is_word, columns)) - sum(is_word(columns[place]) for place in places) >= words_min:
            loose = list(columns)
            for place in places:
                loose[place] = stands_for
            looser.append((tuple(loose), most))
    return looser


def _is_switch(column: str) -> bool:
    return column.lower() in SWITCHES


_LOOSER: Final[tuple[tuple[str, Callable[[str], bool], int, int], ...]] = (
    ("<switch>", _is_switch, 1, 1),
    ("<path>", lambda column: is_word(column) and is_path(column), WORDS_BESIDE_PATHS, 1),
    ("<name>", lambda column: is_word(column) and is_name(column), 1, FEW),
)


def _opened(columns: Columns, places: tuple[int, ...]) -> Columns:
    opened = list(columns)
    for place in places:
        opened[place] = VARIES
    return tuple(opened)


def _differ_only_at(one: Columns, other: Columns, place: int) -> bool:
    return len(one) == len(other) and one[:place] == other[:place] and one[place + 1 :] == other[place + 1 :]


def _take(index: dict[Key, tuple[int, ...]], key: Key, template: int) -> None:
    left = tuple(member for member in index[key] if member != template)
    if left:
        index[key] = left
    else:
        del index[key]
