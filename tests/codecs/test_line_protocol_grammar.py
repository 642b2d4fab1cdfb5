from __future__ import annotations

from typing import Any

import pytest

from appliance.sources.codecs.line_protocol import Parsed, Precision, parse
from tests.codecs.lp_lines import NOW_US, records

INT64_MAX = (1 << 63) - 1


def read(text: bytes | memoryview, precision: Precision = Precision.NS, **limits: int) -> Parsed:
    return parse(text, precision=precision, now_us=NOW_US, **limits)


def check(line: bytes, stream: str, values: dict[str, Any], ts: int = NOW_US) -> None:
    """One line alone and a hundred of it (the fast route, where it takes them) say the same."""
    for times in (1, 100):
        parsed = read((line + b"\n") * times)
        assert parsed.rejects == ()
        assert records(parsed) == [(stream, ts, values)] * times
        assert {key: type(value) for key, value in records(parsed)[0][2].items()} == {key: type(value) for key, value in values.items()}


def check_refused(line: bytes, reason: str, **limits: int) -> None:
    """The line is refused between two good ones, whole, with its number, on both routes."""
    good = b"good,t=a f=1 5\n"
    for before in (1, 100):
        parsed = parse(good * before + line + b"\n" + good, precision=Precision.NS, now_us=NOW_US, **limits)
        assert len(records(parsed)) == before + 1
        (reject,) = parsed.rejects
        assert reject.reason.startswith(reason)
        assert "\n" not in reject.reason
        assert (reject.raw, reject.line) == (line, before + 1)


@pytest.mark.parametrize(
    ("line", "stream", "values"),
    [
        (b"m f=1", "m", {"f": 1.0}),
        (b"m,t=a,u=b f=1,g=2", "m", {"t": "a", "u": "b", "f": 1.0, "g": 2.0}),
        (b"  \t m   f=1   ", "m", {"f": 1.0}),
        (b"m f=1\r", "m", {"f": 1.0}),
        (rb"a\ b\,c\=d,t\ 1\,x\=y=v\ 1\,x\=y f\ 1\,x\=y=1", r"a b,c\=d", {"t 1,x=y": "v 1,x=y", "f 1,x=y": 1.0}),
        (rb"a\\b,t\\=v\\,u=w f\\=1", "a\\b", {"t\\": "v\\", "u": "w", "f\\": 1.0}),
        (rb"a\b,t\c=v\d f\e=1", r"a\b", {r"t\c": r"v\d", r"f\e": 1.0}),
        (rb"m=x f=1", "m=x", {"f": 1.0}),
        (b'm,t="a" "f"=1', "m", {"t": '"a"', '"f"': 1.0}),
        ("straße,städt=Köln größe=1".encode(), "straße", {"städt": "Köln", "größe": 1.0}),
        (rb"\# f=1", r"\#", {"f": 1.0}),
    ],
)
def test_names_are_read_with_their_escapes(line: bytes, stream: str, values: dict[str, Any]) -> None:
    check(line, stream, values)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1", 1.0),
        (b"-1.5", -1.5),
        (b"1.", 1.0),
        (b".5", 0.5),
        (b"-.5", -0.5),
        (b"1e3", 1000.0),
        (b"1E+3", 1000.0),
        (b"1.5e-3", 0.0015),
        (b"1e-400", 0.0),
        (b"0.1234567890123456789", 0.12345678901234568),
        (b"0i", 0),
        (b"-0i", 0),
        (b"007i", 7),
        (b"-12345678901i", -12345678901),
        (b"%di" % INT64_MAX, INT64_MAX),
        (b"-%di" % (INT64_MAX + 1), -INT64_MAX - 1),
        (b"7u", 7),
        (b"%du" % INT64_MAX, INT64_MAX),
        *((word, True) for word in (b"t", b"T", b"true", b"True", b"TRUE")),
        *((word, False) for word in (b"f", b"F", b"false", b"False", b"FALSE")),
        (b'""', ""),
        (b'"a, b = c"', "a, b = c"),
        (b'"say \\"hi\\" \\\\ \\n"', 'say "hi" \\ \\n'),
        (b'"two\nlines, x=1 2\n"', "two\nlines, x=1 2\n"),
        (b'"null"', "null"),
        (b'" "', " "),
        ('"grün"'.encode(), "grün"),
        (b'"\0\x07\r"', "\0\x07\r"),
    ],
)
def test_values_of_every_type_are_read(text: bytes, value: Any) -> None:
    check(b"m,t=a f=" + text + b",g=1i", "m", {"t": "a", "f": value, "g": 1})
    check(b"m,t=a f=" + text, "m", {"t": "a", "f": value})


def test_minus_zero_keeps_its_sign() -> None:
    assert repr(records(read(b"m f=-0"))[0][2]) == "{'f': -0.0}"
    assert repr(records(read(b"m f=-0\n" * 100))[99][2]) == "{'f': -0.0}"


@pytest.mark.parametrize("word", ["null", "NA", "nan", "1", "true", "#", "''", "1970-01-01"])
def test_words_that_mean_something_elsewhere_are_plain_tag_values(word: str) -> None:
    check(f"m,t={word} f=1".encode(), "m", {"t": word, "f": 1.0})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"m", "missing fields"),
        (b"m,t=a", "missing fields"),
        (b"m,t=a ", "missing fields"),
        (b",t=a f=1", "missing measurement"),
        (b"m, f=1", "missing tag key"),
        (b"m,=a f=1", "missing tag key"),
        (b"m,t f=1", "missing tag value"),
        (b"m,t= f=1", "missing tag value"),
        (b"m,t=,u=b f=1", "missing tag value"),
        (b"m,t=a=b f=1", "invalid tag format"),
        (b"m =1", "missing field key"),
        (b"m f=1,", "missing field key"),
        (b"m f", "missing field value"),
        (b"m f=", "missing field value"),
        (b"m f=,g=1", "missing field value"),
        (b"m f= 1", "missing field value"),
        (b"m f=1,g 5", "missing field value"),
        *(
            (b"m,t=a f=" + text, "invalid number")
            for text in b"1.5i +1 +1i -i - . 1e 1e5i 1_000 0x10 1d 1..5 --1 i1 1i1 1ii -1u nan NaN inf -inf Infinity".split()
        ),
        *((b"m,t=a f=" + text, "invalid number") for text in (b"1e400", b"-1e400", b"%di" % (INT64_MAX + 1), b"-%di" % (INT64_MAX + 2))),
        *(
            (b"m,t=a f=" + text, "invalid number")
            for text in (b"%du" % (INT64_MAX + 1), b"%du" % ((1 << 64) - 1), b"9" * 5000 + b"i", b"1\t")
        ),
        *((b"m,t=a f=" + text, "invalid boolean") for text in b"tRue tr yes u e \xc3\xa9".split()),
        (b'm f="a', "unbalanced quotes"),
        (b'm f="a\\"', "unbalanced quotes"),
        (b'm f="a"b', "invalid field format"),
        (b'm f="a""b"', "invalid field format"),
        *(
            (b"m f=1 " + ts, "bad timestamp")
            for ts in (b"x", b"1.5", b"1e5", b"+1", b"-", b"1 2", b"5i", b"%d" % (INT64_MAX + 1), b"9" * 5000)
        ),
        (b"m,t=a,t=b f=1", "duplicate tag"),
        (b"m,t=a,T=b f=1", "duplicate tag"),
        (b"m,t=a t=1", "duplicate field"),
        (b"m f=1,F=2", "duplicate field"),
        (b"m,ts=a f=1", "tag name 'ts'"),
        (b"m _SEQ=1", "field name '_SEQ'"),
        (b"m\x01 f=1", "stream name"),
        (b"m,t\x00=a f=1", "tag name"),
        (b"m f\x7f=1", "field name"),
        (b"m\xff f=1", "invalid UTF-8"),
        (b"m,t=\xc3 f=1", "invalid UTF-8"),
        (b'm f="\xed\xa0\x80"', "invalid UTF-8"),
    ],
)
def test_a_bad_line_is_refused_alone_and_whole_with_its_reason(line: bytes, reason: str) -> None:
    check_refused(line, reason)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"m,t=" + b"a" * 11 + b" f=1", "value of tag 't' is longer than 10 bytes"),
        (b'm f="' + b"a" * 11 + b'"', "value of field 'f' is longer than 10 bytes"),
        (b"m" * 9 + b" f=1", "stream name is longer than 8 bytes"),
        (b"m," + b"t" * 9 + b"=a f=1", "tag name is longer than 8 bytes"),
        (b"m " + b"f" * 9 + b"=1", "field name is longer than 8 bytes"),
    ],
)
def test_a_line_over_a_limit_is_refused(line: bytes, reason: str) -> None:
    check_refused(line, reason, value_bytes_max=10, name_bytes_max=8)


def test_a_value_at_the_limit_is_taken() -> None:
    line = b"m,t=" + b"a" * 10 + b' f="' + b"b" * 10 + b'"\n'
    for times in (1, 100):
        assert len(records(read(line * times, value_bytes_max=10))) == times


def test_of_a_field_given_twice_the_last_counts() -> None:
    check(b"m f=1,g=2i,f=3", "m", {"f": 3.0, "g": 2})
    check(b'm f=1,f="x"', "m", {"f": "x"})


@pytest.mark.parametrize(
    ("precision", "ts", "us"),
    [
        (Precision.NS, 1_700_000_000_123_456_789, 1_700_000_000_123_456),
        (Precision.NS, -1, -1),
        (Precision.NS, -1_000, -1),
        (Precision.NS, INT64_MAX, 9_223_372_036_854_775),
        (Precision.NS, -INT64_MAX - 1, -9_223_372_036_854_776),
        (Precision.US, 1_700_000_000_123_456, 1_700_000_000_123_456),
        (Precision.US, -5, -5),
        (Precision.MS, 1_700_000_000_123, 1_700_000_000_123_000),
        (Precision.S, 1_700_000_000, 1_700_000_000_000_000),
        (Precision.S, 253_402_300_799, 253_402_300_799_000_000),
        (Precision.S, -62_135_596_800, -62_135_596_800_000_000),
        (Precision.M, 28_333_333, 1_699_999_980_000_000),
        (Precision.H, 472_222, 1_699_999_200_000_000),
        (Precision.AUTO, 4_999_999_999, 4_999_999_999_000_000),
        (Precision.AUTO, 5_000_000_000, 5_000_000_000_000),
        (Precision.AUTO, 4_999_999_999_999, 4_999_999_999_999_000),
        (Precision.AUTO, 5_000_000_000_000, 5_000_000_000_000),
        (Precision.AUTO, 4_999_999_999_999_999, 4_999_999_999_999_999),
        (Precision.AUTO, 5_000_000_000_000_000, 5_000_000_000_000),
        (Precision.AUTO, -1_700_000_000, -1_700_000_000_000_000),
        (Precision.AUTO, -INT64_MAX - 1, -9_223_372_036_854_776),
        (Precision.AUTO, 0, 0),
    ],
)
def test_timestamps_become_microseconds(precision: Precision, ts: int, us: int) -> None:
    for times in (1, 100):
        assert [found for _, found, _ in records(read(b"m f=1 %d\n" % ts * times, precision))] == [us] * times


@pytest.mark.parametrize(
    ("precision", "ts"),
    [
        (Precision.US, 253_402_300_800_000_000),
        (Precision.MS, 253_402_300_800_000),
        (Precision.S, 253_402_300_800),
        (Precision.S, -62_135_596_801),
        (Precision.S, INT64_MAX),
        (Precision.M, INT64_MAX // 60_000_000),
        (Precision.H, -INT64_MAX),
    ],
)
def test_a_time_that_no_calendar_holds_is_refused(precision: Precision, ts: int) -> None:
    for times in (1, 100):
        parsed = read(b"m f=1 %d\n" % ts * times, precision)
        assert len(parsed.rejects) == times
        assert parsed.rejects[0].reason == f"bad timestamp '{ts}': outside the years 1 to 9999 when read in {precision}"


@pytest.mark.parametrize(
    ("precision", "us"),
    [
        (Precision.NS, NOW_US),
        (Precision.US, NOW_US),
        (Precision.AUTO, NOW_US),
        (Precision.MS, 1_700_000_000_123_000),
        (Precision.S, 1_700_000_000_000_000),
        (Precision.M, 1_699_999_980_000_000),
        (Precision.H, 1_699_999_200_000_000),
    ],
)
def test_a_line_without_a_time_is_now_truncated_to_the_precision(precision: Precision, us: int) -> None:
    for times in (1, 100):
        assert [ts for _, ts, _ in records(read(b"m f=1\n" * times, precision))] == [us] * times


def test_blank_lines_comments_and_a_byte_order_mark_are_skipped_and_counted_as_lines() -> None:
    text = b'\xef\xbb\xbf\n# a comment with a " quote\n  # another\n\t\n\r\nm f=1\n\n   m f=2\r\n#last \xff'
    for times in (1, 50):
        parsed = read(text + b"\n" + text[3:] * (times - 1))
        assert [values["f"] for _, _, values in records(parsed)] == [1.0, 2.0] * times
        assert parsed.rejects == ()
    parsed = read(text)
    assert parsed.lines == 9
    assert parsed.batches[0].origin is not None
    assert [parsed.batches[0].origin.line(row) for row in (0, 1)] == [6, 8]


@pytest.mark.parametrize("text", [b"", b"\n", b"\xef\xbb\xbf", b"#", b" ", b"\r\n"])
def test_a_body_without_records_is_no_error(text: bytes) -> None:
    parsed = read(text)
    assert (parsed.batches, parsed.rejects) == ((), ())


def test_a_memoryview_is_as_good_as_bytes() -> None:
    assert records(read(memoryview(b"xx m f=1 5000")[3:])) == [("m", 5, {"f": 1.0})]
