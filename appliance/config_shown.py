"""A config as people read it: every option with its value and where that comes from. A pure function of a config."""

from __future__ import annotations

import msgspec

from appliance.config import Config, Options
from appliance.config_reading import dotted
from appliance.option_values import written
from appliance.options import BUDGETS
from appliance.toml_places import Path as KeyPath
from appliance.workload_options import TABLES


def shown_options(config: Config) -> tuple[tuple[str, str, str], ...]:
    """Name, value and origin of every option, for people; a secret's value is hidden."""
    tables: list[tuple[KeyPath, Options]] = [((name,), getattr(config, name)) for name in TABLES]
    tables += [(("budget", name), getattr(config.budget, name)) for name in BUDGETS]
    tables += [(("source", index), source) for index, source in enumerate(config.sources)]
    tables += [(("stream", name), options) for name, options in config.streams.items()]
    tables += [(("workload", name), options) for name, options in config.workloads.items()]
    tables += [(("notify", name), options) for name, options in config.channels.items()]
    rows = []
    for at, options in tables:
        for field in msgspec.structs.fields(options):
            value, name = getattr(options, field.name), dotted((*at, field.encode_name))
            hidden = value and field.encode_name in options.secret
            rows.append((name, "(hidden)" if hidden else written(field.type, value), config.origins.get(name, "default")))
    return tuple(rows)
