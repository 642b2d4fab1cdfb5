"""Whether what a language model says may be shown. Pure: a text and the material that it was given in, the text as it is shown out.

Checked are length, form, characters, figures and names, not whether the words are true: that is why the answer says who wrote it.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from appliance.hybrid.analysis.wording.figures import figures_of, strangers
from appliance.observe.analysis import IncidentPicture

WORDS_MIN: Final = 3
WORD_CHARACTERS_MAX: Final = 80
LETTERS_MIN: Final = 0.5
"""Part of all characters but blanks that must be letters."""
DISTINCT_MIN: Final = 0.3
"""Part of the words that must differ, in answers of more than ``DISTINCT_OVER`` words: small models fall into loops."""
DISTINCT_OVER: Final = 30
MARKS_MAX: Final = 3
"""Combining marks on one letter."""
_FIGURE = re.compile(r"(?<![\w])\d")
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL | re.IGNORECASE)
_DECORATION = re.compile(r"\*\*|__(?=\W|\Z)|`+|\A\s*#+\s|(?<!\S)#+\s")
_MARKUP = re.compile(r"</?[a-z!][^>]*>|\w+://|\bwww\.|\bmailto:|\]\(|\S@\w[\w-]*\.\w|\|\||\|-|<\||\|>", re.IGNORECASE)
_SOOTHING = re.compile(
    r"\b(?:all|everything|it)(?: is|'s| was| looks?| seems?)(?: perfectly| quite)? (?:well|fine|good|normal|ok|okay|healthy|in order)\b"
    r"|\bnothing(?: is| was| looks?)?(?: at all)? (?:unusual|wrong|amiss|abnormal|suspicious|to worry|to see|to report)\b"
    r"|\bno (?:incident|anomal\w+|problems?|issues?|threat|danger|action|reason to|cause for|need to)\b"
    r"|\bfalse alarm\b|\b(?:ignore|disregard|disable|silence|delete|acknowledge) (?:the|this|these|all|any|it)\b",
    re.IGNORECASE,
)
"""What a record would have a model say, to be passed over or to have somebody do something; only of a dismissed incident it may be true."""
_MARKS = re.compile(r"\A[\s\"'“”„«»]+|[\s\"'“”„«»]+\Z")


class Unfit(ValueError):
    """The answer is not shown; the text says why, in one line that holds nothing of the answer but a figure or name."""


def checked(answer: str, material: str, picture: IncidentPicture, *, words_max: int) -> str:
    """The answer on one line, without decoration. Raises ``Unfit``."""
    text = _plain(answer)
    _check_form(text, words_max)
    if picture.incident.verdict != "dismissed" and (found := _SOOTHING.search(text)):
        raise Unfit(f"it says {found[0][:40].lower()!r} of an incident that is not dismissed")
    stranger = next(strangers(text, figures_of(material)), None)
    if stranger is not None:
        raise Unfit(f"it has {stranger[:40]!r}, which is not in the incident")
    return text


def checked_summary(answer: str, material: str, picture: IncidentPicture, *, words_max: int) -> str:
    """As ``checked``; a summary must besides say where, by a stream or field of the incident, and when or how much. Raises ``Unfit``."""
    text = checked(answer, material, picture, words_max=words_max)
    said = _spoken(text)
    names = {*picture.incident.streams, *(member.column for member in picture.members), *(member.stream for member in picture.members)}
    if not any(name and _spoken(name) in said for name in names):
        raise Unfit("it names no stream and no field of the incident")
    if not _FIGURE.search(text):
        raise Unfit("it has no figure of the incident")
    return text


def _plain(answer: str) -> str:
    text = _DECORATION.sub("", _THOUGHT.sub("", answer))
    return _MARKS.sub("", unicodedata.normalize("NFC", " ".join(text.split())))


def _check_form(text: str, words_max: int) -> None:
    words = text.split()
    if len(words) < WORDS_MIN:
        raise Unfit("it says next to nothing")
    if len(words) > words_max:
        raise Unfit(f"it has {len(words)} words, more than words_max = {words_max}")
    if max(map(len, words)) > WORD_CHARACTERS_MAX:
        raise Unfit(f"it has a word of more than {WORD_CHARACTERS_MAX} characters")
    if any(unicodedata.category(c)[0] == "C" for c in text):
        raise Unfit("it has characters that can't be shown")
    if _longest_marks(text) > MARKS_MAX:
        raise Unfit("it heaps marks on letters")
    if _MARKUP.search(text):
        raise Unfit("it has markup or an address")
    letters = sum(c.isalpha() for c in text) / sum(not c.isspace() for c in text)
    if letters < LETTERS_MIN:
        raise Unfit("it is no sentence")
    if len(words) > DISTINCT_OVER and len({word.casefold() for word in words}) < DISTINCT_MIN * len(words):
        raise Unfit("it repeats itself")


def _longest_marks(text: str) -> int:
    longest = run = 0
    for c in text:
        run = run + 1 if unicodedata.combining(c) or unicodedata.category(c)[0] == "M" else 0
        longest = max(longest, run)
    return longest


def _spoken(text: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split())
