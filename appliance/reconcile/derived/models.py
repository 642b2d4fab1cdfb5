"""The files of models are what was made, and the version in use is the one that the evidence names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from appliance.hot.chain import has_chain
from appliance.hot.models import ACCEPTED, DAMAGED, ModelRow, models
from appliance.hot.reader import HotReader
from appliance.reconcile.derived.files import MISSING, wrong_with
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Look

FILE_MISSING: Final = "model missing"
FILE_CHANGED: Final = "model changed"
NOT_IN_USE: Final = "model not in use"


def check_files(look: Look) -> Iterator[Finding]:
    """Each version that has not been given up; the files are small, so each is read."""
    for row in models(look.reader):
        reason = None if row.state == DAMAGED else wrong_with(look.folder, row.path, size=None, sha256=row.sha256, deep=True)
        if reason is not None:
            yield Finding(
                kind=FILE_MISSING if reason == MISSING else FILE_CHANGED,
                where=row.path,
                key=f"{row.name} {row.version}",
                stream=row.stream,
                what=f"version {row.version} of the model {row.name}{', which is in use,' if row.active else ''} {reason}",
                repair="the accepted version before it is used, and it is trained anew" if row.active else "it is given up",
                facts={"name": row.name, "version": row.version},
            )


def check_use(look: Look) -> Iterator[Finding]:
    """The version in use is the one that the chain of evidence named last."""
    rows = models(look.reader)
    for name, wanted in named_last(look.reader).items():
        mine = [r for r in rows if r.name == name]
        active = next((r.version for r in mine if r.active), None)
        if mine and active != wanted:
            there = next((r for r in mine if r.version == wanted), None)
            used = "none" if active is None else f"version {active}"
            yield Finding(
                kind=NOT_IN_USE,
                where="hot.sqlite model",
                key=name,
                stream=mine[0].stream,
                what=f"of the model {name} {used} is in use, and the evidence says {wanted if wanted is not None else 'none'}",
                repair="the version that the evidence names is used" if wanted is None or is_usable(there) else None,
                facts={"name": name, **({} if wanted is None else {"version": wanted})},
            )


def is_usable(row: ModelRow | None) -> bool:
    """Whether a version may be put into use, but for its file. A refused one may, where a person has said so."""
    return row is not None and row.state != DAMAGED


def named_last(reader: HotReader) -> dict[str, int | None]:
    """Model -> the version that its newest entry in the chain has put into use; None: none."""
    if not has_chain(reader):
        return {}
    found: dict[str, int | None] = {}
    near = "instr(entry, '\"model') AND json_valid(entry)"  # which is cheaper than to read each entry
    for (line,) in reader.execute(f"SELECT entry FROM chain WHERE {near} AND json_extract(entry, '$.kind') = 'model' ORDER BY id"):
        entry: dict[str, Any] = json.loads(str(line))
        found[str(entry["model"])] = entry["instead"] if "instead" in entry else int(entry["version"])
    return found


def usable_before(rows: list[ModelRow], version: int) -> list[ModelRow]:
    """Accepted versions before one, the newest first."""
    return sorted((r for r in rows if r.state == ACCEPTED and r.version < version), key=lambda r: -r.version)
