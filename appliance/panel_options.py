"""The options of panels: ``[workload.NAME]`` of kind ``panel``.

Frozen values as in ``appliance.options``. What the SQL means is found out where it is planned. Nothing here does I/O.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from appliance.need_options import NeedsOptions

ROWS_MAX = 10_000


class PanelOptions(NeedsOptions, frozen=True, kw_only=True, tag="panel", tag_field="kind"):
    """A query whose newest answer is kept ready, whatever path its needs put it on."""

    sql: str
    """A SELECT over everything that can be queried. Its newest answer is the table of the workload's name, with `_as_of` beside
    its columns."""
    rows_max: Annotated[int, Meta(ge=1, le=ROWS_MAX)] = 1_000
    """Rows of an answer; one with more is an error. What is larger is for views and jobs."""
    history: bool = True
    """Whether answers are kept: each that differs from the one before, as records of the stream `NAME_history`."""
