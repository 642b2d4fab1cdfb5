"""The service as ``appliance run`` starts it, but for one thing: neither batches nor segments get tallies. For what those cost.

usage: python -m tests.bench.untallied --data-dir DIR --config FILE
"""

from __future__ import annotations

import sys
from typing import Any
from unittest import mock

from tests.faults import program


def nothing(_data: Any, _seqs: Any = None) -> dict[int, Any]:
    """Instead of ``tally_by_day``."""
    return {}


if __name__ == "__main__":
    with mock.patch("appliance.door.commit.tally_by_day", nothing), mock.patch("appliance.cold.segments.tally_by_day", nothing):
        sys.exit(program.main())
