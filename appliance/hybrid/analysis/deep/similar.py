"""Past incidents that are like one: the same series and templates were unusual together. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.hybrid.analysis.deep.values import Past
from appliance.observe.analysis import MemberRow

ALIKE: Final = 0.5
"""Part of the members of both that they share, from which on two incidents are alike (Jaccard)."""
SHOWN_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Alike:
    """One past incident that is like it."""

    past: Past
    share: float


def id_of(stream: str, column: str, key: Mapping[str, str | None]) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """Which series: equal however names are written, and whether or not tags without a value are there."""
    return stream.lower(), column.lower(), tuple(sorted((k.lower(), v) for k, v in key.items() if v is not None))


def sign_of(member: MemberRow) -> tuple[str, str, str]:
    """By which a member is known again."""
    about = member.template if member.template is not None else ",".join(f"{k}={v}" for k, v in sorted(member.key.items()) if v is not None)
    return member.stream, member.column, about


def similar(members: Sequence[MemberRow], past: Sequence[Past]) -> list[Alike]:
    """The most alike first, of equal ones the newest; at most ``SHOWN_MAX``."""
    mine = {sign_of(m) for m in members}
    found = [Alike(each, len(mine & theirs) / len(mine | theirs)) for each in past if (theirs := set(each.members)) and mine]
    return sorted((a for a in found if a.share >= ALIKE), key=lambda a: (-a.share, -a.past.since_us))[:SHOWN_MAX]
