"""Models as rules see them: read from their files, the newest usable version of each, as baselines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.cold.batch.training.model import Model, ModelUnusable, decode
from appliance.cold.files import locate
from appliance.errors import StoreDamaged
from appliance.hot.models import ACCEPTED, ModelRow
from appliance.hot.stream.baselines import Baseline, Name
from appliance.records import fold

IMPLICIT: Final = "baseline("
"""Names of the models that rules ask for by ``baseline()`` without a training in the config begin with this."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A version whose file can't be used, and the one that is used in its place."""

    row: ModelRow
    reason: str
    instead: int | None
    """None: there is no other."""

    def __str__(self) -> str:
        then = "no other version is there" if self.instead is None else f"version {self.instead} is used"
        return f"model {self.row.name!r}: version {self.row.version} ({self.row.path}) {self.reason}; {then}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The models in use."""

    models: tuple[Model, ...]
    unusable: tuple[Unusable, ...]

    def baselines(self) -> dict[Name, Baseline]:
        """For rules. Where two models say something of the same column, the one that the config names goes first."""
        ordered = sorted(self.models, key=lambda m: (not m.name.startswith(IMPLICIT), m.made_us))
        return {name_of(m): baseline_of_model(m) for m in ordered}


def load_models(folder: Path, rows: Iterable[ModelRow]) -> Loaded:
    """The active version of each model; where its file can't be used, the accepted one before it."""
    by_name: dict[str, list[ModelRow]] = {}
    for row in rows:
        by_name.setdefault(row.name, []).append(row)
    models: list[Model] = []
    unusable: list[Unusable] = []
    for versions in by_name.values():
        active = next((r for r in versions if r.active), None)
        if active is not None:
            found, bad = _first_usable(folder, [active, *before(versions, active.version)])
            models += [] if found is None else [found]
            unusable += [Unusable(row, reason, None if found is None else found.version) for row, reason in bad]
    return Loaded(tuple(models), tuple(unusable))


def before(versions: Sequence[ModelRow], version: int) -> list[ModelRow]:
    """The accepted versions before one, the newest first."""
    return sorted((r for r in versions if r.state == ACCEPTED and r.version < version), key=lambda r: -r.version)


def read_model(folder: Path, row: ModelRow) -> Model:
    """A version's file. Raises ``ModelUnusable``."""
    try:
        text = locate(folder, row.path).read_bytes()
    except FileNotFoundError:
        raise ModelUnusable("is missing; train it again") from None
    except (OSError, StoreDamaged) as e:
        raise ModelUnusable(f"can't be read: {e}") from e
    model = decode(text)
    if hashlib.sha256(text).hexdigest() != row.sha256:
        raise ModelUnusable("is damaged: it is another file than the one that was made; train it again")
    return model


def name_of(model: Model) -> Name:
    """By which rules ask for it."""
    return fold(model.stream), model.by, fold(model.column)


def baseline_of_model(model: Model) -> Baseline:
    """What rules compare with."""
    rows = {key: row for row, key in enumerate(model.keys)}
    low, high = model.bounds or (None, None)
    return Baseline(rows, model.hours, model.made_us, low, high)


def _first_usable(folder: Path, versions: Sequence[ModelRow]) -> tuple[Model | None, list[tuple[ModelRow, str]]]:
    bad: list[tuple[ModelRow, str]] = []
    for row in versions:
        try:
            return read_model(folder, row), bad
        except ModelUnusable as e:
            bad.append((row, str(e)))
    return None, bad
