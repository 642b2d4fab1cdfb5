"""What every option means, out of the docstrings of the option classes: the example config, the JSON Schema, the README's table.

Pure functions; they read the source of the option classes (for the strings under their attributes) and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args, get_origin

import msgspec

from appliance import batch_options, hybrid_options, need_options, options, panel_options, workload_options
from appliance.need_options import NeedsOptions
from appliance.option_values import expected, is_fraction, is_table, meta_of, options_of, unit_of, written
from appliance.options import BUDGETS, SOURCE_KINDS, Options, StreamOptions
from appliance.workload_options import TABLES, WORKLOAD_KINDS, NotifyOptions

NODE_DEFAULT = "the host name"
_ANY_WORKLOAD = "[workload.NAME] of every kind"


class OptionRow(NamedTuple):
    """One option as people read about it."""

    table: str
    """As in the config file: ``[http]``, ``[[source]] kind = "host"``, ``[stream.NAME]``."""
    name: str
    default: str
    """As TOML; empty where it must be given."""
    meaning: str


def option_rows() -> tuple[OptionRow, ...]:
    """Every option that this version knows, in the order of the flow."""
    return tuple(row for title, kind in _tables() for row in _rows(title, kind))


def options_markdown() -> str:
    """The table of all options for the README."""
    lines = ["| table | option | default | meaning |", "|---|---|---|---|"]
    for row in option_rows():
        default = f"`{row.default}`" if row.default else "(must be given)"
        lines.append(f"| `{row.table}` | `{row.name}` | {default} | {row.meaning.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def example_config() -> str:
    """A config file in which every option stands with its meaning, commented out, at its default: it loads as it is."""
    blocks = [
        "# The appliance's config. Every option stands here at its default, commented out: take away a '#' to change one.\n"
        "# Durations: 20ms, 1s, 5min, 2h, 400d. Sizes: 64MiB, 20GiB. A key that is not known is refused by name."
    ]
    for title, kind in _tables():
        if issubclass(kind, NeedsOptions):
            continue
        optional = kind in (*TABLES.values(), *BUDGETS.values())
        header, *kind_line = title.split(" ", 1)
        head = [f"# {_class_meaning(kind)}", *((header,) if optional else (f"# {header}", *(f"# {line}" for line in kind_line)))]
        for row in _rows(title, kind):
            sample = _EXAMPLES.get((header, row.name), row.default)
            head += [f"#   {row.meaning}", f"# {row.name} = {sample}"]
        blocks.append("\n".join(head))
        if title == "[query]":
            blocks.append(
                "# Sources. Without any, the first three below are there as they stand; with one or more, only those are.\n"
                "# With source = [] at the top of this file records come over HTTP only."
            )
    blocks.append(_WORKLOAD_EXAMPLE)
    return "\n\n".join(blocks) + "\n"


_WORKLOAD_EXAMPLE = """# What the box does with its data, by name; the README tells all options of each kind.
# A rule: one alert for each device, told to the channel above.
# [workload.overheating]
# kind = "alert"
# stream = "readings"
# by = ["device"]
# over = "30s"
# when = "avg(temperature) > 80"
# clear = "avg(temperature) < 75"
# for = "10s"
# severity = "critical"
# notify = ["NAME"]
# Stretches of activity, each one record of the stream "runs".
# [workload.runs]
# kind = "session"
# stream = "readings"
# by = ["device"]
# gap = "5min"
# fields = { records = "count(*)", peak = "max(temperature)" }
# A table that batch keeps ready, right about every late record.
# [workload.hourly]
# kind = "view"
# bucket = "1h"
# sql = "SELECT time_bucket(INTERVAL '1 hour', ts) AS bucket, device, avg(temperature) AS mean FROM readings GROUP BY ALL"
# Every morning at six a report about the day before.
# [workload.morning]
# kind = "report"
# schedule = "0 6 * * *"
# sql = "SELECT device, max(mean) FROM hourly WHERE bucket >= {day} GROUP BY ALL"
# notify = ["NAME"]"""

_EXAMPLES: Mapping[tuple[str, str], str] = {
    ("[node]", "name"): '"press-line-3"',
    ("[[source]]", "url"): '"mqtt://localhost:1883"',
    ("[[source]]", "topics"): '["plant/+/telemetry"]',
    ("[[source]]", "client_id"): '"appliance-press-line-3"',
    ("[[source]]", "username"): '"edge"',
    ("[[source]]", "password_file"): '"mqtt-password"',
    ("[[source]]", "stream"): '"telemetry"',
    ("[stream.NAME]", "tags"): '["device"]',
    ("[stream.NAME]", "identity"): '["device", "ts"]',
    ("[stream.NAME]", "keep"): '"90d"',
    ("[stream.NAME]", "search"): '["message"]',
    ("[node]", "endurance"): '"60TB"',
    ("[alerts]", "budgets_notify"): "[]",
    ("[retention]", "keep"): '"400d"',
    ("[retention]", "disk_max"): '"20GiB"',
    ("[notify.NAME]", "url"): '"json://localhost:9000/hook"',
    **{(f"[budget.{path}]", "cpu"): "1.5" for path in BUDGETS},
    **{(f"[budget.{path}]", "memory"): '"512MiB"' for path in BUDGETS},
    **{(f"[budget.{path}]", "io"): '"20MiB"' for path in BUDGETS},
    **{(f"[budget.{path}]", "threads"): "2" for path in BUDGETS},
}
"""Shown in the example where the default is nothing."""


def config_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the config file, for editors. It knows each key and type; ``check-config`` knows the sense too."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "appliance.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **{name: _table_schema(kind) for name, kind in TABLES.items()},
            "budget": {
                "type": "object",
                "additionalProperties": False,
                "properties": {name: _table_schema(kind) for name, kind in BUDGETS.items()},
            },
            "source": {"type": "array", "items": {"oneOf": [_kind_schema(name, kind) for name, kind in SOURCE_KINDS.items()]}},
            "stream": {"type": "object", "additionalProperties": _table_schema(StreamOptions)},
            "workload": {
                "type": "object",
                "additionalProperties": {"oneOf": [_kind_schema(name, kind) for name, kind in WORKLOAD_KINDS.items()]},
            },
            "notify": {"type": "object", "additionalProperties": _table_schema(NotifyOptions)},
        },
    }


def _kind_schema(name: str, kind: type[Options]) -> dict[str, Any]:
    """Of a table whose key ``kind`` says which it is."""
    schema = _table_schema(kind)
    schema["properties"] = {"kind": {"const": name}, **schema["properties"]}
    schema["required"] = ["kind", *schema["required"]]
    return schema


def _tables() -> list[tuple[str, type[Options]]]:
    return [
        *((f"[{name}]", kind) for name, kind in TABLES.items()),
        *((f"[budget.{name}]", kind) for name, kind in BUDGETS.items()),
        *((f'[[source]] kind = "{name}"', kind) for name, kind in SOURCE_KINDS.items()),
        ("[stream.NAME]", StreamOptions),
        ("[notify.NAME]", NotifyOptions),
        (_ANY_WORKLOAD, NeedsOptions),
        *((f'[workload.NAME] kind = "{name}"', kind) for name, kind in WORKLOAD_KINDS.items()),
    ]


def _rows(title: str, kind: type[Options]) -> list[OptionRow]:
    """The options of a class; those that every workload has stand under their own title alone."""
    meanings = _meanings_of(kind)
    shared = (
        set() if title == _ANY_WORKLOAD or not issubclass(kind, NeedsOptions) else {f.name for f in msgspec.structs.fields(NeedsOptions)}
    )
    fields = (field for field in msgspec.structs.fields(kind) if field.name not in shared)
    return [OptionRow(title, field.encode_name, _default(field), meanings[field.name]) for field in fields]


def _meanings_of(kind: type[Options]) -> Mapping[str, str]:
    return {name: meaning for base in reversed(kind.__mro__) for name, meaning in _meanings().get(base.__name__, {}).items()}


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return ""
    return NODE_DEFAULT if field.default is msgspec.NODEFAULT else written(field.type, field.default)


def _class_meaning(kind: type[Options]) -> str:
    return (kind.__doc__ or "").strip()


@lru_cache(maxsize=1)
def _meanings() -> Mapping[str, Mapping[str, str]]:
    """Class -> attribute -> the string under it, which Python itself does not keep."""
    import ast  # both here, because only documentation needs them
    import inspect

    found: dict[str, dict[str, str]] = {}
    for node in (
        n
        for module in (options, need_options, batch_options, panel_options, hybrid_options, workload_options)
        for n in ast.parse(inspect.getsource(module)).body
    ):
        if isinstance(node, ast.ClassDef):
            pairs = zip(node.body, node.body[1:], strict=False)
            found[node.name] = {
                above.target.id: " ".join(str(below.value.value).split())
                for above, below in pairs
                if isinstance(above, ast.AnnAssign)
                and isinstance(above.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
            }
    return found


def _table_schema(kind: type[Options]) -> dict[str, Any]:
    fields = msgspec.structs.fields(kind)
    meanings = _meanings_of(kind)
    properties = {}
    for field in fields:
        choices = [_option_schema(option) for option in options_of(field.type)]
        schema = choices[0] if len(choices) == 1 else {"anyOf": choices}
        properties[field.encode_name] = {**schema, "description": f"{meanings[field.name]} ({expected(field.type)})"}
        if not field.required and field.default not in (msgspec.NODEFAULT, None):
            properties[field.encode_name]["default"] = list(field.default) if isinstance(field.default, tuple) else field.default
    required = [field.encode_name for field in fields if field.required]
    return {
        "type": "object",
        "description": _class_meaning(kind),
        "additionalProperties": False,
        "properties": properties,
        "required": required,
    }


def _option_schema(kind: Any) -> dict[str, Any]:
    if get_origin(kind) is Literal:
        return {"enum": list(get_args(kind))}
    if get_origin(kind) is tuple:
        return {"type": "array", "items": {"type": "string"}}
    if is_table(kind):
        return {"type": "object", "additionalProperties": {"type": "string"}}
    if kind in {bool, str}:
        return {"type": "boolean" if kind is bool else "string"}
    meta = meta_of(kind)
    bounds = {
        name: bound
        for name, bound in (("exclusiveMinimum", meta and meta.gt), ("minimum", meta and meta.ge), ("maximum", meta and meta.le))
        if bound is not None
    }
    unit = unit_of(kind)
    number = {"type": "number" if unit == "duration" or is_fraction(kind) else "integer", **bounds}
    text = {"type": "string", "pattern": r"^\s*[0-9][0-9_]*(\.[0-9]+)?\s*[A-Za-z]+\s*$"}
    return number if unit is None else {"anyOf": [text, number]}
