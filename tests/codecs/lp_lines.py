"""What the tests of line protocol share: pieces of lines, plain and nasty, and what was read as a flat list."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from appliance.sources.codecs.line_protocol import Parsed

NOW_US = 1_700_000_000_123_456

GOOD_VALUES = (
    "1",
    "2.5",
    "-3e-7",
    "10i",
    "-9i",
    "7u",
    "t",
    "FALSE",
    '"x"',
    '"a, b=c d"',
    '""',
    '"longer than twelve bytes"',
    '"é"',
    '"say \\"hi\\""',
)
BAD_VALUES = (
    *("1.", ".5", "-.5", ".", "-", "+", "+1", "-+1", "1e5", "1E-5", "1e", "1e+5", "e5", "1e5i", "1_000", "0x10", "1d", "1.5.5", "1\t", ""),
    *("inf", "-inf", "nan", "NaN", "Infinity", "1e400", "-1e400", "1e-400", "1.7976931348623157e308", "5e-324", "0.30000000000000004"),
    *("-0", "-0i", "-0u", "-1u", "007i", "i", "u", "-i", "1i1", "1ii", "1-2", "1-2i", "--1", "1.5i", "é", "1é", "1234567890123456i"),
    *("9223372036854775807i", "9223372036854775808i", "-9223372036854775808i", "-9223372036854775809i", "12345678901234567i"),
    *("9223372036854775807u", "9223372036854775808u", "18446744073709551615u", "99999999999999999999i", "00000000000000000000000001i"),
    *("123456789.12345678901234567890", "true", "True", "TRUE", "false", "False", "tRue", "T", "F", "null", "NA", '"null"', '"NA"'),
    *("a", '"a', 'a"', '"a"b', '"x""y"', '"x"="y"', '"', '"a\\"b"', '"a\\\\"', '"a\\b"', '"\n"', '"a\nb c=1\n"', '"\0"', '"\r\n"'),
)
NAMES = (
    "m",
    "cpu",
    "CPU",
    "usage_user",
    "a_name_of_many_words_that_goes_on_and_on_1",
    "a_name_of_many_words_that_goes_on_and_on_2",
    "aaaaaaaab",
    "aaaaaaaac",
)
BAD_NAMES = (
    "ts",
    "_seq",
    "TS",
    "é",
    "É",
    "x y",
    r"x\ y",
    r"x\,y",
    r"x\=y",
    "x\\",
    r"x\\",
    r"\x",
    "x=y",
    '"x"',
    'x"',
    "",
    "#x",
    " x",
    "\tx",
    "x\0",
    "x" * 60,
    "x\ry",
)
BAD_TAGS = ("", r"a\ b", r"a\,b", r"a\=b", "a\\", r"a\\", r"\a", "a=b", '"a b"', '"', "null", "é", "a\tb", "x" * 60, "a\rb", "#")
TIMES = (" 1700000000000000000", " 1700000000", " 5", "", " -1")
BAD_TIMES = (
    *(" 9223372036854775807", " 9223372036854775808", " -9223372036854775808", " 99999999999999999999", " 000000000000000000000000001"),
    *(" 1.5", " 1e5", " x", " +1", " -", " -0", " 0", " 1i", ' "', " a=1", " =", " ", "  1", " 1 ", " 1 2", "\t1"),
    *(" 253402300799", " 253402300800", " -62135596800", " -62135596801", " 153722867", " 12345678", " 123456789"),
    *(" 4999999999", " 5000000000", " -5000000000", " 4999999999999", " 5000000000000", " 4999999999999999", " 5000000000000000"),
)
ENDS = ("\n", "\n", "\n", "\r\n", "\n\n", " \n", "\r\r\n", "")
ATOMS = (
    *(bytes([char]) for char in b'm,= "\\\n\r\t#1i.-e\xff'),
    *(b"m a=1\n", b'm a="', b'" 1\n', b',t="x', b"\xc3\xa9", b'="', b'\\"', b"\\\\", b"#", b'",b="', b"m,t=a f=1i 5\n", b"\r\n"),
)


def mostly(good: tuple[str, ...], bad: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Three good ones to a bad one."""
    return st.sampled_from(good * (1 + 3 * len(bad) // len(good)) + bad)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Lines of a few shapes, most of them good, shapes changing from line to line."""
    name = mostly(NAMES, BAD_NAMES)
    shape = st.tuples(name, st.lists(name, max_size=3), st.lists(name, min_size=1, max_size=3), st.sampled_from([" "] * 9 + ["  "]))
    shapes = draw(st.lists(shape, min_size=1, max_size=3))
    value = draw(st.sampled_from([st.sampled_from(GOOD_VALUES), st.sampled_from(("1i", "22i", "-333i")), mostly(GOOD_VALUES, BAD_VALUES)]))
    tag = draw(st.sampled_from([st.sampled_from(("a", "b", "host-1", r"a\ b", r"a\,b\=c", r"\a")), mostly(("a", "host-1"), BAD_TAGS)]))
    time = draw(st.sampled_from([st.sampled_from(TIMES), mostly(TIMES, BAD_TIMES)]))
    lines = []
    for _ in range(draw(st.integers(0, 25))):
        measurement, tags, fields, gap = draw(st.sampled_from(shapes))
        head = "".join((measurement, *(f",{key}={draw(tag)}" for key in tags)))
        lines.append(head + gap + ",".join(f"{key}={draw(value)}" for key in fields) + draw(time) + draw(st.sampled_from(ENDS)))
    return "".join(lines).encode()


def records(parsed: Parsed) -> list[tuple[str, int, dict[str, Any]]]:
    """Stream, time in microseconds and what is not null, in the order of the lines."""
    found = []
    for batch in parsed.batches:
        assert batch.origin is not None
        times = batch.data.column("ts").cast(pa.int64()).to_pylist()
        for row, values in enumerate(batch.data.drop_columns(["ts"]).to_pylist()):
            held = {key: value for key, value in values.items() if value is not None}
            found.append((batch.origin.line(row), batch.stream, times[row], held))
    return [(stream, ts, values) for _, stream, ts, values in sorted(found, key=lambda each: each[0])]
