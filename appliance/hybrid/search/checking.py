"""Whether sealed indexes say what the records say: a check of reconciliation, and its repair, which has the index made anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from appliance.cold.picking import picking
from appliance.errors import StoreDamaged
from appliance.hot.state import StreamState
from appliance.hybrid.search.language import Leaf, Query
from appliance.hybrid.search.sealed import file
from appliance.hybrid.search.sealed.frames import Broken
from appliance.hybrid.search.sealed.packing import words_in
from appliance.hybrid.search.sealed.shelf import Index, Shelf
from appliance.hybrid.search.sought import texts_of
from appliance.manifest import Segment
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import WHOLE, Check, Hands, Look

DIFFERS: Final = "search index differs"
WORDS_COMPARED: Final = 40
"""Words of a row group, from the rarest to the most common, whose rows are compared."""


def make_check(shelf: Shelf, fields: Callable[[StreamState], tuple[str, ...]]) -> Check:
    """The check; by turns it looks at one index, as a whole at all of them."""

    def run(look: Look) -> Iterator[Finding]:
        found = [(s, g, i) for s in look.state.streams.values() for g in s.segments if (i := shelf.index(s, g, fields(s))) is not None]
        if not look.is_whole and found:
            found = [found[look.turn % len(found)]]
        for stream, segment, index in found:
            if not look.concerns(segment.ts_max):
                continue
            look.pause(index.size)
            wrong = difference(look.folder, segment, index, turn=look.turn)
            if wrong is not None:
                yield Finding(
                    kind=DIFFERS,
                    where=index.path.relative_to(look.folder).as_posix(),
                    key=segment.path,
                    stream=stream.name,
                    since_us=segment.ts_min,
                    until_us=segment.ts_max + 1,
                    what=f"the search index of {segment.path} is not what its records say: {wrong}",
                    repair="it is removed and made anew",
                )

    return Check(
        name="search indexes",
        run=run,
        kinds=frozenset({DIFFERS}),
        scopes=frozenset({"newest", *WHOLE}),
        by_turns=frozenset({"newest"}),
    )


def make_repair(shelf: Shelf, hurry: Callable[[], None]) -> Callable[[Finding, Hands], str]:
    """Removes what differs; batch makes it anew at its next look."""

    def repair(finding: Finding, hands: Hands) -> str:
        (hands.box.folder / finding.where).unlink(missing_ok=True)
        shelf.forget([finding.where])
        hurry()
        return "it is removed and made anew; what it held is read from the records meanwhile"

    return repair


def difference(root: Path, segment: Segment, index: Index, *, turn: int) -> str | None:
    """How the index differs from the texts, in a few words; None: it doesn't, as far as was looked: all checksums, and one row group."""
    try:
        file.check(index.path)
        with picking(root / segment.path) as picker:
            if not picker.spans:
                return None
            group = turn % len(picker.spans)
            table = picker.group(group, index.facts.fields)
            first = int(picker.starts[group])
        return _compared(index, texts_of(table, index.facts.fields), first=first)
    except Broken as e:
        return str(e)
    except (StoreDamaged, FileNotFoundError):
        return None  # the segment's own check says so


def _compared(index: Index, texts: list[object], *, first: int) -> str | None:
    """The first word of these rows whose rows are others in the index."""
    found = words_in(texts)
    order = np.argsort(found.many, kind="stable")
    for number in order[:: max(1, len(order) // WORDS_COMPARED)].tolist():
        word = found.words[number]
        leaf = Leaf((word,))
        said = np.zeros(found.rows, np.bool_)
        for begin, scores, _ in index.scores(Query(leaf, (leaf,), (leaf,))):
            low, high = max(begin, first), min(begin + len(scores), first + found.rows)
            if low < high:
                said[low - first : high - first] = scores[low - begin : high - begin] > 0
        wanted = np.zeros(found.rows, np.bool_)
        wanted[found.row[found.code == number]] = True
        if not np.array_equal(said, wanted):
            said_word = word.decode("utf-8", "replace")
            return f"the word {said_word!r} stands in {int(wanted.sum())} rows of a group, by the index in {int(said.sum())}"
    return None
