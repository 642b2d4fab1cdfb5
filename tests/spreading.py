"""In which order tests run on several workers of pytest-xdist: what takes long first, so that no processor idles at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

import pytest

LONG: Final = (
    "tests/faults/test_power_cut.py",
    "tests/faults/test_kill_alerts.py::test_a_kill_at_a_step",
    "tests/faults/test_kill_alerts.py",
    "tests/faults/test_kill.py::test_what_was_acknowledged_survives_kills",
    "tests/reconcile/test_running.py",
    "tests/reconcile/test_no_false_alarm.py",
    "tests/derived/test_service.py",
    "tests/faults/test_kill.py",
    "tests/reconcile/test_adopted.py",
    "tests/views/test_service.py",
    "tests/hybrid/analysis/refining/test_service.py",
    "tests/batch/test_ladder.py",
    "tests/audit/test_scheduled.py",
    "tests/faults/test_service_faults.py",
    "tests/sources/test_file_kills.py",
    "tests/promises/test_exactly_once.py",
)
"""Beginnings of names; each is for one worker, and those that take or wait longest come first."""
ItemT = TypeVar("ItemT")


def spread(items: Sequence[tuple[str, ItemT]], workers: int) -> list[ItemT]:
    """The named ``items``, long ones first on each worker; each gets an equal stretch of the list, as ``--dist worksteal`` begins."""
    hands: list[list[ItemT]] = [[] for _ in range(workers)]
    ranked = [(next((place for place, begin in enumerate(LONG) if name.startswith(begin)), None), item) for name, item in items]
    for place, item in sorted(((p, i) for p, i in ranked if p is not None), key=lambda pair: pair[0]):
        hands[place % workers].append(item)
    others = [item for place, item in ranked if place is None]
    found: list[ItemT] = []
    for number, hand in enumerate(hands):
        end = len(items) * (number + 1) // workers
        taken = max(0, end - len(found) - len(hand))
        found += [*hand, *others[:taken]]
        del others[:taken]
    return [*found, *others]


def spread_over_workers(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a worker, orders what it has collected; each gets the same order."""
    given = getattr(config, "workerinput", None)
    if given is not None:
        items[:] = spread([(item.nodeid, item) for item in items], given["workercount"])
