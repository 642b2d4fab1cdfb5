"""Matchers of silences as people write them: ``device=d1``, ``rule!=a*``. Pure functions of texts and labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from appliance.errors import UsageRefused
from appliance.hot.alerts.values import Matcher, Silence


def parse_matcher(text: str) -> Matcher:
    """``LABEL=VALUE`` or ``LABEL!=VALUE``, the value with a ``*`` at either end for any text, in double quotes if one likes.

    Raises ``UsageRefused``.
    """
    label, equals, value = text.partition("=")
    negated = label.endswith("!")
    label = label.removesuffix("!").strip()
    value = value.strip()
    if not equals or not label:
        raise _refused(text, "is no matcher; write LABEL=VALUE or LABEL!=VALUE, such as device=d1")
    if value.startswith("~"):
        raise _refused(text, "has a regular expression, which matchers don't know; a * at either end of the value stands for any text")
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if "*" in value[1:-1]:
        raise _refused(text, "has a * in the middle; it stands for any text only at the start or the end of the value")
    return Matcher(label, value, negated)


def matcher_text(matcher: Matcher) -> str:
    """The text that ``parse_matcher`` reads back."""
    value = matcher.value
    if value != value.strip() or value.startswith("~") or (value[:1] == value[-1:] == '"'):
        value = f'"{value}"'
    return f"{matcher.label}{'!=' if matcher.negated else '='}{value}"


def matches(matcher: Matcher, labels: Mapping[str, str]) -> bool:
    """Whether an alert's labels are what the matcher wants; a label that an alert lacks counts as empty."""
    return _is_like(labels.get(matcher.label, ""), matcher.value) is not matcher.negated


def is_active(silence: Silence, *, now_us: int) -> bool:
    """Whether it is in force: begun, not over, not taken back."""
    return silence.since_us <= now_us < silence.until_us and (silence.ended_us is None or now_us < silence.ended_us)


def silence_of(labels: Mapping[str, str], silences: Iterable[Silence]) -> int | None:
    """The id of the first of ``silences`` (all taken to be in force) that covers an alert; None: nobody silences it."""
    return next((s.id for s in silences if s.matchers and all(matches(m, labels) for m in s.matchers)), None)


def _is_like(text: str, pattern: str) -> bool:
    if pattern == "*":
        return True
    starts, ends = not pattern.startswith("*"), not pattern.endswith("*")
    middle = pattern.removeprefix("*").removesuffix("*")
    if starts and ends:
        return text == middle
    if starts:
        return text.startswith(middle)
    return text.endswith(middle) if ends else middle in text


def _refused(text: str, why: str) -> UsageRefused:
    shown = text if len(text) <= 80 else text[:77] + "..."
    return UsageRefused(f"{shown!r} {why}")
