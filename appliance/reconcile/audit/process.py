"""Writes one bundle as a process of its own: ``main`` reads an ``Order`` as JSON and prints a ``Done`` as JSON.

What can't be made is said in a line on stderr, with status 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from appliance.errors import ApplianceError
from appliance.reconcile.audit.order import Done, Order
from appliance.reconcile.audit.writing import Asked, write_bundle
from appliance.serving.folder import open_folder


def main() -> None:
    """See the module."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    try:
        done = carry_out(order)
    except (ApplianceError, OSError) as e:
        sys.exit(str(e))
    sys.stdout.buffer.write(msgspec.json.encode(done))


def carry_out(order: Order) -> Done:
    """Raises as ``open_folder`` and ``write_bundle``."""
    asked = Asked(
        since_us=order.since_us,
        until_us=order.until_us,
        silence_s=order.silence_s,
        author=order.author,
        node=order.node,
        now_us=order.now_us,
    )
    data_dir = Path(order.data_dir)
    with open_folder(data_dir) as (reader, state):
        made = write_bundle(data_dir, Path(order.target), reader, state, asked)
    return Done(made.seal, made.head, made.entries, made.segments, made.bytes, made.gaps, made.wrong[:WRONG_MAX])


WRONG_MAX = 1_000
"""So many of what is wrong are handed on."""
