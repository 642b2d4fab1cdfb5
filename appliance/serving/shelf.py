"""Parts of earlier answers, as a snapshot sees them: rows of closed buckets in memory, offered like a view's to stand in for records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from appliance.hot.state import State
from appliance.serving.snapshot import Offer, WantedView
from appliance.serving.view_pins import ViewPin


class Shelf(Protocol):
    """Who keeps them; called from any thread."""

    def offers(self, state: State, stream: str) -> Sequence[Offer]:
        """The parts of a stream (by folded name) that are there in this picture."""

    def has(self, key: str) -> bool:
        """Whether a name is a part's, kept or gone."""

    def pin(self, state: State, want: WantedView) -> tuple[ViewPin, pa.Table] | None:
        """What of it is right in this picture, with the spans that have to be computed; None: it is of a later picture.

        Raises ``QueryRefused`` for a part that has gone.
        """
