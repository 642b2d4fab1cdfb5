from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.sources.codecs.line_protocol import Parsed, Precision, body, fast, parse, parse_exact
from appliance.sources.codecs.line_protocol.exact import ExactReader
from appliance.sources.codecs.line_protocol.values import Ints
from tests.bench import lp_codec, tsbs
from tests.codecs.lp_lines import ATOMS, BAD_NAMES, BAD_TAGS, BAD_TIMES, BAD_VALUES, GOOD_VALUES, NAMES, NOW_US, TIMES, bodies
from tests.examples import examples

BLOCKS = st.sampled_from((body.BLOCK_BYTES, 200, 40))


@pytest.fixture(autouse=True, scope="module")
def _no_body_is_too_small() -> Iterator[None]:
    """Also a single line goes the fast way here, if it can."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body, "LINES_MIN", 1)
        patch.setattr(fast, "GROUP_LINES_MIN", 1)
        yield


def told(parsed: Parsed) -> list[Any]:
    """All that there is to compare; ``repr`` keeps -0.0 and 0.0, 1 and 1.0 and True apart."""
    batches: list[Any] = []
    for batch in parsed.batches:
        batch.data.validate(full=True)
        assert batch.origin is not None
        places = [(batch.origin.line(row), batch.origin.raw(row)) for row in range(batch.rows)]
        batches.append((batch.stream, batch.tags, str(batch.data.schema), repr(batch.data.to_pylist()), places))
    return [*batches, parsed.rejects, parsed.lines]


def check(text: bytes, *, block_bytes: int = body.BLOCK_BYTES, precision: Precision = Precision.NS, **limits: int) -> Parsed:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body, "BLOCK_BYTES", block_bytes)
        quick = parse(text, precision=precision, now_us=NOW_US, **limits)
    exact = parse_exact(text, precision=precision, now_us=NOW_US, **limits)
    assert told(quick) == told(exact)
    assert sum(batch.rows for batch in quick.batches) + len(quick.rejects) <= quick.lines
    return quick


@settings(max_examples=examples(250), deadline=None)
@given(bodies(), BLOCKS, st.sampled_from(Precision), st.sampled_from((1000, 13)), st.sampled_from((1000, 20)))
def test_both_routes_read_the_same_of_lines_with_few_shapes(
    text: bytes, block: int, precision: Precision, value_max: int, name_max: int
) -> None:
    check(text, block_bytes=block, precision=precision, value_bytes_max=value_max, name_bytes_max=name_max)


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(st.sampled_from(ATOMS), max_size=60).map(b"".join), BLOCKS)
@example(b' m,t="x b=" 1\ny" 5\nm a=1\n', 200)
@example(b'm k"=1,b="x\ny" 5\nm a=1\n', 200)
@example(b'm,t="a b=" 1\nm a="x" 1\n', 200)
@example(b'm a="x\nm a="y" 1\nm a="\n', 40)
def test_both_routes_read_the_same_of_any_bytes(text: bytes, block: int) -> None:
    check(text, block_bytes=block)


@pytest.mark.parametrize("value", [*GOOD_VALUES, *BAD_VALUES])
def test_each_value_reads_the_same_on_both_routes(value: str) -> None:
    for beside in ("1", "1i", "1u", '"x"', "t"):
        text = f"m,t=a f={value} 5\nm,t=a f={beside} 5\n".encode()
        check(text)
        check(text, value_bytes_max=4)


@pytest.mark.parametrize("name", [*NAMES, *BAD_NAMES])
def test_each_name_reads_the_same_on_both_routes(name: str) -> None:
    for line in (
        f"{name},t=a f=1 5\n",
        f"m,{name}=a f=1 5\n",
        f"m,t=a {name}=1 5\n",
        f"m,{name}=a {name}=1 5\n",
        f"{name},{name}=a {name}=1 5\n",
    ):
        text = (line + "n f=1\n" + line).encode()
        check(text)
        check(text, name_bytes_max=4)


@pytest.mark.parametrize("tag", BAD_TAGS)
def test_each_tag_value_reads_the_same_on_both_routes(tag: str) -> None:
    for text in (f"m,t={tag} f=1 5\nm,t=a f=1 5\n", f"m,t={tag},u=b f=1 5\nm,t=a,u={tag} f=1 5\n"):
        check(text.encode())
        check(text.encode(), value_bytes_max=4)


@pytest.mark.parametrize("time", [*TIMES, *BAD_TIMES])
@pytest.mark.parametrize("precision", Precision)
def test_each_time_reads_the_same_on_both_routes(time: str, precision: Precision) -> None:
    check(f"m f=1{time}\nm f=1 5\n".encode(), precision=precision)


@pytest.mark.parametrize("quote", [b'"x"', b'"x y, z="', b'"x\ny"', b'"x\\"y"', b'"x'])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" 5\n", b" 5\r\n", b",b=1\n", b""])
def test_strings_end_lines_in_the_same_place_on_both_routes(quote: bytes, end: bytes) -> None:
    line = b"m,t=a f=1i,s=" + quote + end
    check(b"m,t=a f=2i\n" + line + b"m,t=b f=3i\n" + line)


def test_lines_that_look_alike_never_reach_the_exact_route(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise AssertionError

    monkeypatch.setattr(ExactReader, "take", refuse)
    text = (
        lp_codec.mixed(600)
        + next(tsbs.blocks(hosts=50, lines=500, block=500))
        + 20 * b'log,unit=a\\ b,host=b text="GET \\"/\\", 200",code=200u,ok=t,s=1e-7\r\n'
    )
    parsed = parse(text, precision=Precision.NS, now_us=NOW_US)
    assert not parsed.rejects
    assert sum(batch.rows for batch in parsed.batches) == 1120


def test_agents_lines_read_the_same_on_both_routes() -> None:
    parsed = check(lp_codec.mixed(2000))
    assert len(parsed.batches) == len({name for name, *_ in lp_codec.SHAPES})
    assert not parsed.rejects


def test_lines_whose_hashes_collide_are_told_apart_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_alike(_page: object, _tokens: object, lines: Ints, _kind_of: object) -> list[Ints]:
        return [lines]

    monkeypatch.setattr(fast, "alike", all_alike)
    check(lp_codec.mixed(100) + b"m a=1\nm b=1\nm a=1i\nM a=1\nm,a=1 b=1\nm a=1,b=2\n")
    for one, other in (
        ("m a=1", "m aa=1"),
        ("m a=1", "mm a=1"),
        ("m,t=a a=1", "m,tt=a a=1"),
        ("m a=1", "m a=1i"),
        ("m,t=a a=1", "m a=1,t=1"),
    ):
        check(f"{one}\n{other}\n{one}\n".encode())
        check(f"{other}\n{one}\n{other}\n".encode())


@pytest.mark.parametrize("key", [7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130])
def test_keys_are_compared_to_their_last_byte(key: int) -> None:
    same, other = b"k" * key, b"k" * (key - 1) + b"x"
    text = b"".join(b"m,%b=v f%b=1i\n" % (a, b) for a, b in [(same, same)] * 5 + [(other, same), (same, other), (same[:-1], same)])
    parsed = check(text)
    assert [batch.rows for batch in parsed.batches] == [8]
    assert len(parsed.batches[0].data.schema.names) == 6


@pytest.mark.parametrize("digits", range(1, 21))
def test_integers_of_every_length_are_read_to_the_digit(digits: int) -> None:
    numbers = [int("9876543210123456789"[:digits]), 10 ** (digits - 1), 10**digits - 1]
    text = b"".join(b"m a=%di,b=-%di,c=%du\n" % (number, number, number) for number in numbers)
    parsed = check(text)
    taken = [number for number in numbers if number < 1 << 63]
    found = parsed.batches[0].data.to_pydict() if taken else {"a": [], "b": [], "c": []}
    assert (found["a"], found["b"], found["c"]) == (taken, [-number for number in taken], taken)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_floats_come_back_bit_for_bit(numbers: list[float]) -> None:
    text = "".join(f"m a={number!r}\n" for number in numbers).encode()
    assert list(map(repr, check(text).batches[0].data.column("a").to_pylist())) == list(map(repr, numbers))
