"""What the tracker gives is what a plain reading of the rules gives, in any cut and across any restart."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.hot.stream.sessions.tracker import SessionTracker
from tests.examples import examples
from tests.hot.stream.sessions.model import Model, Record, Row, aggregate
from tests.hot.stream.sessions.rounds import ALL, columns, feed, streams, watermarks

GAP = 10
CUTS = st.lists(st.integers(1, 40), max_size=8)
LONGEST = st.sampled_from([5, 9, 30, 10_000])
LATENESS = st.sampled_from([0, 5, 40])


def expected(records: Sequence[Record], longest: int, lateness: int) -> tuple[Model, dict[tuple[int, int], Row]]:
    model = Model(GAP, longest)
    for record, mark in zip(records, watermarks(records, lateness).tolist(), strict=True):
        model.take(record, mark)
    model.advance(2**61)
    rows: dict[tuple[int, int], Row] = {}
    for identity, members in model.given.items():
        seqs = [r.seq for r in members]
        edges = (max(r.ts for r in members), len(members), min(seqs), max(seqs))
        rows[identity] = (*edges, *(aggregate(a, members) for a in ALL))
    return model, rows


def check(found: dict[tuple[int, int], Row], wanted: dict[tuple[int, int], Row], records: Sequence[Record]) -> None:
    assert found.keys() == wanted.keys()
    scale = max((abs(v) for r in records for v in r.values[:2] if isinstance(v, (int, float)) and abs(v) < float("inf")), default=1.0)
    for identity, row in wanted.items():
        assert found[identity][:4] == row[:4]
        for what, have, want in zip(ALL, found[identity][4:], row[4:], strict=True):
            if what.name.startswith(("sum", "avg", "stddev", "rate", "q")) and want is not None:
                assert have == pytest.approx(want, rel=1e-9, abs=1e-6 * max(scale, 1.0)), (identity, what)
            else:
                assert have == want, (identity, what)
                assert type(have) is type(want), (identity, what)


@settings(max_examples=examples(150), deadline=None)
@given(streams(), LONGEST, LATENESS, CUTS)
def test_sessions_are_those_of_a_plain_reading(records: list[Record], longest: int, lateness: int, cuts: list[int]) -> None:
    model, wanted = expected(records, longest, lateness)
    fed = feed(SessionTracker(GAP, longest, ALL), records, lateness, cuts)
    assert fed.late == [(r.key, r.ts, r.seq) for r in model.late]
    check(fed.rows, wanted, records)


@settings(max_examples=examples(150), deadline=None)
@given(streams(), LONGEST, LATENESS, CUTS)
def test_any_cut_into_rounds_gives_the_same_bits(records: list[Record], longest: int, lateness: int, cuts: list[int]) -> None:
    whole = feed(SessionTracker(GAP, longest, ALL), records, lateness, [])
    single = feed(SessionTracker(GAP, longest, ALL), records, lateness, range(len(records)))
    some = feed(SessionTracker(GAP, longest, ALL), records, lateness, cuts)
    assert repr(whole.rows) == repr({k: single.rows[k] for k in whole.rows})
    assert whole.rows.keys() == single.rows.keys() == some.rows.keys()
    assert repr(whole.rows) == repr({k: some.rows[k] for k in whole.rows})
    assert whole.late == single.late == some.late


@settings(max_examples=examples(100), deadline=None)
@given(streams(late=False), LONGEST, CUTS)
def test_in_order_each_session_is_given_once(records: list[Record], longest: int, cuts: list[int]) -> None:
    fed = feed(SessionTracker(GAP, longest, ALL), records, 200 * GAP, cuts)
    assert fed.given == len(fed.rows)
    assert sum(row[1] for row in fed.rows.values() if isinstance(row[1], int)) == len(records)
    assert not fed.late


@settings(max_examples=examples(100), deadline=None)
@given(streams(), LONGEST, LATENESS, CUTS)
def test_a_restart_anywhere_changes_nothing(records: list[Record], longest: int, lateness: int, cuts: list[int]) -> None:
    stored: dict[int, str] = {}

    def restart(tracker: SessionTracker) -> SessionTracker:
        stored.update(tracker.dump())
        assert len(tracker.changed) == 0
        fresh = SessionTracker(GAP, longest, ALL)
        for key, body in stored.items():
            assert fresh.load(key, body)
        assert dict(fresh.dump(stored)) == stored
        return fresh

    wanted = feed(SessionTracker(GAP, longest, ALL), records, lateness, cuts)
    fed = feed(SessionTracker(GAP, longest, ALL), records, lateness, cuts, between=restart)
    assert repr(fed) == repr(wanted)


@settings(max_examples=examples(100), deadline=None)
@given(streams(), LONGEST, LATENESS, st.integers(0, 40))
def test_records_loaded_without_output_rebuild_the_same(records: list[Record], longest: int, lateness: int, cut: int) -> None:
    cut = min(cut, len(records))
    marks = watermarks(records, lateness)
    taken, loaded = (SessionTracker(GAP, longest, ALL) for _ in range(2))
    if cut:
        ids, ts, seqs, vectors = columns(records[:cut])
        taken.take(ids, ts, seqs, vectors, marks[:cut])
        loaded.load_rows(ids, ts, seqs, vectors, marks[:cut])
    assert loaded.late == 0
    assert loaded.dump() == taken.dump()
