"""``models``: the versions of trained models, and the way back to another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from appliance.cli.common import LazyGroup, config_option, data_dir_option, print_table, visible
from appliance.cli.local import post_json
from appliance.clock import US_PER_S, SystemClock, iso
from appliance.errors import NotRunning, UsageRefused
from appliance.observe.author import author

if TYPE_CHECKING:
    from appliance.config import Config
    from appliance.hot.models import ModelRow

SUBCOMMANDS: Final[dict[str, tuple[str, str]]] = {
    "list": ("appliance.cli.models:list_models", "Show every version: in use, accepted, refused, damaged."),
    "show": ("appliance.cli.models:show_model", "Show what a model was trained on and how good it is."),
    "rollback": ("appliance.cli.models:rollback", "Go back to the accepted version before the one in use."),
    "activate": ("appliance.cli.models:activate", "Put a version into use."),
}


class ModelsGroup(LazyGroup):
    """Without a subcommand it lists."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=ModelsGroup, lazy=SUBCOMMANDS)
def models() -> None:
    """Show trained models; go back to another version. Without a subcommand: list.

    \b
    Example:
      appliance models
      appliance models rollback usual-power
    """


@click.command("list")
@data_dir_option
def list_models(*, data_dir: Path) -> None:
    """Show every version of every model, the newest first.

    \b
    Example:
      appliance models list
    """
    rows = [
        [
            *(r.name, str(r.version), "in use" if r.active else r.state, _figure(r.error), _figure(r.naive_error)),
            *(_share(r.coverage), iso(r.made_us // US_PER_S * US_PER_S), r.reason),
        ]
        for r in _rows(data_dir)
    ]
    print_table(["model", "version", "state", "error", "naive", "covers", "made", "why"], rows, right=frozenset({1, 3, 4, 5}))


@click.command("show")
@click.argument("name")
@click.option("--version", type=click.IntRange(1), help="Default: the one in use, else the newest.")
@data_dir_option
def show_model(*, data_dir: Path, name: str, version: int | None) -> None:
    """Show what a model was trained on and how good it is, as JSON; the file itself has all of it.

    \b
    Example:
      appliance models show usual-power
    """
    from appliance.alerting.models import read_model
    from appliance.cold.batch.training.model import ModelUnusable

    rows = [r for r in _rows(data_dir) if r.name == name and version in (None, r.version)]
    if not rows:
        raise UsageRefused(f"there is no such version of a model {name!r}; see: appliance models")
    row = next((r for r in rows if r.active), rows[0])
    try:
        model = read_model(data_dir, row)
    except ModelUnusable as e:
        raise UsageRefused(f"{row.path} {e}") from e
    shown: dict[str, Any] = {
        "name": model.name,
        "version": model.version,
        "state": "in use" if row.active else row.state,
        "why": row.reason,
        "method": model.method,
        "stream": model.stream,
        "by": model.by,
        "column": model.column,
        "made": iso(model.made_us),
        "keys": len(model.keys),
        "trained_on": dict(model.trained_on),
        "quality": dict(model.quality),
        "file": row.path,
        "sha256": row.sha256,
    }
    click.echo(json.dumps(shown, indent=2, ensure_ascii=False))


@click.command("rollback")
@click.argument("name")
@config_option
def rollback(*, config: Config, name: str) -> None:
    """Go back to the accepted version before the one in use; rules use it at once, and after every restart.

    \b
    Example:
      appliance models rollback usual-power
    """
    click.echo(visible(_activate(config, name, None)))


@click.command("activate")
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
@config_option
def activate(*, config: Config, name: str, version: int) -> None:
    """Put a version into use, also one that was refused.

    \b
    Example:
      appliance models activate usual-power 7
    """
    click.echo(visible(_activate(config, name, version)))


def _rows(data_dir: Path) -> list[ModelRow]:
    from appliance.hot.models import models as registered
    from appliance.serving.folder import open_folder

    with open_folder(data_dir) as (reader, _):
        return registered(reader)


def _activate(config: Config, name: str, version: int | None) -> str:
    """By the service, else on the folder itself."""
    asked = {"name": name, "author": author(), **({} if version is None else {"version": version})}
    try:
        return str(post_json(config.data_dir, "/api/models/activate", asked, refused=UsageRefused)["said"])
    except NotRunning:
        from appliance.batching.models import ModelStore
        from appliance.box import no_step, open_box
        from appliance.hot.stream.baselines import Baselines

        with open_box(config) as box:
            return ModelStore(box, Baselines(), clock=SystemClock(), step=no_step).activate(name, version, author())


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"
