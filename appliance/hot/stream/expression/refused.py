"""How a mistake in an expression or a template is said: with its column, on one line."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.config_reading import nearest_of
from appliance.errors import UsageRefused
from appliance.records import fold

_SHOWN_CHARS = 40
_NAMES_SHOWN = 8


class ExpressionRefused(UsageRefused):
    """An expression or a template can't be understood, or can't be computed over the columns there are.

    ``column`` is the 1-based place in the text, counted in characters; ``reason`` the message without it.
    """

    def __init__(self, reason: str, *, column: int) -> None:
        super().__init__(f"column {column}: {reason}")
        self.reason = reason
        self.column = column


def clipped(text: object, chars_max: int = _SHOWN_CHARS) -> str:
    """What a person wrote (or a node), fit for one line: control characters escaped, the middle of a long one left out."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))
    if len(line) <= chars_max:
        return line
    half = (chars_max - 1) // 2
    return f"{line[:half]}…{line[-half:]}"


def did_you_mean(name: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """The end of a message: the nearest known name; without a near one, those there are (if any) and ``otherwise``."""
    names = {fold(k): k for k in known}
    nearest = nearest_of(fold(name), tuple(names))
    if nearest is not None:
        return f"; did you mean {clipped(names[nearest])}?"
    if not names:
        return otherwise
    more = ", …" if len(names) > _NAMES_SHOWN else ""
    return f"; there are: {', '.join(clipped(n) for n in list(names.values())[:_NAMES_SHOWN])}{more}{otherwise}"
