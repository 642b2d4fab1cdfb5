"""The reports that can be made: those of the config, and the daily one that comes without any. What is wrong with one is said early."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.batch_options import ReportOptions
from appliance.cold.batch.reports import daily
from appliance.cold.batch.reports.document import TEXT_CHARS_MAX, Block, Box, Chart, Query, Text, parse, single
from appliance.cold.batch.reports.parameters import BUILT_IN, Value, check_names, fill_sql
from appliance.config import Config
from appliance.errors import ConfigRefused, UsageRefused
from appliance.hot.state import State

_BUILT_IN: Final = ReportOptions(text="", title=daily.TITLE, schedule=daily.SCHEDULE, formats=("html", "md"))


@dataclass(frozen=True, slots=True)
class Definition:
    """One report that can be made."""

    name: str
    options: ReportOptions
    data_dir: Path
    is_built_in: bool = False

    @property
    def title(self) -> str:
        return self.options.title or self.name

    def blocks(self, state: State) -> tuple[Block, ...]:
        """What it asks, as of now. Reads the file that it stands in. Raises ``UsageRefused``."""
        if self.is_built_in:
            names = [daily.StreamName(s.name, frozenset(c.name for c in s.schema.columns), s.last_seq) for s in state.streams.values()]
            return parse(daily.text(names))
        if self.options.sql is not None:
            return single(self.options.sql)
        return parse(self.options.text if self.options.text is not None else self._of_file())

    def _of_file(self) -> str:
        assert self.options.file is not None
        path = self.data_dir / self.options.file
        try:
            with path.open("rb") as file:
                found = file.read(4 * TEXT_CHARS_MAX + 1)
            return found.decode("utf-8")
        except OSError as e:
            raise UsageRefused(f"the report's file {path} can't be read: {e.strerror}") from e
        except UnicodeDecodeError as e:
            raise UsageRefused(f"the report's file {path} is not UTF-8 at byte {e.start}") from e


def definitions_of(config: Config) -> dict[str, Definition]:
    """By name, in the order of the config; the built-in one last, unless the config has one of its name or wants none."""
    found = {n: Definition(n, w, config.data_dir) for n, w in config.workloads.items() if isinstance(w, ReportOptions)}
    if config.batch.daily_report and daily.NAME not in {n.lower() for n in config.workloads}:
        found[daily.NAME] = Definition(daily.NAME, _BUILT_IN, config.data_dir, is_built_in=True)
    return found


def check_reports(config: Config) -> None:
    """Whether the texts and parameters of all reports can be used. Raises ``ConfigRefused`` for the first that can't.

    What a query means is not looked at: its streams may be still to come. A text in a file that is not there yet is no fault either.
    """
    for name, definition in definitions_of(config).items():
        if definition.is_built_in:
            continue
        option = next(o for o in ("text", "sql", "file") if getattr(definition.options, o) is not None)
        try:
            option = "parameters" if definition.options.parameters else option
            check_names(definition.options.parameters)
            option = next(o for o in ("text", "sql", "file") if getattr(definition.options, o) is not None)
            if option == "file" and not (config.data_dir / str(definition.options.file)).exists():
                continue
            check_blocks(definition.blocks(State({})), definition.options.parameters)
        except UsageRefused as e:
            key = f"workload.{name}.{option}"
            raise ConfigRefused(f"{key}: {e}", file=config.origins.get(key), key=key) from e


def check_blocks(blocks: tuple[Block, ...], parameters: Mapping[str, str]) -> None:
    """Whether every parameter that the queries name is there and stands where a value can. Raises ``UsageRefused``."""
    values = {name: Value("", "NULL") for name in (*BUILT_IN, *parameters)}
    for block in blocks:
        match block:
            case Query() | Chart():
                fill_sql(block.sql, values)
            case Text() | Box():
                pass
