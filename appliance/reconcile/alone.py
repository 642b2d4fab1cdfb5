"""Reconciliation of a folder that nobody serves: looked at as it lies; with repairs it is opened like a box, by whoever asks.

What keeps a box from being opened at all (a batch that can't be read, a mark that is false) is put right in the file before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from types import MappingProxyType

from appliance.box import lock_folder, open_box
from appliance.clock import Clock
from appliance.config import Config
from appliance.errors import ApplianceError
from appliance.hot.divergences import WRONG
from appliance.hot.reader import HotReader
from appliance.hot.store import HotStore
from appliance.observe.consistency import FindingRow, PassRow, ReconcileAnswer
from appliance.reconcile.book import Book, row_of
from appliance.reconcile.engine import CHECKS, REPAIRS, Repaired, mend
from appliance.reconcile.finding import Finding
from appliance.reconcile.folder import pass_folder
from appliance.reconcile.hot_mending import FILE_REPAIRS, HotHand
from appliance.reconcile.look import Check, Hands, Repairs, Scope, Unmendable
from appliance.reconcile.passing import Pass
from appliance.reconcile.process import folder_query


def reconcile_folder(
    config: Config,
    *,
    since_us: int | None,
    repair: bool,
    full: bool,
    clock: Clock,
    others: Sequence[Check] = (),
    repairs: Repairs = MappingProxyType({}),
) -> ReconcileAnswer:
    """One pass, and where it is asked for repairs and a second one. Without repairs nothing is written, so findings have no ids.

    ``others`` are checks of what is made of records elsewhere, ``repairs`` theirs.

    Raises as ``open_folder``; with ``repair`` also as ``open_box``.
    """
    scope: Scope = "full" if full else "all"
    begun_us, begun_ns = clock.now_us(), clock.monotonic_ns()
    look = partial(_pass, config, scope, since_us, clock, (*CHECKS, *others))
    done = look()
    if repair and done.result.findings:
        rows = _repair(config, done, look, {**REPAIRS, **repairs}, clock)
    else:
        rows = [row_of(f, clock.now_us()) for f in done.result.findings]
    took_s = (clock.monotonic_ns() - begun_ns) / 1e9
    seen = done.seen
    passed = PassRow(
        kind=scope,
        state="done",
        started_us=begun_us,
        took_s=round(took_s, 3),
        records=seen.records,
        segments=seen.segments,
        bytes=seen.bytes,
        rate=round(seen.records / took_s, 1) if took_s else 0.0,
        found=len(done.result.findings),
    )
    return ReconcileAnswer(findings=tuple(rows), passes=(passed,), wrong=sum(r.state in WRONG for r in rows))


def _pass(config: Config, scope: Scope, since_us: int | None, clock: Clock, checks: Sequence[Check]) -> Pass:
    with folder_query(config.data_dir) as query:
        return pass_folder(config.data_dir, scope, now_us=clock.now_us(), checks=checks, since_us=since_us, query=query)


def _repair(config: Config, done: Pass, look: Callable[[], Pass], repairs: Repairs, clock: Clock) -> list[FindingRow]:
    first = _mend_file(config, [f for f in done.result.findings if f.kind in FILE_REPAIRS], clock)
    others = [f for f in done.result.findings if f.kind not in FILE_REPAIRS]
    with open_box(config) as box:
        book = Book(box)
        rows = {row.id: row for row in book.take(done.result)}
        rows |= {row.id: row for row in book.repaired([*first, *mend(others, Hands(box=box, memory=False), repairs)])}
    after = look()
    with open_box(config) as box:
        rows |= {row.id: row for row in Book(box).take(after.result)}
    return list(rows.values())


def _mend_file(config: Config, findings: Sequence[Finding], clock: Clock) -> list[Repaired]:
    """What is wrong with the hot side, by the file alone: no memory knows more."""
    if not findings:
        return []
    lock = lock_folder(config.data_dir)
    try:
        store = HotStore(config.data_dir, durability=config.hot.durability, clock=clock)
        reader = HotReader(config.data_dir)
        try:
            return [_mended(f, _hand(store, reader, clock)) for f in findings]
        finally:
            reader.close()
            store.close(clean=True)
    finally:
        os.close(lock)


def _hand(store: HotStore, reader: HotReader, clock: Clock) -> HotHand:
    return HotHand(
        db=store.connection,
        transaction=store.transaction,
        streams=reader.load_state().streams,
        now_us=clock.now_us(),
        boot=lambda: store.boot(clock.boot_id()),
        knows=False,
    )


def _mended(finding: Finding, hand: HotHand) -> Repaired:
    try:
        return Repaired(finding, "repaired", FILE_REPAIRS[finding.kind](finding, hand))
    except Unmendable as e:
        return Repaired(finding, "unmendable", str(e))
    except ApplianceError as e:
        return Repaired(finding, "unmendable", f"the repair failed: {e}")
