"""What every command shares: groups that load late, the folder and the config, and how a table of rows is printed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click

from appliance.config import default_data_dir, find_config, load_config

F = TypeVar("F", bound=Callable[..., Any])


class LazyGroup(click.Group):
    """Knows its commands by name and loads only the one that is called.

    ``lazy``: name -> module (or ``module:attribute``, where the function is not called like the command) and the one line of help.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self._lazy = lazy

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self._lazy)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self._lazy.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry[0].partition(":")
        command = getattr(import_module(module), attribute or cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._lazy.items()])


def data_dir_option(command: F) -> F:
    """Adds ``--data-dir``; the command gets ``data_dir: Path``."""

    @click.option(
        "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="The data folder. Default: $STATE_DIRECTORY, else ./data."
    )
    @functools.wraps(command)
    def wrapped(*args: Any, data_dir: Path | None, **options: Any) -> Any:
        return command(*args, data_dir=data_dir or default_data_dir(), **options)

    return wrapped  # type: ignore[return-value]  # the same command with one option resolved


def config_option(command: F) -> F:
    """Adds ``--data-dir`` and ``--config``; the command gets ``config: Config``, loaded."""

    @click.option(
        "--config", "config_file", type=click.Path(path_type=Path, dir_okay=False), help="The config. Default: DIR/appliance.toml."
    )
    @data_dir_option
    @functools.wraps(command)
    def wrapped(*args: Any, data_dir: Path, config_file: Path | None, **options: Any) -> Any:
        file = config_file or find_config(data_dir)
        return command(*args, config=load_config(data_dir=data_dir, file=file), **options)

    return wrapped  # type: ignore[return-value]  # the same command with two options resolved


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> None:
    """Columns as wide as their longest cell; ``right`` are those set to the right. Control characters are shown, not obeyed."""
    shown = [[visible(cell) for cell in row] for row in rows]
    widths = [max(len(h), *(len(r[i]) for r in shown)) if shown else len(h) for i, h in enumerate(headers)]
    for row in [list(headers), *shown]:
        cells = [cell.rjust(width) if i in right else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths, strict=True))]
        click.echo("  ".join(cells).rstrip())


def visible(text: str) -> str:
    """Foreign text that can't move a terminal: control, bidi and zero-width characters become escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text)
