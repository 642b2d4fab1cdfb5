"""Gzip: streamed, bounded, and what is whole before a damage is given."""

from __future__ import annotations

import gzip

import pytest

from appliance.errors import RejectPayload
from appliance.records import Format
from appliance.sources.codecs import blocks, lp_file
from appliance.sources.codecs.content import ContentDamaged, GzipContent
from appliance.sources.codecs.csv import read_csv
from appliance.sources.codecs.line_protocol import Precision
from appliance.sources.codecs.lp_file import lp_ends, read_lp
from appliance.sources.file_names import printable, read_name, sniff_format
from tests.clock import FakeClock
from tests.codecs.reading import Read, content, read, target

ROWS = b"n\n" + b"".join(b"%d\n" % n for n in range(1_000))


def unzipped(data: bytes, **options: int) -> Read:
    return read(read_csv(content(data, zipped=True, **options), target()))


@pytest.mark.parametrize("tail", [b"", b"\0" * 1000])
def test_members_that_follow_one_another_are_one_file(tail: bytes) -> None:
    found = unzipped(gzip.compress(ROWS[:1000]) + gzip.compress(ROWS[1000:]) + tail)
    assert found.values("n") == list(range(1_000))
    assert not found.damage


@pytest.mark.parametrize(
    ("data", "damage"),
    [
        (gzip.compress(ROWS)[:-100], "ends too early"),
        (gzip.compress(ROWS)[:-8], "ends too early"),
        (gzip.compress(ROWS)[:-8] + bytes(8), "is damaged"),
        (gzip.compress(ROWS) + b"something else", "bytes that are not gzip"),
    ],
    ids=["cut", "cut before the check sum", "wrong check sum", "garbage behind"],
)
def test_the_whole_records_before_a_damage_are_given(data: bytes, damage: str) -> None:
    found = unzipped(data)
    assert damage in found.damage
    assert found.values("n") == list(range(len(found.rows)))
    assert len(found.rows) > 500
    assert not any(found.lasts)


def test_a_bomb_is_cut_off_at_the_limit() -> None:
    bomb = GzipContent(content(gzip.compress(bytes(20_000_000))), bytes_max=1_000_000)
    sizes = [len(bomb.read(65_536)) for _ in range(1_000_000 // 65_536)]
    assert max(sizes) <= 65_536
    with pytest.raises(ContentDamaged, match="more than 1000000 bytes"):
        bomb.read(65_536)


def test_gzip_within_gzip_is_not_undone() -> None:
    with pytest.raises(RejectPayload, match="gzip within gzip"):
        unzipped(gzip.compress(gzip.compress(ROWS)))


def test_a_line_protocol_file_counts_its_lines_through_all_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(lp_file, "STRING_BYTES_MAX", 1024)
    lines = [f'm,t=a v={n}i,s="two\nlines, \\"and a quote\\"" {n}' for n in range(300)]
    lines[200] = "broken"
    found = read(read_lp(content("\n".join(lines).encode()), FakeClock(), precision=Precision.NS))
    assert found.values("v") == [n for n in range(300) if n != 200]
    assert found.bad_lines == [401]
    assert len(found.ends) > 3
    for position in found.ends:
        assert len(read(read_lp(content("\n".join(lines).encode()), FakeClock(), start=position, precision=Precision.NS)).rows) <= 300


def test_a_block_of_line_protocol_never_ends_within_a_string() -> None:
    text = b'a v=1\nb s="x\ny" 1\nc,t="q v=2\n# it\'s "open\nd v=3\n'
    for cut in range(len(text) + 1):
        assert lp_ends(text[:cut], False) in (0, 6, 18, 29, 42, 48)


@pytest.mark.parametrize(
    ("name", "stem", "notation"),
    [
        ("a.csv", "a", Format.CSV),
        ("A.CSV.GZ", "A", Format.CSV),
        ("a.b.jsonl", "a.b", Format.JSONL),
        ("a.json", "a", Format.JSONL),
        ("x.lp.gz", "x", Format.LP),
        ("x.parquet", "x", Format.PARQUET),
        ("x.txt", "x", None),
        ("readings", "readings", None),
        (".csv", ".csv", None),
        ("x.2026", "x.2026", None),
    ],
)
def test_a_name_tells_stream_and_notation(name: str, stem: str, notation: Format | None) -> None:
    assert (read_name(name).stem, read_name(name).format) == (stem, notation)


@pytest.mark.parametrize(
    ("data", "notation"),
    [
        (b'{"a":1}', Format.JSONL),
        (b"\n\n [1]", Format.JSONL),
        (b"# comment\ncpu,host=a usage=1.5 1700000000\n", Format.LP),
        (b'm s="a b"', Format.LP),
        (b"a,b\n1,2", Format.CSV),
        (b"time since start,b\n1,2", Format.CSV),
        (b"PAR1...", Format.PARQUET),
        (b"", Format.CSV),
    ],
)
def test_content_tells_the_notation_where_no_name_does(data: bytes, notation: Format) -> None:
    assert sniff_format(data) is notation


def test_a_foreign_name_is_shown_harmless() -> None:
    assert printable("a\x1b[31m\n\udcff.csv") == "a\\x1b[31m\\n\\xff.csv"
