"""The figures and names of a text, found the same way in what a model was given and in what it says. Pure.

A figure of an answer is taken to be in the material where it is one of the material's figures or that one rounded: to its own decimals, or
to two or more significant digits. A time or date must be one of the material's, or its beginning. Signs are not compared.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ]?(\d\d:\d\d(?::\d\d)?))?(?:\.\d+)?Z?")
_TIME = re.compile(r"(?<![\d:])(\d{1,2}:\d\d(?::\d\d)?)(?:\.\d+)?Z?(?![\d:])")
_MONTHS: Final = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december")
_MONTH: Final = "|".join(f"{name[:3]}(?:{name[3:]})?" if len(name) > 3 else name for name in _MONTHS)
_DAY = re.compile(
    rf"\b(?:(?P<d1>\d\d?)(?:st|nd|rd|th)?(?: of)? (?P<m1>{_MONTH})\b\.?"
    rf"|(?P<m2>{_MONTH})\.? (?P<d2>\d\d?)(?:st|nd|rd|th)?\b)(?:,? (?P<y>\d{{4}}))?",
    re.IGNORECASE,
)
_NUMBER: Final = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][+-]?\d+)?"
_NUMBER_AND_UNIT = re.compile(rf"({_NUMBER})(?: ?(%|percent\b|per cent\b)|[^\W\d_]*(?![\w]))", re.IGNORECASE)
_NAME = re.compile(r"\w+")
_IS_NAME = re.compile(r"(?=.*[\d_])(?=.*[^\W\d])", re.DOTALL)
"""Letters together with digits or underscores: ``cpu0``, ``host_load``, ``0x1f``."""
_SPELLED: Final = {
    "two": 2.0, "three": 3.0, "four": 4.0, "five": 5.0, "six": 6.0, "seven": 7.0, "eight": 8.0, "nine": 9.0, "ten": 10.0, "eleven": 11.0,
    "twelve": 12.0, "thirteen": 13.0, "fourteen": 14.0, "fifteen": 15.0, "sixteen": 16.0, "seventeen": 17.0, "eighteen": 18.0,
    "nineteen": 19.0, "twenty": 20.0, "thirty": 30.0, "forty": 40.0, "fifty": 50.0, "sixty": 60.0, "seventy": 70.0, "eighty": 80.0,
    "ninety": 90.0,
    "dozen": 12.0, "dozens": math.nan, "hundred": 100.0, "hundreds": math.nan, "thousand": 1e3, "thousands": math.nan, "million": 1e6,
    "millions": math.nan, "billion": 1e9, "billions": math.nan, "half": 0.5, "halved": 0.5, "twice": 2.0, "double": 2.0, "doubled": 2.0,
    "twofold": 2.0, "thrice": 3.0, "triple": 3.0, "tripled": 3.0, "threefold": 3.0, "quadrupled": 4.0, "fourfold": 4.0, "tenfold": 10.0,
}  # fmt: skip
"""Figures in words. NaN: none that could be compared."""
SIGNIFICANT_DIGITS_MIN: Final = 2


@dataclass(frozen=True, slots=True)
class Figures:
    """What stands in a text, or in all texts and numbers of a document."""

    numbers: set[float] = field(default_factory=set)
    """Without signs."""
    times: set[str] = field(default_factory=set)
    """``HH:MM`` or ``HH:MM:SS``."""
    dates: set[str] = field(default_factory=set)
    """``YYYY-MM-DD``."""
    words: set[str] = field(default_factory=set)
    """All words, in small letters."""


def figures_of(document: str) -> Figures:
    """Of a JSON document: its numbers, and what its texts hold. Times of day also count by the day's and the hour's own beginning."""
    found = Figures()
    for value in _leaves(json.loads(document)):
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, str):
            _learn(value, found)
        elif math.isfinite(value):
            found.numbers.add(abs(float(value)))
    return found


def strangers(answer: str, known: Figures) -> Iterator[str]:
    """The figures and names with digits or underscores of ``answer`` that ``known`` does not hold, as they stand there."""
    text = answer
    for match in _DAY.finditer(text):
        if not _is_known_day(match, known):
            yield match[0]
    text = _DAY.sub(" ", text)
    for match in _DATE.finditer(text):
        if match[1] not in known.dates or (match[2] is not None and not _is_known_time(match[2], known)):
            yield match[0]
    text = _DATE.sub(" ", text)
    for match in _TIME.finditer(text):
        if not _is_known_time(match[1], known):
            yield match[0]
    text = _TIME.sub(" ", text)
    yield from _strange_words(text, known)


def _strange_words(text: str, known: Figures) -> Iterator[str]:
    rest = []
    for match in _NUMBER_AND_UNIT.finditer(text):
        if match.start() and (text[match.start() - 1].isalnum() or text[match.start() - 1] == "_"):
            continue  # the end of a name
        rest.append(match.span())
        if not is_known_number(match[1], known, is_percent=match[2] is not None) and match[0].casefold() not in known.words:
            yield match[0]
    for match in _NAME.finditer(text):
        word = match[0].casefold()
        if any(start <= match.start() < end for start, end in rest) or word in known.words:
            continue
        spelled = _SPELLED.get(word)
        if spelled is not None:
            if not any(_is_rounded(spelled, 0, number) for number in known.numbers):
                yield match[0]
        elif _IS_NAME.match(word) or any(c.isnumeric() for c in word):
            yield match[0]


def is_known_number(written: str, known: Figures, *, is_percent: bool = False) -> bool:
    """Whether a number as it is written ("4,112", "4.2", "1e9") is one of the figures, or one of them rounded; with ``is_percent`` also
    a hundred times one."""
    plain = written.replace(",", "")
    decimals = 0 if "e" in plain.lower() else len(plain.partition(".")[2])
    value = float(plain)
    if not math.isfinite(value):
        return False
    return any(
        _is_rounded(value, decimals, number) or (is_percent and _is_rounded(value, decimals, number * 100)) for number in known.numbers
    )


def _is_rounded(value: float, decimals: int, number: float) -> bool:
    if abs(value - number) <= 0.5 * 10.0**-decimals * (1 + 1e-9) and (value or number < 1e-3 or decimals):
        return True
    return value >= 10 and any(float(f"{number:.{digits}g}") == value for digits in range(SIGNIFICANT_DIGITS_MIN, 7))


def _learn(text: str, found: Figures) -> None:
    for match in _DATE.finditer(text):
        found.dates.add(match[1])
        if match[2] is not None:
            found.times.add(match[2])
    rest = _DATE.sub(" ", text)
    found.times.update(match[1].rjust(5, "0") if match[1].count(":") == 1 else match[1].rjust(8, "0") for match in _TIME.finditer(rest))
    rest = _TIME.sub(" ", rest)
    for match in re.finditer(_NUMBER, rest):
        value = float(match[0].replace(",", ""))
        if math.isfinite(value):
            found.numbers.add(value)
    found.words.update(match[0].casefold() for match in _NAME.finditer(text))


def _is_known_time(text: str, known: Figures) -> bool:
    time = text if text[1] != ":" else f"0{text}"
    return any(one.startswith(time) for one in known.times)


def _is_known_day(match: re.Match[str], known: Figures) -> bool:
    name, day, year = (match["m1"] or match["m2"]).lower()[:3], int(match["d1"] or match["d2"]), match["y"]
    month = next(n for n, one in enumerate(_MONTHS, 1) if one.startswith(name))
    return any(one.endswith(f"-{month:02d}-{day:02d}") and (year is None or one.startswith(year)) for one in known.dates)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from _leaves(one)
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one)
    else:
        yield value
