"""How the box is: one model, made out of the one picture, and what each surface says of it, so that none tells another story.

``appliance status``, ``/api/status``, ``/health``, ``/metrics``, ``_health`` in SQL, systemd's STATUS line and the UI show this; none of
them judges by itself. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from appliance.observe.ladder import LadderStatus, Step
from appliance.observe.status import Problem, Status

LEVELS: Final = ("OK", "WARN", "CRIT")
"""From well to worst; their places are the figures of ``/metrics``."""
COLUMNS: Final = (
    ("part", "VARCHAR"),
    ("level", "VARCHAR"),
    ("what", "VARCHAR"),
    ("since", "TIMESTAMP"),
    ("hint", "VARCHAR"),
)
"""Of ``_health``: first the box as a whole, then each reason."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the box is at one instant."""

    level: str
    """The worst of ``reasons``; ``OK`` without any."""
    reasons: tuple[Problem, ...]
    """The worst first, then the oldest."""
    ladder: LadderStatus
    state: str
    """As ``Status.state``."""

    @property
    def line(self) -> str:
        """In one line: the level, and the worst reason with how many there are besides."""
        if not self.reasons:
            return self.level
        more = f" (and {len(self.reasons) - 1} more)" if len(self.reasons) > 1 else ""
        return f"{self.level}: {self.reasons[0].what}{more}"


def level_of(problems: Iterable[Problem]) -> str:
    """The worst level among them."""
    return max((p.level for p in problems), default=LEVELS[0], key=LEVELS.index)


def sorted_problems(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The worst first, then the oldest."""
    return tuple(sorted(problems, key=lambda p: (-LEVELS.index(p.level), p.since_us)))


def health_of(status: Status) -> Health:
    """How the box is, by its picture."""
    reasons = sorted_problems(status.problems)
    return Health(level=level_of(reasons), reasons=reasons, ladder=status.ladder, state=status.state)


def ladder_problem(ladder: LadderStatus) -> tuple[Problem, ...]:
    """What a degraded box says of itself; nothing on the normal step."""
    if not ladder.step:
        return ()
    level = "CRIT" if ladder.step >= Step.RECORDS_AND_ALERTS else "WARN"
    what = f"degraded, step {ladder.step} of {max(Step):d}: {ladder.name}, because {ladder.why}"
    return (
        Problem(level, what, ladder.since_us or 0, "records are taken and alerts told; it goes up by itself when the pressure is over"),
    )


def status_line(status: Status) -> str:
    """The box in one line, for systemd."""
    found = health_of(status)
    step = f"; step {found.ladder.step}, {found.ladder.name}" if found.ladder.step else ""
    worst = f"; {found.line.partition(': ')[2]}" if found.reasons else ""
    return f"{found.level}, {status.rate:.0f} records/s, {len(status.streams)} streams{step}{worst}"


def checks(health: Health) -> list[dict[str, Any]]:
    """The reasons as the ``checks`` of ``/health``; each with its level, and the ``status`` that clients of InfluxDB know."""
    return [
        {"name": f"reason-{number}", "status": "pass" if p.level == "WARN" else "fail", "message": p.what, "level": p.level}
        for number, p in enumerate(health.reasons, 1)
    ]


def rows(health: Health) -> Sequence[tuple[Any, ...]]:
    """``_health``, in the columns of ``COLUMNS``."""
    whole = ("box", health.level, health.state, health.reasons[0].since_us if health.reasons else None, health.line)
    return [whole, *(("reason", p.level, p.what, p.since_us or None, p.hint) for p in health.reasons)]
