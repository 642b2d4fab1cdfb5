"""The records of before of an open box, for whoever follows them."""

from __future__ import annotations

from appliance.box import Box
from appliance.cold.lake import Damage
from appliance.reconcile.start import put_aside
from appliance.serving.history import History
from appliance.serving.source import pinned_reader


def make_history(box: Box) -> History:
    """Out of lake, hot store and ring; a segment that can't be read is set aside."""
    return History(
        root=box.folder,
        state=lambda: box.state,
        reader=lambda: pinned_reader(box.folder),
        damaged=lambda segment, reason: put_aside(box, Damage(segment, reason)),
    )
