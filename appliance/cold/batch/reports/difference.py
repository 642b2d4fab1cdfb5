"""How one revision of a report differs from the one before: row by row, by key columns. Pure.

Compared are the tables as the JSON form has them (``data.py``). A part is found again by its title. Rows are known by the key columns
that the block names, else by every column that holds no number; where a key stands twice, rows are compared whole. Numbers that
differ by less than a billionth are the same: sums in another order.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from appliance.cold.batch.reports.values import Change, Difference, PartChange

LISTED_MAX: Final = 50
"""Rows of one part that are listed."""
SAME: Final = 1e-9
"""Relative."""
_Row = Mapping[str, Any]


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> Difference:
    """Between two documents of ``data.document``; their ``revision`` and everything that is not an answer do not count."""
    old, new = _asked(before), _asked(now)
    found = [change for title, part in new.items() if (change := _part(title, old.get(title), part)) is not None]
    found += [PartChange(title, words=f"{title} is gone") for title in old if title not in new]
    return Difference(int(before["revision"]), tuple(found))


def _asked(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The parts that ask the records; what the box says of itself is another one each time, and no revision."""
    return {p["title"]: p for p in document["parts"] if p.get("kind") in ("query", "chart")}


def _part(title: str, old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> PartChange | None:
    if old is None:
        return PartChange(title, words=f"{title} is new")
    if bool(old.get("error")) != bool(new.get("error")):
        return PartChange(title, words=f"{title} failed: {new['error']}" if new.get("error") else f"{title} can be answered now")
    if new.get("error"):
        return None
    names = [c["name"] for c in new["columns"]]
    if names != [c["name"] for c in old["columns"]] or len(set(names)) < len(names):
        same = old["columns"] == new["columns"] and old["rows"] == new["rows"]
        return None if same else PartChange(title, words=f"{title} has other columns")
    key = [n for n in new.get("key") or () if n in names] or [c["name"] for c in new["columns"] if c["kind"] != "number"]
    changes = _changes(names, key, old["rows"], new["rows"])
    if not changes:
        return None
    return PartChange(title, tuple(changes[:LISTED_MAX]), max(0, len(changes) - LISTED_MAX))


def _changes(names: Sequence[str], key: Sequence[str], old: Sequence[Sequence[Any]], new: Sequence[Sequence[Any]]) -> list[Change]:
    places = [names.index(n) for n in key]
    before, now = _keyed(old, places), _keyed(new, places)
    if before is None or now is None:
        return _whole(names, old, new)
    found: list[Change] = []
    for known, row in now.items():
        other = before.get(known)
        told = dict(zip(key, known, strict=True))
        values = {n: v for n, v in zip(names, row, strict=True) if n not in told}
        if other is None:
            found.append(Change("added", told, {}, values))
            continue
        differing = [at for at in range(len(names)) if not _same(other[at], row[at])]
        if differing:
            found.append(Change("changed", told, {names[at]: other[at] for at in differing}, {names[at]: row[at] for at in differing}))
    for known, row in before.items():
        if known not in now:
            told = dict(zip(key, known, strict=True))
            found.append(Change("removed", told, {n: v for n, v in zip(names, row, strict=True) if n not in told}, {}))
    return found


def _keyed(rows: Sequence[Sequence[Any]], places: Sequence[int]) -> dict[tuple[Any, ...], Sequence[Any]] | None:
    """Rows by their key; None where one stands twice."""
    found = {tuple(row[at] for at in places): row for row in rows}
    return found if len(found) == len(rows) else None


def _whole(names: Sequence[str], old: Sequence[Sequence[Any]], new: Sequence[Sequence[Any]]) -> list[Change]:
    """Rows that one has and the other has not, counted; numbers rounded to what counts as the same."""
    before, now = Counter(tuple(map(_rounded, r)) for r in old), Counter(tuple(map(_rounded, r)) for r in new)
    added = [Change("added", {}, {}, dict(zip(names, row, strict=True))) for row in (now - before).elements()]
    return added + [Change("removed", {}, dict(zip(names, row, strict=True)), {}) for row in (before - now).elements()]


def _rounded(value: Any) -> Any:
    return float(f"{value:.9g}") if isinstance(value, float) else value


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) or isinstance(b, float):
        numbers = isinstance(a, (int, float)) and isinstance(b, (int, float))
        return numbers and math.isclose(a, b, rel_tol=SAME, abs_tol=1e-12)
    return bool(a == b)
