"""A model as its file has it: JSON with a format version and a hash of itself, what it was trained on and how good it is. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from appliance.names import folder_name

FORMAT: Final = 1
FORMATS: Final = frozenset({1})
"""Those that this version reads."""
HOURS: Final = 168
FOLDER: Final = "models"
Key = tuple[str | None, ...]
F64 = npt.NDArray[np.float64]


class ModelUnusable(ValueError):
    """Why a file can't be used as a model, in words."""


@dataclass(frozen=True, slots=True)
class Model:
    """One version of one model."""

    name: str
    version: int
    """From 1, rising by one."""
    method: str
    """``baseline``, ``robust``, ``seasonal`` or ``forest``."""
    stream: str
    by: tuple[str, ...]
    """Columns of the key."""
    column: str
    made_us: int
    trained_on: Mapping[str, Any]
    """``since``, ``until``, ``held_out_since``, ``days``, ``records``, ``sequence`` (the highest seen), ``dirty_days``, ``duration_s``."""
    quality: Mapping[str, Any]
    """``measure`` in words, ``error``, ``naive_error``, ``last_week_error``, ``mean_error``, ``coverage``, ``cells``.
    None: not measured."""
    keys: tuple[Key, ...]
    body: Mapping[str, Any]
    """``hours``: a list of ``HOURS`` values for each key (None: history says nothing), from Monday 00:00 UTC on; and what
    the method adds: ``spread``, one for each key, and ``low`` and ``high``, in spreads from ``hours``, one for each hour of the week
    (None: no bound); ``forest`` (see ``forest.Forest``)."""

    @property
    def hours(self) -> F64:
        """Keys by hours of the week; NaN where history says nothing."""
        found = [[np.nan if v is None else v for v in row] for row in self.body.get("hours", ())]
        return np.asarray(found, np.float64).reshape(len(self.keys), HOURS) if found else np.full((len(self.keys), HOURS), np.nan)

    @property
    def bounds(self) -> tuple[F64, F64] | None:
        """The lowest and highest value that is still usual, keys by hours of the week; None where the method gives none."""
        if "low" not in self.body:
            return None
        spread = numbers(self.body["spread"])[:, None]
        low, high = (self.hours + spread * numbers(self.body[side])[None, :] for side in ("low", "high"))
        return low, high

    @property
    def error(self) -> float | None:
        """On held-out days; None: not measured."""
        return None if self.quality.get("error") is None else float(self.quality["error"])


def numbers(listed: Iterable[float | None]) -> F64:
    """As JSON has them; None is NaN."""
    return np.array([np.nan if v is None else v for v in listed], np.float64)


def model_path(name: str, version: int) -> str:
    """Relative to the data folder."""
    return f"{FOLDER}/{folder_name(name)}/{version}.json"


def encode(model: Model) -> bytes:
    """The file. ``sha256`` in it is of the same JSON without it."""
    fields = {
        "format": FORMAT,
        "name": model.name,
        "version": model.version,
        "method": model.method,
        "stream": model.stream,
        "by": list(model.by),
        "column": model.column,
        "made_us": model.made_us,
        "trained_on": dict(model.trained_on),
        "quality": dict(model.quality),
        "keys": [list(k) for k in model.keys],
        "body": dict(model.body),
    }
    return msgspec.json.format(msgspec.json.encode({**fields, "sha256": _hash(fields)}), indent=0) + b"\n"


def decode(text: bytes) -> Model:
    """A model out of its file. Raises ``ModelUnusable`` for one that is damaged, or of a format that this version doesn't know."""
    try:
        fields = msgspec.json.decode(text)
        if fields["format"] not in FORMATS:
            raise ModelUnusable(
                f"has the format {fields['format']}, this version knows {', '.join(map(str, sorted(FORMATS)))}; train it again"
            )
        said = fields.pop("sha256")
        if said != _hash(fields):
            raise ModelUnusable("is damaged: it is not what its hash says; train it again")
        return Model(
            name=fields["name"],
            version=int(fields["version"]),
            method=fields["method"],
            stream=fields["stream"],
            by=tuple(fields["by"]),
            column=fields["column"],
            made_us=int(fields["made_us"]),
            trained_on=fields["trained_on"],
            quality=fields["quality"],
            keys=tuple(tuple(k) for k in fields["keys"]),
            body=fields["body"],
        )
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, UnicodeError) as e:
        raise ModelUnusable(f"is damaged: {e}; train it again") from e


def _hash(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(fields, order="sorted")).hexdigest()
