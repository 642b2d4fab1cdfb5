"""The one line that tells what an alert is about: a template with placeholders, checked when it is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.hot.stream.expression.parser import parse
from appliance.hot.stream.expression.refused import ExpressionRefused, clipped, did_you_mean
from appliance.hot.stream.expression.tokens import BYTES_MAX
from appliance.hot.stream.values import Scalar
from appliance.records import fold

SUMMARY_BYTES_MAX: Final = 1024
"""Of a rendered summary, in UTF-8; what is longer is cut and ends in an ellipsis."""
UNKNOWN: Final = "?"
"""How null is shown."""
_VALUE, _RULE = "value", "rule"
_SPEC = re.compile(r",?(?:\.(?:[0-9]|1[0-7]))?[fg%]?")
_PLACEHOLDER = re.compile(r"""\{((?:[^{}'"]|'(?:[^']|'')*'|"(?:[^"]|"")*")*)\}""")
_FORMAT = re.compile(r""":([^:'")]*)$""")
_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line separators, what turns the direction of writing, halves of surrogate pairs."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """What is replaced by a label or by a value."""

    name: str
    """Of a label as it was written, or the text of a term."""
    is_label: bool
    spec: str = ""
    """How a number is written (Python's format); empty: as ``show`` does."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A template that was understood."""

    rule: str
    """The name of the rule."""
    key: tuple[str, ...] | None
    """The columns of the key, for the default; None: every label there is."""
    terms: tuple[str, ...]
    """The terms of the rule, for the default."""
    pieces: tuple[str | Placeholder, ...]
    """Texts and placeholders in turn; empty: the default is made."""

    def render(self, labels: Mapping[str, str | None], values: Mapping[str, Scalar]) -> str:
        """One line of at most ``SUMMARY_BYTES_MAX`` bytes, without control characters.

        ``labels`` by name (without case), ``values`` by the text of the term. What is null or missing reads ``?``.
        """
        if not self.pieces:
            return _harmless(self._default(labels, values))
        folded = {fold(name): label for name, label in labels.items()}
        return _harmless("".join(piece if isinstance(piece, str) else _filled(piece, folded, values) for piece in self.pieces))

    def _default(self, labels: Mapping[str, str | None], values: Mapping[str, Scalar]) -> str:
        """``overheating: device=d1, avg(temperature) = 83.2``."""
        folded = {fold(name): label for name, label in labels.items()}
        names = labels if self.key is None else self.key
        shown = [f"{name}={show(folded.get(fold(name)))}" for name in names]
        shown += [f"{term} = {show(values.get(term))}" for term in self.terms]
        return f"{self.rule}: {', '.join(shown)}" if shown else self.rule


def parse_summary(
    text: str,
    *,
    rule: str,
    key: Sequence[str] | None,
    terms: Sequence[str],
    labels: Sequence[str] = (),
    stream: str | None = None,
) -> Summary:
    """The template ``text`` of a rule; empty (or blank) for the default.

    Placeholders: ``{rule}``; a column of ``key`` or one of ``labels``, without case; ``{value}``, the first of ``terms``; a term as it
    may be written in the rule, as in ``{avg(temperature):.1f}``. After a colon may stand how a number is written: ``.1f``, ``,.0f``,
    ``.3g``, ``.0%``. ``{{`` and ``}}`` are the braces themselves. ``key`` None says that the columns of the key aren't known yet: then
    every bare name is taken for a label. ``stream`` as in ``parse``. Raises ``ExpressionRefused`` with the column of the mistake.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > BYTES_MAX:
        raise ExpressionRefused(f"the summary has {size} bytes; at most {BYTES_MAX} are taken", column=1)
    known = _Known({fold(name): name for name in (*(key or ()), *labels)}, rule, tuple(terms), stream, open_key=key is None)
    pieces: list[str | Placeholder] = []
    place = 0
    while text.strip() and place < len(text):
        brace = next((i for i in range(place, len(text)) if text[i] in "{}"), len(text))
        if brace > place:
            pieces.append(text[place:brace])
        place = brace
        if text[brace : brace + 2] in {"{{", "}}"}:
            pieces.append(text[brace])
            place = brace + 2
        elif brace < len(text):
            match = _PLACEHOLDER.match(text, brace)
            if match is None:
                raise ExpressionRefused(f"found {text[brace]} alone; write {text[brace] * 2} for the sign itself", column=brace + 1)
            pieces.append(known.piece(match.group(1), brace + 2))
            place = match.end()
    return Summary(rule, None if key is None else tuple(key), tuple(terms), tuple(pieces))


def show(value: Scalar) -> str:
    """A value for people: six significant digits, whole numbers in full up to 15; ``?`` for null."""
    match value:
        case None:
            return UNKNOWN
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return f"{value:.0f}" if 1e6 <= abs(value) < 1e15 else f"{value:.6g}"
        case _:
            return _cut(value)


@dataclass(frozen=True, slots=True)
class _Known:
    """The names that may stand in a template."""

    labels: Mapping[str, str]
    """By folded name."""
    rule: str
    terms: tuple[str, ...]
    stream: str | None
    open_key: bool

    def piece(self, written: str, at: int) -> str | Placeholder:
        """``written`` is what stands between the braces, ``at`` the column of its first character."""
        found = _FORMAT.search(written)
        spec = found.group(1) if found else ""
        if found and not (spec and _SPEC.fullmatch(spec)):
            reason = f"found {clipped(spec) or 'nothing'} after the colon, expected how a number is written, as in .1f, ,.0f, .3g or .0%"
            raise ExpressionRefused(reason, column=at + found.start(1))
        name = written[: found.start()].strip() if found else written.strip()
        if fold(name) in self.labels and spec == "":
            return Placeholder(self.labels[fold(name)], is_label=True)
        if fold(name) == _RULE and spec == "":
            return self.rule
        if fold(name) == _VALUE and self.terms:
            return Placeholder(self.terms[0], is_label=False, spec=spec)
        term = self._term(name)
        if term is not None:
            return Placeholder(term, is_label=False, spec=spec)
        if fold(name) in {*self.labels, _RULE}:
            raise ExpressionRefused(f"{clipped(name)} is a text, so it takes no {clipped(spec)}", column=at)
        if self.open_key and name.isidentifier() and not spec:
            return Placeholder(name, is_label=True)
        names = (*self.labels.values(), _RULE, *((_VALUE,) if self.terms else ()), *self.terms)
        raise ExpressionRefused(f"there is no {{{clipped(name)}}} here{did_you_mean(name, names)}", column=at)

    def _term(self, name: str) -> str | None:
        """The term that was written, whatever its case and its spaces."""
        if name in self.terms:
            return name
        try:
            text = str(parse(name, stream=self.stream))
        except ExpressionRefused:
            return None  # then it is an unknown name, which says more
        return text if text in self.terms else None


def _filled(piece: Placeholder, labels: Mapping[str, str | None], values: Mapping[str, Scalar]) -> str:
    if piece.is_label:
        return show(labels.get(fold(piece.name)))
    value = values.get(piece.name)
    if piece.spec and isinstance(value, int | float) and not isinstance(value, bool):
        return format(value if piece.spec == "," else float(value), piece.spec)
    return show(value)


def _cut(text: str) -> str:
    """More than this could never be seen."""
    return text[:SUMMARY_BYTES_MAX]


def _harmless(line: str) -> str:
    clean = _HARMFUL.sub(" ", line)
    whole = clean.encode()
    if len(whole) <= SUMMARY_BYTES_MAX:
        return clean
    return whole[: SUMMARY_BYTES_MAX - 3].decode(errors="ignore") + "…"
