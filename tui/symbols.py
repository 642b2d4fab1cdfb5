"""Which characters the terminal can show: braille dots, block elements or plain ASCII; chosen once from the locale and TERM.

Every state has a glyph of its own and a word, so that nothing is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Symbols:
    """One alphabet, the same object wherever it is used.

    ``glyphs`` holds the picture of each pattern of dots in a cell: bit ``x * dots_y + y``, ``y`` counted from below."""

    name: str
    dots_x: int
    dots_y: int
    glyphs: tuple[str, ...]
    levels: str
    """Heights of a one-line chart, lowest first; nothing at all is a blank."""
    full: str
    rest: str
    """The two halves of a gauge."""
    states: Mapping[str, str]
    """Glyph of ``OK``, ``WARN``, ``CRIT`` and of what is not known."""
    rising: str
    falling: str
    cursor: str
    dot: str
    """Between figures of a line."""
    ellipsis: str
    rule: str
    axis: str
    tick: str
    mark: str
    """Before a label of the time axis."""
    enter: str
    sides: tuple[str, str]
    """Around the name of what Left and Right change."""
    border: str
    """Textual's name of the border."""
    ascii: bool = False

    def keys(self, shown: str) -> str:
        """The names of keys in this alphabet."""
        return shown.replace("Enter", self.enter) if not self.ascii else "".join(_ASCII_KEYS.get(c, c) for c in shown)

    def state(self, word: str) -> str:
        """The glyph of a state's word."""
        return self.states.get(word, self.states[""])


_ASCII_KEYS = {"↑": "Up", "↓": "Down", "←": "Left", "→": "Right", "…": ".."}
_UNICODE_STATES = {"OK": "●", "WARN": "▲", "CRIT": "✖", "": "○"}


def _braille() -> tuple[str, ...]:
    """Patterns by our bit order; Unicode numbers the dots 1 2 3 7 down the left column and 4 5 6 8 down the right."""
    order = (0x40, 0x04, 0x02, 0x01, 0x80, 0x20, 0x10, 0x08)
    return tuple(chr(0x2800 + sum(dot for bit, dot in enumerate(order) if pattern >> bit & 1)) for pattern in range(256))


BRAILLE = Symbols(
    name="braille",
    dots_x=2,
    dots_y=4,
    glyphs=(" ", *_braille()[1:]),
    levels="▁▂▃▄▅▆▇█",
    full="━",
    rest="─",
    states=_UNICODE_STATES,
    rising="▲",
    falling="▼",
    cursor="▸",
    dot="·",
    ellipsis="…",
    rule="─",
    axis="│",
    tick="┤",
    mark="╵",
    enter="⏎",
    sides=("◂", "▸"),
    border="round",
)
BLOCK = Symbols(
    name="block",
    dots_x=1,
    dots_y=2,
    glyphs=(" ", "▄", "▀", "█"),
    levels="▄█",
    full="█",
    rest="░",
    states={"OK": "■", "WARN": "▲", "CRIT": "X", "": "?"},
    rising="▲",
    falling="▼",
    cursor="►",
    dot="·",
    ellipsis="~",
    rule="─",
    axis="│",
    tick="┤",
    mark="│",
    enter="Enter",
    sides=("◄", "►"),
    border="solid",
)
"""What the console fonts of the PC have: no braille, no eighths."""
ASCII = Symbols(
    name="ascii",
    dots_x=1,
    dots_y=2,
    glyphs=(" ", ".", "'", ":"),
    levels="_.-=*#",
    full="#",
    rest="-",
    states={"OK": "+", "WARN": "!", "CRIT": "X", "": "?"},
    rising="^",
    falling="v",
    cursor=">",
    dot="|",
    ellipsis="~",
    rule="-",
    axis="|",
    tick="|",
    mark="|",
    enter="Enter",
    sides=("<", ">"),
    border="ascii",
    ascii=True,
)
ALPHABETS: Mapping[str, Symbols] = {s.name: s for s in (BRAILLE, BLOCK, ASCII)}

_COERCED = ("C.UTF-8", "C.utf8", "UTF-8")
"""What Python itself writes into LC_CTYPE when it starts under the C locale (PEP 538): no word of the user's."""
_CONSOLES = ("linux", "cons25", "vt100", "vt102", "vt220", "ansi", "dumb")


def choose_symbols(environ: Mapping[str, str]) -> Symbols:
    """Braille where the locale is UTF-8 or nothing is said, ASCII under ``C`` or another charset, blocks on a bare console.

    ``APPLIANCE_SYMBOLS`` (braille, block, ascii) overrules.
    """
    wanted = ALPHABETS.get(environ.get("APPLIANCE_SYMBOLS", ""))
    if wanted is not None:
        return wanted
    term = environ.get("TERM", "")
    if not _speaks_utf8(environ) or term in ("dumb", "ansi") or term.startswith("vt"):
        return ASCII
    return BLOCK if term in _CONSOLES else BRAILLE


def _speaks_utf8(environ: Mapping[str, str]) -> bool:
    ctype = environ.get("LC_CTYPE", "")
    language = environ.get("LANG", "")
    if ctype in _COERCED and language in ("", "C", "POSIX"):
        ctype = ""
    charset = environ.get("LC_ALL") or ctype or language
    return not charset or "utf8" in charset.lower().replace("-", "")
