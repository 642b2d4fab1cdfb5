"""``audit``: the evidence of a time range as a folder, and the check of such a folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from appliance.cli.common import LazyGroup, config_option, data_dir_option, visible
from appliance.cli.status import size
from appliance.clock import SystemClock
from appliance.errors import UsageRefused
from appliance.observe.author import author

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.config import Config

SUBCOMMANDS: Final[dict[str, tuple[str, str]]] = {
    "bundle": ("appliance.cli.audit:write_audit", "Write an evidence bundle (what audit does by itself)."),
    "verify": ("appliance.cli.audit:verify_audit", "Check a bundle against the data."),
}
KEY_BYTES_MIN: Final = 16


class AuditGroup(LazyGroup):
    """Without a subcommand it writes a bundle."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = ["bundle", *args]
        return super().parse_args(ctx, args)


@click.group(cls=AuditGroup, lazy=SUBCOMMANDS)
def audit() -> None:
    """Write an evidence bundle of a time range, or check one. Without a subcommand: bundle.

    \b
    Example:
      appliance audit --since 2d -o bundle
      appliance audit verify bundle
    """


@click.command("bundle")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="The folder to write; new or empty.")
@click.option("--since", help='From this event time on: "2d" ago, or a time. Default: all.')
@click.option("--until", help="To before this time. Default: now.")
@click.option("--silence", default="1h", show_default=True, help="A longer stretch without a record is a gap.")
@click.option(
    "--key", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="A file with a secret to sign with (HMAC-SHA256)."
)
@config_option
def write_audit(*, config: Config, output: Path, since: str | None, until: str | None, silence: str, key: Path | None) -> int:
    """Write an evidence bundle; exit status 3 when something in it is not as it should be.

    \b
    Example:
      appliance audit --since 2d -o bundle
    """
    from appliance.cli.moments import as_moment
    from appliance.reconcile.audit.writing import Asked, write_bundle
    from appliance.serving.folder import open_folder
    from appliance.units import parse_duration

    clock = SystemClock()
    now_us = clock.now_us()
    try:
        silence_s = parse_duration(silence)
    except ValueError as e:
        raise UsageRefused(f"--silence: {e}") from None
    until_us = as_moment(until, "--until", config, clock)
    asked = Asked(
        since_us=as_moment(since, "--since", config, clock),
        until_us=now_us if until_us is None else until_us,
        silence_s=silence_s,
        author=author(),
        node=config.node.name,
        now_us=now_us,
    )
    with open_folder(config.data_dir) as (reader, state):
        made = write_bundle(config.data_dir, output, reader, state, asked, key=_secret(key), progress=_progress())
    for said in made.wrong:
        click.echo(visible(said))
    click.echo(f"seal {made.seal}\nhead {made.head}")
    counts = f"{made.segments} segments ({size(made.bytes)}), {made.entries} entries of the chain, {made.gaps} gaps"
    click.echo(f"{output}: {counts}; {_verdict(len(made.wrong))}", err=True)
    return 3 if made.wrong else 0


@click.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--seal", help="The seal that was noted when the bundle was made.")
@click.option(
    "--key", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="The file with the secret that it was signed with."
)
@click.option("--alone", is_flag=True, help="Check the bundle by itself, without the data.")
@data_dir_option
def verify_audit(*, data_dir: Path, bundle: Path, seal: str | None, key: Path | None, alone: bool) -> int:
    """Check a bundle against itself and the data; exit status 3 when something differs.

    \b
    Example:
      appliance audit verify bundle --data-dir /mnt/copy
    """
    from appliance.reconcile.audit.checking import Vouched, check_data, check_itself, read_bundle
    from appliance.serving.folder import open_folder

    found = read_bundle(bundle)
    wrong = list(check_itself(bundle, found, Vouched(seal, _secret(key))))
    if not alone:
        with open_folder(data_dir) as (reader, state):
            wrong += check_data(data_dir, found, reader, state, progress=_progress())
    for said in wrong:
        click.echo(visible(said))
    counts = f"{len(found.segments)} segments, {len(found.chain)} entries of the chain"
    click.echo(f"{bundle}: {counts} checked{' without the data' if alone else ''}; {_verdict(len(wrong))}", err=True)
    return 3 if wrong else 0


def _secret(file: Path | None) -> bytes | None:
    if file is None:
        return None
    secret = file.read_bytes().strip()
    if len(secret) < KEY_BYTES_MIN:
        raise UsageRefused(
            f"{file} holds {len(secret)} bytes, too few for a secret; it needs {KEY_BYTES_MIN}: openssl rand -hex 32 > {file}"
        )
    return secret


def _progress() -> Callable[[int, int], None]:
    if not sys.stderr.isatty():
        return lambda _done, _total: None
    return lambda done, total: click.echo(f"\r{done * 100 // max(1, total)} % of {size(total)}\033[K\r", err=True, nl=False)


def _verdict(wrong: int) -> str:
    if wrong == 0:
        return "all as it should be"
    return "one thing is not as it should be" if wrong == 1 else f"{wrong} things are not as they should be"
