from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance.errors import PayloadTooLarge
from appliance.sources.codecs.line_protocol import Parsed, Precision, body, bounds, parse
from appliance.sources.codecs.line_protocol.exact import ExactReader
from tests.bench import lp_codec, tsbs
from tests.codecs.lp_lines import NOW_US, records

MIB = 1 << 20


def read(text: bytes, **limits: int) -> Parsed:
    return parse(text, precision=Precision.NS, now_us=NOW_US, **limits)


def numbers(parsed: Parsed) -> list[float]:
    return [values["f"] for _, _, values in records(parsed)]


@pytest.mark.parametrize("between", [1, 100])
@pytest.mark.parametrize(
    "broken",
    [
        b'm s="never closed',
        b'm s="never closed\r',
        b'm s="closed by the next quote, but badly',
        b'm f=0,s="',
        b'm s="x" y="',
        b'm,t="a s="',
        b'm s="\\"',
        b'm f="',
    ],
)
def test_a_quote_left_open_costs_its_own_line_alone(broken: bytes, between: int) -> None:
    good = [b'm f=%d,s="text, with = all",t=t 5' % n for n in range(between * 2)]
    text = b"\n".join([*good[:between], broken, *good[between:], broken, b""])
    parsed = read(text)
    assert numbers(parsed) == list(map(float, range(between * 2)))
    kept = broken.rstrip(b"\r")
    assert [(reject.line, reject.raw) for reject in parsed.rejects] == [(between + 1, kept), (2 * between + 2, kept)]


@pytest.mark.parametrize("broken", [b'm s="open', b'm f=1e999,s="open', b'm ts=1,s="open', b'm,t=a,t=b s="open', b'm f=1e999e,s="open'])
def test_a_quote_left_open_swallows_no_line_whose_own_string_begins_with_a_space(broken: bytes) -> None:
    for before in (0, 100):
        parsed = read(b"m f=1 5\n" * before + broken + b'\nm f=2,s=" text" 5\nm f=3 5\n')
        assert numbers(parsed) == [1.0] * before + [2.0, 3.0]
        assert [(reject.line, reject.raw) for reject in parsed.rejects] == [(before + 1, broken)]


def test_a_string_of_many_lines_that_hold_quotes_commas_and_whole_records_stays_one_value() -> None:
    value = b"line one\nm f=7 5\n\n# no comment\nm,t=a f=8\n, = \\\\ "
    parsed = read(b"m f=1 5\n" * 40 + b'm f=2,s="' + value + b'" 5\n' + b"m f=3 5\n" * 40)
    assert numbers(parsed) == [1.0] * 40 + [2.0] + [3.0] * 40
    assert parsed.rejects == ()
    assert records(parsed)[40][2]["s"].encode() == value.replace(b"\\\\", b"\\")


def test_a_string_of_many_lines_over_the_limit_is_refused_as_one() -> None:
    parsed = read(b'm f=1 5\nm s="' + b"m f=2 5\n" * 100 + b'",f=9 5\nm f=3 5\n', value_bytes_max=100)
    assert numbers(parsed) == [1.0, 3.0]
    assert [(reject.line, reject.reason) for reject in parsed.rejects] == [(2, "value of field 's' is longer than 100 bytes")]


@pytest.mark.parametrize(
    "line",
    [
        b'm\xff,t=a s="x\ny" z',
        b'm\xff s="x\ny",f',
        b'm s="x\ny",' + b"f=1," * 10_000 + b"f=1",
        b'm s="x\ny",ts=1,f=1e999',
        b'm s="x\ny",ts=1,f=1e999e',
        b'm s="x\xff\ny"',
    ],
)
def test_nothing_in_a_record_of_two_lines_raises(line: bytes) -> None:
    parsed = read(b"m f=1\n" * 40 + line + b"\nm f=2\n")
    assert numbers(parsed) == [1.0] * 40 + [2.0]
    assert parsed.rejects[0].line == 41
    assert b"\n".join(reject.raw for reject in parsed.rejects) == line


def test_a_record_that_crosses_blocks_is_read_whole() -> None:
    line = b'm f=1,s="' + b"x\n" * 1000 + b'" 5\n'
    text = (b"m f=1 5\n" * 7 + line) * 20
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body, "BLOCK_BYTES", 3000)
        parsed = read(text)
    assert numbers(parsed) == [1.0] * 160
    assert parsed.lines == text.count(b"\n")
    assert parsed.batches[0].origin is not None
    assert [parsed.batches[0].origin.line(row) for row in (6, 7, 8)] == [7, 8, 8 + 1001]


def test_a_line_of_a_hundred_megabytes_is_refused_briefly_and_its_beginning_kept() -> None:
    parsed = read(b"m f=1 5\n" + b"x" * (100 * MIB) + b"\nm f=2 5\n" * 40)
    assert numbers(parsed) == [1.0] + [2.0] * 40
    (reject,) = parsed.rejects
    assert reject.raw == b"x" * 65_536
    assert reject.reason == f"missing fields (the first 65536 of {100 * MIB} bytes are kept)"


@pytest.mark.parametrize("line", [b"m " + b"f=1," * 300_000 + b"f=1", b"m" + b",t=a" * 300_000 + b" f=1", b'm s="' + b"a" * 3 * MIB + b'"'])
def test_a_line_with_too_much_in_it_is_refused_in_one_short_reason(line: bytes) -> None:
    parsed = read(b"m f=1\n" * 40 + line + b"\nm f=2\n")
    assert len(numbers(parsed)) == 41
    (reject,) = parsed.rejects
    assert len(reject.reason) < 200
    assert reject.line == 41


def test_binary_rubbish_is_refused_line_by_line() -> None:
    rubbish = bytes(range(256)) * 40
    parsed = read(b"m f=1\n" * 40 + rubbish + b"\nm f=2\n")
    assert numbers(parsed) == [1.0] * 40 + [2.0]
    assert all("\n" not in reject.reason and reject.reason.isprintable() for reject in parsed.rejects)


def test_reasons_show_control_characters_harmlessly() -> None:
    (reject,) = read(b"m f=\x1b]0;title\x07\n").rejects
    assert reject.reason == r"invalid boolean '\x1b]0;title\x07' in field 'f'"


@pytest.mark.parametrize(
    "line",
    [
        b'm a="',
        b'",k=" y=",z="',
        b'",k=" y=1",z="',
        b'm s="\\"',
        b'm a="x" b="',
        b'm,t="a s="',
        b'" b="',
        b"\\",
        b'm a=1,s="\r',
        b'="=",',
    ],
)
def test_hostile_bodies_cost_work_in_proportion_to_their_size(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    read_bytes = 0
    keep = ExactReader._keep

    def counted(self: ExactReader, line: int, start: int, first: int, end: int) -> None:
        nonlocal read_bytes
        read_bytes += end - first
        keep(self, line, start, first, end)

    monkeypatch.setattr(ExactReader, "_keep", counted)
    for end in (b"", b'" 1x\n', b'"x\n', b'" 1\n'):
        text = (line + b"\n") * 5000 + end
        read_bytes = 0
        parsed = read(text)
        assert len(parsed.rejects) + len(records(parsed)) > 0
        assert read_bytes < 8 * len(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"".join(b"m%d f=1\n" % n for n in range(200)), "100 measurements"),
        (b"".join(b"m f%d=1\n" % n for n in range(100)), "5000 cells"),
        (b"".join(b"m f%d=1,g=2\n" % n for n in range(400)), "2000 columns"),
        (b'm f=1\nm f="x"\n' * 200, "100 changes"),
        (b'm f=1,%b\nm f="x"\n' % b",".join(b"g%d=1" % n for n in range(40)) * 40, "2000 columns in batches"),
        (b"rubbish\n" * 200, "100 lines that can't be taken"),
    ],
)
def test_a_body_that_makes_too_much_of_itself_is_refused_whole_and_says_that_smaller_ones_are_taken(
    text: bytes, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, bound in {"REFUSED_LINES_MAX": 100, "SHAPE_COLUMNS_MAX": 2000, "CELLS_MAX": 5000, "BATCHES_MAX": 100}.items():
        monkeypatch.setattr(bounds, name, bound)
    with pytest.raises(PayloadTooLarge, match=f"the body holds more than {what}.*; send it in smaller pieces"):
        read(text)
    assert read(text[: len(text) // 8]).lines > 0


def test_two_threads_read_the_same_as_one() -> None:
    texts = [lp_codec.mixed(1500, seed) for seed in range(4)] + list(tsbs.blocks(hosts=50, lines=2000, block=500))
    alone = [records(read(text)) for text in texts]
    with ThreadPoolExecutor(2) as pool:
        assert [records(parsed) for parsed in pool.map(read, texts * 2)] == alone * 2


def test_reading_imports_no_pandas() -> None:
    like, mixed = b'm,t=a f=1,i=2i,b=t,s="x"\n', b"m f=1.5.5\nm f=2\nn f=3\n"
    code = (
        "import sys; from appliance.sources.codecs.line_protocol import *; "
        f"[parse(text, precision=Precision.AUTO, now_us=0) for text in ({like!r} * 100, {like!r} + {mixed!r}, {mixed!r} * 100)]; "
        "sys.exit('pandas' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
