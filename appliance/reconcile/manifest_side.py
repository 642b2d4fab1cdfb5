"""The manifest against the books and against the lake's folder: cheap enough for every few minutes. Reads only.

By day: the segments, lost ones included, must hold what the books have. Where they don't, a file that nobody names and that holds
exactly what is missing explains it, and so does a file whose records are all in others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from appliance.clock import day_name
from appliance.cold import lake
from appliance.cold.files import TMP_SUFFIX, locate
from appliance.cold.segments import check_segment
from appliance.errors import StoreDamaged
from appliance.hot.state import StreamState
from appliance.manifest import Segment
from appliance.reconcile.cold_side import DAMAGED, GONE, finding_of, records_of, total
from appliance.reconcile.contents import FileLook, look_at
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Check, Look, Skipped
from appliance.records import fold
from appliance.tally import EMPTY, Tallies, Tally, difference, joined

UNLISTED: Final = "segment not in the manifest"
FOREIGN: Final = "file foreign"
DOUBLED: Final = "segment twice"
BOOKS: Final = "books differ"
AGAIN: Final = "take it into the manifest again"


@dataclass(slots=True)
class Account:
    """One stream's days on which the segments don't hold what the books have."""

    stream: StreamState
    missing: dict[int, Tally] = field(default_factory=dict)
    """Books less segments; only days that differ and are known."""

    def explains(self, tallies: Tallies) -> bool:
        """Whether these records are exactly what is missing on their days."""
        return bool(tallies) and all(self.missing.get(day) == tally for day, tally in tallies.items())

    def settle(self, tallies: Tallies) -> None:
        """These days are explained."""
        self.missing = difference(self.missing, tallies)


def check_manifest(look: Look) -> Iterator[Finding]:
    """Lost segments, days on which books and segments differ, files that nobody names."""
    yield from _lost(look)
    if not look.settled():
        raise Skipped
    accounts = {key: account_of(look, stream) for key, stream in look.state.streams.items()}
    strangers = _strangers(look)
    if not look.settled():
        raise Skipped
    for path in strangers:
        yield from _stranger(look, path, accounts)
    for account in accounts.values():
        yield from _doubled(account)
        yield from _differing(account)


def account_of(look: Look, stream: StreamState) -> Account:
    """What the books have and the segments don't."""
    held = (*stream.segments, *stream.lost)
    unknown = {day for s in held if s.tallies is None for day in range(s.day, s.day_last + 1)}
    books = look.reader.tallies(stream.id)
    known = {day: t for day, t in books.items() if t is not None}
    unknown |= {day for day, t in books.items() if t is None}
    found = difference(known, joined(s.tallies for s in held if s.tallies is not None))
    return Account(stream, {day: t for day, t in found.items() if day not in unknown})


def _lost(look: Look) -> Iterator[Finding]:
    """Segments that were set aside stay wrong until their file is back."""
    for stream in look.state.streams.values():
        for segment in stream.lost:
            state, reason = _how(look, segment)
            back = check_segment(look.folder, segment, deep=True) is None
            what = f"{reason or 'is lost'}; {records_of(segment)}; set aside"
            repair = "take it back: its file is there again and is whole" if back else None
            yield finding_of(segment, GONE if state == "missing" else DAMAGED, what, repair)


def _how(look: Look, segment: Segment) -> tuple[str, str]:
    rows: list[tuple[Any, ...]] = look.reader.execute("SELECT state, reason FROM segment WHERE id = ?", (segment.id,))
    return (str(rows[0][0]), str(rows[0][1] or "")) if rows else ("missing", "")


def _strangers(look: Look) -> list[str]:
    """Files of the lake that the manifest, as ``look.reader`` shows it, doesn't name. The folder is listed after it was pinned: what has
    come since is no stranger, so there must be nobody who writes."""
    known = {s.path for stream in look.state.streams.values() for s in (*stream.segments, *stream.lost)}
    known |= {segment.path for segment, _ in look.reader.replaced()}
    return [path for path in lake.files(look.folder) if path not in known and not path.endswith(TMP_SUFFIX)]


def _stranger(look: Look, path: str, accounts: dict[str, Account]) -> Iterator[Finding]:
    memo: dict[str, tuple[tuple[int, int], FileLook]] = look.memo.setdefault("strangers", {})
    try:
        found = locate(look.folder, path).stat()
    except (OSError, StoreDamaged):
        return  # it is gone again, or behind a link, which the lake's own check tells
    stamp = (found.st_mtime_ns, found.st_size)
    held = memo.get(path)
    if held is None or held[0] != stamp or look.is_whole:
        held = memo[path] = (stamp, look_at(look.folder, path, rows=path.endswith(".parquet"), pause=look.pause))
    facts, rows = held[1].facts, held[1].rows
    account = None if facts is None else accounts.get(fold(facts.stream))
    if facts is not None and rows is not None and account is not None and account.explains(rows.tallies):
        account.settle(rows.tallies)
        what = f"{path}: the manifest does not name it, and it holds exactly the {rows.rows} records that the books have and no file has"
        yield Finding(
            kind=UNLISTED, where=path, stream=account.stream.name, first=rows.first, last=rows.last, since_us=rows.ts_min,
            until_us=rows.ts_max + 1, what=what, repair=AGAIN,
        )  # fmt: skip
        return
    stream = None if facts is None else facts.stream
    said = "no segment" if facts is None else f"a segment of stream {facts.stream} with sequences {facts.first} to {facts.last}"
    what = f"{path}: the manifest does not name it; it is {said}, and the books miss nothing of it"
    yield Finding(kind=FOREIGN, where=path, stream=stream, what=what, repair=f"move it to {lake.DAMAGED}/")


def _doubled(account: Account) -> Iterator[Finding]:
    """A segment whose records are all there without it."""
    for segment in sorted(account.stream.segments, key=lambda s: -s.id):
        if segment.tallies and all(account.missing.get(d) == EMPTY - t for d, t in segment.tallies.items() if t):
            account.settle({d: EMPTY - t for d, t in segment.tallies.items()})
            others = [s.path for s in account.stream.segments if s.id != segment.id and s.first <= segment.last and s.last >= segment.first]
            beside = f", beside {others[0]}" if others else ""
            what = f"its records are there twice{beside}: the books have them once; {records_of(segment)}"
            yield finding_of(segment, DOUBLED, what, "take it out of the manifest")


def _differing(account: Account) -> Iterator[Finding]:
    if not account.missing:
        return
    stream, days = account.stream, sorted(account.missing)
    rows = total(account.missing).rows
    said = f"{rows} records more than its files" if rows > 0 else f"{-rows} records less than its files" if rows else "other records"
    names = ", ".join(day_name(d) for d in days[:3]) + (f" and {len(days) - 3} more days" if len(days) > 3 else "")
    yield Finding(
        kind=BOOKS,
        where="hot.sqlite tally",
        key=stream.name,
        stream=stream.name,
        since_us=days[0] * 86_400_000_000,
        until_us=(days[-1] + 1) * 86_400_000_000,
        what=f"stream {stream.name}: of {names} the books have {said}",
    )


CHECKS: Final = (
    Check(
        name="manifest",
        run=check_manifest,
        kinds=frozenset({GONE, DAMAGED, UNLISTED, FOREIGN, DOUBLED, BOOKS}),
        scopes=frozenset({"newest", "all", "full"}),
    ),
)
"""For ``engine``."""
