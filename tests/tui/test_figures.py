"""Figures are short, rounded and carry a unit; what comes from outside can't move the cursor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.tui.fake import NOON_US, S
from tui import figures
from tui.export import export_name
from tui.safe import ascii_only, fit, safe
from tui.symbols import ASCII, BLOCK, BRAILLE, Symbols, choose_symbols


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (0, "0"), (999, "999"), (1000, "1.00k"), (12_345, "12.3k"), (999_499, "999k"),
        (999_500, "1.00M"), (1_234_567, "1.23M"),
        (2_000_000_000_000, "2.00T"), (-4200, "-4.20k"),
    ],
)  # fmt: skip
def test_a_count_takes_at_most_five_cells(value: int | None, text: str) -> None:
    assert figures.count(value) == text


@given(st.integers(0, 10**17))
def test_no_count_is_wider_than_its_column(value: int) -> None:
    assert len(figures.count(value)) <= 5


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.004, "<0.1"), (0.2, "0.2"), (9.94, "9.9"), (9.96, "10"), (1234.5, "1.23k")])
def test_a_slow_stream_is_not_taken_for_a_dead_one(value: float, text: str) -> None:
    assert figures.rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (64 << 20, "64.0 MiB"), (999_999_999_999, "931 GiB")]
)
def test_sizes_are_binary(value: int, text: str) -> None:
    assert figures.size(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "now"),
        (7, "7 s"),
        (59.6, "1 min"),
        (170, "3 min"),
        (5400, "90 min"),
        (8000, "2.2 h"),
        (172_800, "2 d"),
        (10**9, "31.7 y"),
        (-90, "+1.5 min"),
    ],
)
def test_an_age_has_one_unit(seconds: float, text: str) -> None:
    assert figures.age(round(seconds * S)) == text


def test_a_time_of_today_is_a_time_of_day_and_an_older_one_a_date() -> None:
    moments = [NOON_US - 60 * S, NOON_US - 2 * 86_400 * S, NOON_US - 400 * 86_400 * S]
    assert [figures.moment(t, now_us=NOON_US) for t in moments] == ["11:59:00", "20 Nov", "Oct 2025"]


@pytest.mark.parametrize("ts_us", [-(10**20), 10**20])
def test_times_outside_the_calendar_are_shown_all_the_same(ts_us: int) -> None:
    assert figures.moment(ts_us, now_us=NOON_US)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"), ("Küche 21 °C", "Küche 21 °C"), ("a\x1b[2Jb", "a␛[2Jb"),
        ("tab\tnl\n", "tab␉nl␊"), ("\x7f", "␡"), ("\x9b31m", "‹9b›31m"),
        ("abc\u202edef", "abc‹202e›def"), ("a\u200bb", "a‹200b›b"), ("\ufeffx", "‹feff›x"),
        ("\ud800", "‹d800›"), ("[bold]x[/]", "[bold]x[/]"),
        ("e\u0301", "e\u0301"), ("z" + "\u0335" * 40, "z\u0335\u0335…"), ("\u0301", "◌\u0301"),
    ],
)  # fmt: skip
def test_what_would_be_obeyed_is_shown(text: str, shown: str) -> None:
    assert safe(text) == shown


@given(st.text())
def test_safe_text_holds_nothing_that_a_terminal_obeys_and_is_its_own_picture(text: str) -> None:
    shown = safe(text)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0x202A <= ord(c) <= 0x202E or 0x2066 <= ord(c) <= 0x2069 for c in shown)
    shown.encode("utf-8")
    assert safe(shown) == shown


@given(st.text())
def test_a_terminal_of_plain_ascii_gets_plain_ascii(text: str) -> None:
    assert ascii_only(text).isascii()
    assert ascii_only(text).isprintable()


@given(st.text(), st.integers(0, 30), st.booleans())
def test_a_fitted_text_takes_exactly_its_cells(text: str, width: int, right: bool) -> None:
    assert cell_len(fit(safe(text), width, right=right)) == width


@pytest.mark.parametrize(
    ("environ", "symbols"),
    [
        ({"LANG": "de_DE.UTF-8", "TERM": "xterm"}, BRAILLE),
        ({"TERM": "xterm"}, BRAILLE),  # nothing is said: as Python itself takes it
        ({"LANG": "C", "TERM": "xterm"}, ASCII),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8", "TERM": "xterm"}, ASCII),  # LC_CTYPE is Python's own doing
        ({"LANG": "en_US.UTF-8", "LC_ALL": "C", "TERM": "xterm"}, ASCII),
        ({"LANG": "de_DE.ISO-8859-15", "TERM": "xterm"}, ASCII),
        ({"LANG": "C.UTF-8", "TERM": "linux"}, BLOCK),
        ({"LANG": "C.UTF-8", "TERM": "vt220"}, ASCII),
        ({"LANG": "C", "APPLIANCE_SYMBOLS": "block"}, BLOCK),
    ],
)
def test_symbols_follow_the_locale_and_the_terminal(environ: dict[str, str], symbols: Symbols) -> None:
    assert choose_symbols(environ) is symbols


@pytest.mark.parametrize("symbols", [BRAILLE, BLOCK, ASCII])
def test_each_state_has_a_glyph_of_its_own(symbols: Symbols) -> None:
    glyphs = [symbols.state(word) for word in ("OK", "WARN", "CRIT", "nonsense")]
    assert len(set(glyphs)) == 4


def test_the_ascii_alphabet_is_ascii() -> None:
    drawn = [*ASCII.glyphs, *ASCII.states.values(), *ASCII.sides]
    drawn += [
        v
        for n in ("levels", "full", "rest", "rising", "falling", "cursor", "dot", "ellipsis", "axis", "tick", "mark", "enter")
        if (v := getattr(ASCII, n))
    ]
    assert "".join(drawn).isascii()


def test_an_exported_file_is_named_harmlessly() -> None:
    assert export_name("latest-../../etc/passwd\x1b") == "latest-etc-passwd"
    assert export_name("///") == "view"
