"""What every command shares: the folder and the config, and how a table of rows is printed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from appliance.config import default_data_dir, find_config, load_config

F = TypeVar("F", bound=Callable[..., Any])


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
