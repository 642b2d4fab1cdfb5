"""One config file on its way into option classes: reads it, keeps the origin of each value, words what it refuses."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from appliance.errors import ConfigRefused
from appliance.option_values import expected, from_text, quoted, read_value, shown
from appliance.options import BUDGETS, SOURCE_KINDS, OptionRefused, Options
from appliance.toml_places import Path as KeyPath
from appliance.toml_places import key_lines
from appliance.workload_options import TABLES, WORKLOAD_KINDS

OptionsT = TypeVar("OptionsT", bound=Options)
FILE_BYTES_MAX: Final = 1024 * 1024
"""A config file is smaller than this; what is larger is some other file."""
VARIABLE_PREFIX: Final = "APPLIANCE__"
"""``APPLIANCE__HTTP__LISTEN`` sets ``http.listen``; it goes before the file. Lists are separated by commas."""
fields_of = functools.cache(msgspec.structs.fields)
"""The options of a class: it evaluates every annotation anew, which would be half of the time that a config takes."""


class Reading:
    """One file on its way into options: gathers the origins, and words what it refuses."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.origins: dict[str, str] = {}
        text = "" if file is None else _text(file)
        try:
            self.document: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigRefused(f"no TOML: {error}", file=str(file)) from None
        self.lines = key_lines(text)

    def options(self, kind: type[OptionsT], table: Any, *, at: KeyPath, variables: Mapping[str, str] | None = None) -> OptionsT:
        """A table of the file as its class, with the variables of the environment over it."""
        if not isinstance(table, dict):
            raise self.refused(at, f"must be a table, found {shown(table)}")
        known = {field.encode_name: field for field in fields_of(kind)}
        chosen = dict.fromkeys(known, "default")
        raw = {
            key: value for key, value in table.items() if key != "kind" or kind not in (*SOURCE_KINDS.values(), *WORKLOAD_KINDS.values())
        }
        for key in raw:
            if key not in known:
                raise self.unknown((*at, key), known=tuple(known))
            chosen[key] = self.place((*at, key)) or "default"
        for key, text in (variables or {}).items():
            raw[key] = from_text(known[key].type, text)
            chosen[key] = "environment"
        self.origins.update({dotted((*at, key)): origin for key, origin in chosen.items()})
        return self._made(kind, raw, at=at)

    def _made(self, kind: type[OptionsT], raw: Mapping[str, Any], *, at: KeyPath) -> OptionsT:
        values: dict[str, Any] = {}
        for field in fields_of(kind):
            here = (*at, field.encode_name)
            if field.encode_name not in raw:
                if field.required:
                    raise self.refused(here, f"is missing: it must be {expected(field.type)}")
                continue
            try:
                values[field.name] = read_value(field.type, raw[field.encode_name], secret=field.encode_name in kind.secret)
            except ValueError as error:
                raise self.refused(here, str(error)) from None
        try:
            return kind(**values)
        except OptionRefused as error:
            raise self.refused((*at, error.option), error.reason) from None

    def place(self, at: KeyPath) -> str | None:
        """``FILE:LINE`` of a key, or of the table that it is missing from; None without a file."""
        while at and at not in self.lines:
            at = at[:-1]
        return None if self.file is None else f"{self.file}:{self.lines[at]}" if at else f"{self.file}"

    def refused(self, at: KeyPath, reason: str) -> ConfigRefused:
        """The error for a key; ``reason`` goes on after its name."""
        from_environment = self.origins.get(dotted(at)) == "environment"
        where = f"environment variable {variable_of(at)}" if from_environment else self.place(at)
        return ConfigRefused(f"{dotted(at)} {reason}", file=where, key=dotted(at))

    def unknown(self, at: KeyPath, *, known: tuple[str, ...]) -> ConfigRefused:
        """The error for a key that this version doesn't know."""
        hint = nearest_of(str(at[-1]), known)
        return ConfigRefused(f"{dotted(at)} is unknown to this version", file=self.place(at), key=dotted(at), nearest=hint)


def _text(file: Path) -> str:
    try:
        data = file.read_bytes() if file.stat().st_size <= FILE_BYTES_MAX else None
        if data is None:
            raise ConfigRefused(f"no config: larger than {FILE_BYTES_MAX} bytes", file=str(file))
        return data.decode("utf-8").removeprefix("\ufeff")
    except OSError as error:
        raise ConfigRefused(f"can't be read: {error.strerror}", file=str(file)) from None
    except UnicodeDecodeError as error:
        raise ConfigRefused(f"no text in UTF-8 (byte {error.start})", file=str(file)) from None


def variables_of(environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Table (``hot``, ``budget.hot``) -> key -> text of the variables that set an option."""
    tables: list[tuple[KeyPath, type[Options]]] = [
        *(((n,), k) for n, k in TABLES.items()),
        *((("budget", n), k) for n, k in BUDGETS.items()),
    ]
    known = {
        variable_of((*at, field.encode_name)): (".".join(str(part) for part in at), field.encode_name)
        for at, kind in tables
        for field in fields_of(kind)
    }
    chosen: dict[str, dict[str, str]] = {}
    for variable, text in environment.items():
        if variable.startswith(VARIABLE_PREFIX):
            if variable not in known:
                nearest = nearest_of(variable, tuple(known))
                raise ConfigRefused(f"{variable} is unknown to this version", file="environment", key=variable, nearest=nearest)
            table, key = known[variable]
            chosen.setdefault(table, {})[key] = text
    return chosen


def nearest_of(name: str, known: tuple[str, ...]) -> str | None:
    """The known name that was probably meant; None when none is close."""
    from difflib import get_close_matches  # here, because only a mistake needs it

    return next(iter(get_close_matches(name, known, n=1, cutoff=0.6)), None)


def dotted(at: KeyPath) -> str:
    """A key as people write it: ``hot.ring_max``, ``source[0].every``, ``stream."a.b".tags``."""
    text = ""
    for part in at:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = part.isascii() and part.replace("_", "").replace("-", "").isalnum()
            text += ("." if text else "") + (part if bare else quoted(part))
    return text


def variable_of(at: KeyPath) -> str:
    """The environment's name of an option: ``APPLIANCE__HTTP__LISTEN``."""
    return VARIABLE_PREFIX + "__".join(str(part).upper() for part in at)
