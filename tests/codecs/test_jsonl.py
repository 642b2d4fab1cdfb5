"""JSON lines: what is read, what is refused alone, what is refused whole."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import RejectPayload
from appliance.records import Kind
from tests.codecs.reading import NOW, jsonl
from tests.codecs.test_csv import Y2026, small_blocks


def lines(*records: object) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def test_members_are_fields_and_configured_ones_tags() -> None:
    found = jsonl(
        lines({"ts": "2026-01-01T00:00:00Z", "device": "x", "n": 1, "v": 1.5, "ok": True, "t": "word"}, {"device": 7, "n": 2}), "device"
    )
    assert found.kinds == {"ts": "timestamp[us]", "device": "tag", "n": "int64", "v": "double", "ok": "bool", "t": "string"}
    assert found.rows == [{"ts": Y2026, "device": "x", "n": 1, "v": 1.5, "ok": True, "t": "word"}, {"ts": NOW + 1, "device": "7", "n": 2}]


def test_times_within_text_stay_text() -> None:
    found = jsonl(lines({"ts": 1767225600, "at": "2026-01-01"}, {"ts": 1767225600000, "at": "2026-01-01T00:00:00Z"}))
    assert found.values("ts") == [Y2026, Y2026]
    assert found.values("at") == ["2026-01-01", "2026-01-01T00:00:00Z"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nonsense", "is no JSON"),
        (b'{"n": 1', "is no JSON"),
        (b'{"n": NaN}', "not a finite number"),
        (b'{"n": 1e999}', "not a finite number"),
        (b'{"n": 18446744073709551616}', "beyond 64 bits"),
        (b'{"n": "text"}', "is text, where the column is int"),
        (b'{"n": 1, "n": 2}', "twice"),
        (b'{"n": 1, "N": 2}', "twice"),
        (b'{"m": [1, 2]}', "holds an array"),
        (b'{"m": {"k": {"j": 1}}}', "one level"),
        (b"[1]", "is an array"),
        (b"5", "not a JSON object"),
        (b"{}", "is empty"),
        (b'{"t": "\xff"}', "not UTF-8"),
        (b'{"t": "\\ud800"}', "surrogate"),
        (b'{"n": 1} {"n": 2}', "is no JSON"),
        (b'{"ts": "never", "n": 1}', "is no time"),
    ],
)
def test_a_line_that_does_not_fit_is_refused_alone(line: bytes, reason: str) -> None:
    found = jsonl(b'{"ts":"2026-01-01","n":1}\n' + line + b'\n\n{"ts":"2026-01-02","n":3}\n')
    assert [row["n"] for row in found.rows if "n" in row] == [1, 3]
    assert [(number, raw) for number, _reason, raw in found.refused] == [(2, line)]
    assert reason in found.refused[0][1]


def test_ints_widen_to_floats_and_the_rest_of_the_file_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    found = jsonl(lines(*({"n": 0.5 if n == 300 else n} for n in range(600))))
    assert found.values("n") == [0.5 if n == 300 else n for n in range(600)]
    assert not found.refused


def test_one_level_of_nesting_gives_columns_of_both_names() -> None:
    found = jsonl(lines({"m": {"a": 1, "at": "2026-01-01"}, "n": 1}, {"n": 2}, {"m": None, "n": 3}, {"m": {"b": True}}))
    assert [{k: v for k, v in row.items() if k != "ts"} for row in found.rows] == [
        {"n": 1, "m_a": 1, "m_at": "2026-01-01"},
        {"n": 2},
        {"n": 3},
        {"m_b": True},
    ]


def test_keys_that_differ_only_in_case_are_one_column() -> None:
    found = jsonl(lines({"Temp": 1}, {"temp": 2}, {"TEMP": 3}))
    assert found.values("Temp") == [1, 2, 3]


def test_an_array_of_objects_is_read_as_lines() -> None:
    found = jsonl(b'\xef\xbb\xbf [{"n": 1},\n {"n":\n 2}]')
    assert found.values("n") == [1, 2]
    with pytest.raises(RejectPayload, match="begins as a JSON array"):
        jsonl(b'[{"n": 1}')


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\r\n"])
def test_an_empty_file_holds_nothing(data: bytes) -> None:
    found = jsonl(data)
    assert not found.rows
    assert not found.refused


def test_a_huge_line_is_cut_off_and_the_rest_read(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    found = jsonl(b'{"n":1}\n{"t":"' + b"x" * 5_000 + b'"}\n{"n":3}\n')
    assert found.values("n") == [1, 3]
    assert "longer than" in found.refused[0][1]


def test_every_position_is_a_place_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    data = lines(*({"ts": Y2026 + n, "n": n} if n % 50 else {"n": [n]} for n in range(500)))
    whole = jsonl(data)
    for at, position in enumerate(whole.ends):
        rest = jsonl(data, start=position)
        assert rest.rows == whole.rows[len(whole.rows) - len(rest.rows) :]
        assert rest.ends == whole.ends[at + 1 :]
        assert rest.refused == whole.refused[len(whole.refused) - len(rest.refused) :]


values = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)
)


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), values, min_size=1), min_size=1, max_size=20))
def test_each_line_is_a_row_or_a_refusal_and_rows_hold_what_was_sent(records: list[dict[str, object]]) -> None:
    found = jsonl(lines(*records), known={"a": Kind.FLOAT, "b": Kind.TEXT})
    kept = [record for number, record in enumerate(records, 1) if number not in found.bad_lines]
    assert len(kept) == len(found.rows)
    for sent, row in zip(kept, found.rows, strict=True):
        for name, value in sent.items():
            assert row.get(name) == value or (isinstance(value, int) and row[name] == float(value))
