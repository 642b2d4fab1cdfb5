"""What is passed over when more waits than may: pure."""

from __future__ import annotations

from collections.abc import Mapping


def left_waiting(waiting: Mapping[str, int], rows_max: int) -> dict[str, int]:
    """Of records that wait, by stream, how many may go on waiting, so that all together are at most ``rows_max``.

    The streams with the most give up theirs: what is left is the same for all that had more.
    """
    left: dict[str, int] = {}
    room = rows_max
    for place, (stream, rows) in enumerate(sorted(waiting.items(), key=lambda item: (item[1], item[0]))):
        left[stream] = min(rows, room // (len(waiting) - place))
        room -= left[stream]
    return left
