"""One pass over a folder that another process may serve, or nobody: read-only, at one instant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from appliance.reconcile.engine import CHECKS, run_checks
from appliance.reconcile.look import Check, Look, Scope
from appliance.reconcile.passing import Pass, confirmed
from appliance.serving.folder import open_folder


def pass_folder(folder: Path, scope: Scope, *, now_us: int, checks: Sequence[Check] = CHECKS, **more: Any) -> Pass:
    """A pass over a folder by another process than the one that may serve it, or where none does. Raises as ``open_folder``."""
    with open_folder(folder) as (reader, state):
        look = Look(folder=folder, reader=reader, state=state, scope=scope, now_us=now_us, **more)
        result = run_checks(look, checks)
    if any("segment" in f.facts for f in result.findings):
        with open_folder(folder) as (reader, _):
            result = confirmed(reader, result)
    return Pass(scope=scope, result=result, seen=look.seen)
