"""Durations, sizes and addresses are read as people write them, and what can't be read says why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.units import Address, is_loopback, parse_address, parse_duration, parse_size, show_duration, show_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20ms", 0.02),
        ("1s", 1.0),
        ("5min", 300.0),
        ("2h", 7200.0),
        ("400d", 34_560_000.0),
        ("1.5s", 1.5),
        (" 1_000 us ", 0.001),
        ("1w", 604_800.0),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("64MiB", 67_108_864),
        ("20GiB", 21_474_836_480),
        ("1kB", 1000),
        ("1 KiB", 1024),
        ("1.5MiB", 1_572_864),
        ("7B", 7),
        ("64mib", 67_108_864),
    ],
)
def test_a_size_is_a_number_and_a_unit(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "ms", "-1s", "1", "1e3s", "nan s", "1 s s", "１s", "inf"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a number and one of"):
        parse_duration(text)


def test_an_unknown_unit_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'m' is no unit of time; use one of us, ms, s, min, h, d, w"):
        parse_duration("5m")
    with pytest.raises(ValueError, match="'MX' is no unit of size; use one of B, kB,"):
        parse_size("5MX")


@given(st.integers(min_value=1, max_value=2**61))
def test_a_size_that_is_shown_reads_back_the_same(size_bytes: int) -> None:
    shown = show_size(size_bytes)
    assert parse_size(shown) == size_bytes or size_bytes > 2**53  # beyond 2**53 the text is exact, its float is not


@given(st.integers(min_value=1, max_value=10**12))
def test_a_duration_that_is_shown_reads_back_the_same(micros: int) -> None:
    assert parse_duration(show_duration(micros / 1e6)) == pytest.approx(micros / 1e6, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:8086", Address("127.0.0.1", 8086)), ("localhost:0", Address("localhost", 0)), ("[::1]:65535", Address("::1", 65535))],
)
def test_an_address_is_host_and_port(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "8086", ":8086", "localhost", "localhost:", "a:65536", "a:-1", "::1:80", "[]:1", "a b:1", "a:1x", "a:１"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT|brackets|a port is"):
        parse_address(text)


@pytest.mark.parametrize(
    ("host", "only_here"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_only_loopback_counts_as_this_machine(host: str, only_here: bool) -> None:
    assert is_loopback(host) is only_here
