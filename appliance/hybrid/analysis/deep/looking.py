"""The deep pass of one incident, as a process of its own: ``Asked`` as JSON on stdin, ``Refined`` as JSON on stdout."""

from __future__ import annotations

import sys

import msgspec

from appliance.hybrid.analysis.deep.refined import refine
from appliance.hybrid.analysis.deep.values import Asked


def main() -> None:
    """See the module."""
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    sys.stdout.buffer.write(msgspec.json.encode(refine(asked)))
