"""CSV: what is read, what is refused alone, what is refused whole."""

from __future__ import annotations

import csv as plain_csv
import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import RejectPayload
from appliance.records import Kind
from appliance.sources.codecs import blocks
from appliance.sources.codecs.csv_layout import csv_ends
from tests.codecs.reading import NOW, csv

DAY = 86_400_000_000
Y2026 = 1_767_225_600_000_000
"""2026-01-01 in microseconds."""


def test_the_first_block_tells_the_kinds_and_the_config_the_tags() -> None:
    found = csv(b"ts,device,a,b,c,d\n2026-01-01T00:00:00Z,x,1,1.5,true,word\n2026-01-02T00:00:00Z,y,2,2,false,2 words\n", "Device")
    assert found.kinds == {"ts": "timestamp[us]", "device": "tag", "a": "int64", "b": "double", "c": "bool", "d": "string"}
    assert found.rows[1] == {"ts": Y2026 + DAY, "device": "y", "a": 2, "b": 2.0, "c": False, "d": "2 words"}
    assert not found.refused


def test_known_kinds_go_before_what_the_cells_suggest() -> None:
    found = csv(b"serial,v,site\n7,1,3\n", known={"SERIAL": Kind.TEXT, "v": Kind.FLOAT, "site": Kind.TAG})
    assert found.kinds | {"ts": ""} == {"ts": "", "serial": "string", "v": "double", "site": "tag"}


@pytest.mark.parametrize("name", ["ts", "time", "Timestamp", "_time", "DATETIME", "date"])
def test_the_time_column_is_known_by_its_name(name: str) -> None:
    assert csv(f"v,{name}\n1,2026-01-01T00:00:00Z\n".encode()).rows == [{"ts": Y2026, "v": 1}]


@pytest.mark.parametrize(
    ("cell", "us"),
    [
        ("2026-01-01T00:00:00Z", Y2026),
        ("2026-01-01 00:00:00", Y2026),
        ("2026-01-01", Y2026),
        ("2026-01-01T01:00:00+01:00", Y2026),
        ("2026-01-01T00:00:00.123456789Z", Y2026 + 123_456),
        ("2026-01-01 00:00:00 UTC", Y2026),
        ("1767225600", Y2026),
        ("1767225600.5", Y2026 + 500_000),
        ("1767225600123", Y2026 + 123_000),
        ("1767225600123456", Y2026 + 123_456),
        ("1767225600123456789", Y2026 + 123_456),
        ("0", 0),
        ("-1", -1_000_000),
        ("1970-01-01T00:00:00Z", 0),
        ("2200-01-01", 7_258_118_400_000_000),
        ("7258118400", 7_258_118_400_000_000),
    ],
)
def test_times_are_iso_with_or_without_zone_or_numbers_by_magnitude(cell: str, us: int) -> None:
    assert csv(f"ts,v\n{cell},1\n".encode()).values("ts") == [us]
    mixed = csv(f"ts,v\n2026-01-02,1\n{cell},2\nnever,3\n".encode())
    assert mixed.values("ts") == [Y2026 + DAY, us]
    assert mixed.bad_lines == [4]


def test_without_a_time_the_arrival_counts_and_rows_keep_their_order() -> None:
    assert csv(b"v\n1\n2\n").values("ts") == [NOW, NOW + 1]
    assert csv(b"ts,v\n,1\n2026-01-01,2\n").values("ts") == [NOW, Y2026]


def test_a_time_column_without_times_gives_way_to_the_next() -> None:
    assert csv(b"date,time,v\n2026-01-01,12:00,1\n").rows == [{"ts": Y2026, "time": "12:00", "v": 1}]


def test_a_row_that_does_not_fit_is_refused_alone_with_line_and_header() -> None:
    rows = [
        b"2026-01-01,1,1.5",
        b"2026-01-01,2",
        b"2026-01-01,x,2.5",
        b"2026-01-01,4,NaN",
        b"never,5,1",
        b"2026-01-01,6,inf,7",
        b"2026-01-01,7,3",
    ]
    found = csv(b"ts,n,v\n" + b"\n".join(rows), known={"n": Kind.INT, "v": Kind.FLOAT})
    assert found.values("n") == [1, 7]
    assert [(line, raw) for line, _reason, raw in found.refused] == [(row + 2, b"ts,n,v\n" + rows[row] + b"\n") for row in (1, 2, 3, 4, 5)]
    assert "2 columns where the header has 3" in found.refused[0][1]
    assert "'x' is no int" in found.refused[1][1]


@pytest.mark.parametrize(
    ("cell", "reason"), [("NaN", "no float"), ("inf", "no float"), ("-Infinity", "no float"), ("1e400", "no float"), ("x", "no float")]
)
def test_what_is_no_finite_number_is_refused(cell: str, reason: str) -> None:
    good = "\n".join(str(n + 0.5) for n in range(10))
    found = csv(f"v\n{good}\n{cell}\n".encode(), known={"v": Kind.FLOAT})
    assert len(found.rows) == 10
    assert found.bad_lines == [12]
    assert reason in found.refused[0][1] or "not a finite number" in found.refused[0][1]


@pytest.mark.parametrize("cell", ["9223372036854775808", "-9223372036854775809", "99999999999999999999"])
def test_a_whole_number_beyond_64_bits_is_refused_and_makes_no_float_of_the_others(cell: str) -> None:
    found = csv(f"v\n9007199254740993\n{cell}\n".encode())
    assert found.values("v") == [9_007_199_254_740_993]
    assert found.bad_lines == [3]


def test_ints_widen_to_floats_when_a_later_block_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    rows = [str(n) for n in range(3_000)]
    rows[2_000] = "0.5"
    found = csv(("v\n" + "\n".join(rows)).encode())
    assert len(found.ends) > 3
    assert found.values("v") == [0.5 if n == 2_000 else n for n in range(3_000)]


def test_a_column_without_values_is_decided_when_one_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    found = csv(b"a,b,c\n" + b"1,,\n" * 3_000 + b"2,2026-01-01,7\n")
    assert found.rows[-1] == {"ts": found.rows[-1]["ts"], "a": 2, "b": "2026-01-01", "c": 7}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_by_the_header(delimiter: str) -> None:
    d = delimiter
    found = csv(f'a{d}"b, b; b | b"{d}c\n1{d}"x{d}y"{d}3\n'.encode())
    assert found.rows == [{"ts": NOW, "a": 1, "b, b; b | b": f"x{d}y", "c": 3}]


def test_bom_crlf_blank_lines_and_a_missing_last_newline_are_no_trouble() -> None:
    found = csv(b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3,4")
    assert found.values("a") == [1, 3]
    assert found.values("b") == [2, 4]
    assert list(found.kinds) == ["ts", "a", "b"]


def test_quoted_newlines_belong_to_their_cell_wherever_a_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    rows = [f'{n},"line {n}\nand ""more"", with comma"' for n in range(500)]
    found = csv(("n,t\n" + "\n".join(rows)).encode())
    assert found.values("n") == list(range(500))
    assert found.values("t") == [f'line {n}\nand "more", with comma' for n in range(500)]
    assert len(found.ends) > 5


def test_a_quote_that_is_never_closed_costs_its_line() -> None:
    found = csv(b'n,t\n1,a\n2,"never\n3,c\n')
    assert found.values("n") == [1, 3]
    assert found.refused == [(3, "a quote that is opened here is not closed", b'n,t\n2,"never\n')]


def test_text_that_is_not_utf8_and_zero_bytes_cost_their_row() -> None:
    found = csv(b"n,t\n1,caf\xc3\xa9\n2,caf\xe9\n3,a\x00b\n4,d\n")
    assert found.values("n") == [1, 4]
    assert [(line, reason) for line, reason, _raw in found.refused] == [(3, "is not UTF-8 text"), (4, "holds a zero byte")]


def test_a_record_longer_than_a_block_is_cut_off_and_the_rest_read(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    found = csv(b"n,t\n1,a\n2," + b"x" * 10_000 + b"\n3,c\n")
    assert found.values("n") == [1, 3]
    assert found.bad_lines == [3]
    assert "10003 bytes is longer than" in found.refused[0][1]


@pytest.mark.parametrize("data", [b"", b"\n\r\n", b"a,b\n", b"a,b", b"\xef\xbb\xbf"])
def test_an_empty_file_holds_nothing(data: bytes) -> None:
    found = csv(data) if data.strip(b"\xef\xbb\xbf") else None
    assert found is None or (not found.rows and not found.refused)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"\x89PNG\r\n\x1a\n" + bytes(2_000), "zero bytes"),
        (b"caf\xe9,b\n1,2\n", "not UTF-8"),
        (b"1,2\n3,4\n", "a header is needed"),
        (b"a,A\n1,2\n", "stands twice"),
        (b"a,b\x1b[31m\n1,2\n", "control characters"),
        (b"\x1f\x8b\x08\x00", "gzip within gzip"),
        (b"PAR1", "Parquet"),
        (b'"a,b\n1,2\n', "a quote in it is not closed"),
    ],
)
def test_what_is_no_csv_file_is_refused_whole(data: bytes, reason: str) -> None:
    with pytest.raises(RejectPayload, match=reason):
        csv(data)


def test_a_nameless_column_gets_a_name_and_seq_is_left_out() -> None:
    assert csv(b",a,_seq\n0,1,2\n").rows == [{"ts": NOW, "column_1": 0, "a": 1}]


def test_every_position_is_a_place_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after any piece, the rest of the file is read as it would have been."""
    small_blocks(monkeypatch)
    rng = random.Random(7)
    rows = [f'2026-01-01,{n},"{"q" * rng.randrange(20)}\n",{rng.random()}' for n in range(400)]
    rows[100], rows[250], rows[251] = "broken", "2026-01-01,x,y", '2026-01-01,9,"open'
    data = ("ts,n,t,v\n" + "\n".join(rows)).encode()
    whole = csv(data)
    for at, position in enumerate(whole.ends):
        rest = csv(data, start=position)
        assert rest.ends == whole.ends[at + 1 :]
        assert [row["n"] for row in rest.rows] == [row["n"] for row in whole.rows][len(whole.rows) - len(rest.rows) :]
        assert rest.refused == [refused for refused in whole.refused if refused in rest.refused]
    assert whole.lasts == [False] * (len(whole.lasts) - 1) + [True]


cells = st.text(st.sampled_from('ab1,;"\n\r é'), max_size=6)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=30))
def test_what_a_csv_writer_wrote_is_what_is_read(rows: list[tuple[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = plain_csv.writer(text, quoting=plain_csv.QUOTE_ALL)
    writer.writerows([("left", "right"), *rows])
    found = csv(text.getvalue().encode(), known={"left": Kind.TEXT, "right": Kind.TEXT})
    assert not found.refused
    assert [(row.get("left", ""), row.get("right", "")) for row in found.rows] == rows


@given(st.binary(max_size=60).map(lambda raw: raw.replace(b"\0", b"0")), st.integers(1, 30))
def test_any_bytes_after_a_header_are_rows_or_refusals_and_blocks_do_not_matter(raw: bytes, cut: int) -> None:
    """Rows are counted alike by PyArrow and by our own pattern (else an assertion fails), and nothing is lost in between."""
    data = b"a,b\n1,x\n" + raw + b"\n2,y\n"
    found = csv(data)
    assert sum(len(raw) for _l, _r, raw in found.refused) or found.rows
    assert found.ends[-1] == len(data)
    ends = csv_ends(",")
    assert 0 <= ends(data[:cut], False) <= cut


def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 1 KiB, so that small files have many."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1024)
