"""A template as others see it. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OTHER: Final = 0
"""The id of what has no template of its own any more: the rarest, where there were more than ``templates_max``."""
NO_TEXT: Final = -1
"""In place of an id where there is no text."""
OTHER_TEXT: Final = "(other)"


@dataclass(frozen=True, slots=True)
class Template:
    """What a group of texts have in common, as far as it is known."""

    id: int
    text: str
    """With ``<*>`` for what varies."""
    tokens: tuple[str, ...]
    """Words, signs and ``<*>``; joined they are the text."""
    count: int
    """Texts so far."""
    first_us: int | None
    """Event time of the oldest text; None: no times were given."""
    last_us: int | None
    """Event time of the newest."""
    label: str
    """What kind of event it is: see ``labels.py``."""


@dataclass(frozen=True, slots=True)
class Birth:
    """A template that came with the text of a row."""

    row: int
    id: int
    text: str
    """As it was with that text alone."""
    near: tuple[str, str] | None
    """Where another template says the same but for one word: that word of the new one, and the other's text. None: there is none."""
