from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.hot.latest_table import load, load_reach, save
from appliance.hot.series import series_hashes
from appliance.records import Column, Kind, Schema
from tests.examples import examples
from tests.hot.rows import EVERY_KIND, as_rows, record_batch, row_of

TIMES = st.integers(-(2**55), 2**57)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    yield connection
    connection.close()


def kept(db: sqlite3.Connection, schema: Schema, rows: list[dict[str, Any]], *, first_seq: int = 1, reach: int = 0) -> None:
    data = record_batch(schema, rows)
    count = len(rows)
    hashes = series_hashes(data, schema.tags)
    save(db, schema, "f", hashes, np.arange(first_seq, first_seq + count), data, reach=np.arange(reach, reach + count))


def check(db: sqlite3.Connection, schema: Schema, expected: dict[int, dict[str, Any]]) -> None:
    """``expected`` by sequence."""
    saved = load(db.execute, schema, "f")
    assert saved is not None
    hashes, seqs, data = saved
    assert data.schema.equals(schema.arrow)
    assert np.all(hashes[1:] > hashes[:-1])
    assert hashes.tolist() == series_hashes(data, schema.tags).tolist()
    assert dict(zip(seqs.tolist(), as_rows(data), strict=True)) == expected


@given(rows=st.lists(row_of(EVERY_KIND, TIMES), max_size=10, unique_by=lambda r: (r["t"], r["u"])))
@settings(max_examples=examples(100), deadline=None)
def test_records_of_every_kind_come_back_as_they_were(rows: list[dict[str, Any]]) -> None:
    db = sqlite3.connect(":memory:")
    kept(db, EVERY_KIND, rows)
    check(db, EVERY_KIND, dict(enumerate(rows, 1)))
    db.close()


def test_nothing_saved_is_none(db: sqlite3.Connection) -> None:
    assert load(db.execute, EVERY_KIND, "f") is None
    assert load_reach(db.execute, "f") is None


def test_newer_records_replace_those_of_their_series(db: sqlite3.Connection) -> None:
    schema = Schema("s", (Column("t", Kind.TAG), Column("x", Kind.INT)))
    kept(db, schema, [{"ts": 1, "t": "a", "x": 1}, {"ts": 1, "t": "b", "x": 2}], reach=100)
    kept(db, schema, [{"ts": 2, "t": "a", "x": None}], first_seq=10, reach=200)
    check(db, schema, {10: {"ts": 2, "t": "a", "x": None}, 2: {"ts": 1, "t": "b", "x": 2}})
    reach = load_reach(db.execute, "f")
    saved = load(db.execute, schema, "f")
    assert reach is not None
    assert saved is not None
    assert dict(zip(saved[1].tolist(), reach.tolist(), strict=True)) == {10: 200, 2: 101}


def test_a_schema_that_grows_keeps_what_was_saved(db: sqlite3.Connection) -> None:
    old = Schema("s", (Column("x", Kind.INT), Column("n", Kind.INT)))
    kept(db, old, [{"ts": 1, "x": 2**53 + 1, "n": 7}])
    new = Schema("s", (Column("t", Kind.TAG), Column("x", Kind.FLOAT), Column("n", Kind.FLOAT), Column("note", Kind.TEXT)), 2)
    check(db, new, {1: {"ts": 1, "t": None, "x": float(2**53), "n": 7.0, "note": None}})
    kept(db, new, [{"ts": 2, "t": "a", "x": 1e17, "n": 0.5, "note": "n"}], first_seq=2)
    check(
        db,
        new,
        {1: {"ts": 1, "t": None, "x": float(2**53), "n": 7.0, "note": None}, 2: {"ts": 2, "t": "a", "x": 1e17, "n": 0.5, "note": "n"}},
    )


@pytest.mark.parametrize("kind", list(Kind))
def test_columns_may_be_called_anything(db: sqlite3.Connection, kind: Kind) -> None:
    names = [
        "at",
        "AT_",
        "field_at",
        "field_field_at",
        "Field_ts",
        "_series",
        "_reach",
        'quo"te',
        "sp ace",
        "select",
        "日本",
        "'",
        "rowid",
        "a" * 1024,
    ]
    schema = Schema("s", tuple(Column(n, kind) for n in names))
    value = {Kind.TAG: "v", Kind.TEXT: "v", Kind.FLOAT: 1.5, Kind.INT: 3, Kind.BOOL: True}[kind]
    kept(db, schema, [{"ts": 5, **dict.fromkeys(names, value)}])
    check(db, schema, {1: {"ts": 5, **dict.fromkeys(names, value)}})


@given(names=st.sets(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12), max_size=8))
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_names_stay_apart(names: set[str]) -> None:
    unique = {n.lower(): n for n in sorted(names) if n.lower() not in ("ts", "_seq")}
    schema = Schema("s", tuple(Column(n, Kind.INT) for n in unique.values()))
    row = {"ts": 5, **{n: i for i, n in enumerate(unique.values())}}
    db = sqlite3.connect(":memory:")
    kept(db, schema, [row])
    check(db, schema, {1: row})
    db.close()


def test_people_read_the_time_as_text(db: sqlite3.Connection) -> None:
    kept(db, Schema("s", (Column("x", Kind.INT),)), [{"ts": 1_795_348_800_250_000, "x": 1}])
    assert db.execute("SELECT at, x FROM latest_f").fetchall() == [("2026-11-22T12:00:00.250Z", 1)]


def test_as_many_columns_as_a_stream_may_have(db: sqlite3.Connection) -> None:
    schema = Schema("s", tuple(Column(f"c{i}", Kind.FLOAT) for i in range(1000)))
    row = {"ts": 1, **{f"c{i}": i / 2 for i in range(1000)}}
    kept(db, schema, [row])
    check(db, schema, {1: row})
