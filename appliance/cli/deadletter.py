"""``deadletter list`` and ``deadletter replay``: what was refused, and taking it after the cause is mended."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import click

from appliance.cli.common import config_option, data_dir_option, print_table, visible
from appliance.cli.local import post_json
from appliance.clock import SystemClock, iso
from appliance.config import Config
from appliance.errors import NotRunning

RAW_CHARS_MAX = 60


@click.group()
def deadletter() -> None:
    """List and replay what was refused.

    \b
    Example:
      appliance deadletter list
      appliance deadletter replay --stream room
    """


@deadletter.command("list")
@click.option("--stream", help="Only letters of this stream.")
@click.option("--all", "with_replayed", is_flag=True, help="Those that were replayed too.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000_000), help="The newest N.")
@click.option("--json", "as_json", is_flag=True, help="One array of objects; the original bytes in base64.")
@data_dir_option
def list_letters(*, data_dir: Path, stream: str | None, with_replayed: bool, limit: int, as_json: bool) -> None:
    """Show refused records with the reason, oldest first."""
    from appliance.door.deadletters import letters
    from appliance.hot.reader import HotReader

    reader = HotReader(data_dir)
    try:
        found = list(letters(reader, stream=stream, replayed=with_replayed, limit=limit))
    finally:
        reader.close()
    if as_json:
        objects = [
            {
                "id": x.id,
                "at": iso(x.at_us),
                "source": x.source,
                "stream": x.stream,
                "format": x.format,
                "reason": x.reason,
                "line": x.line,
                "raw": base64.b64encode(x.raw).decode(),
                "replayed": x.replayed_us is not None,
            }
            for x in found
        ]
        click.echo(json.dumps(objects, ensure_ascii=False))
        return
    rows = [
        [str(x.id), iso(x.at_us), x.source, x.stream or "", x.reason, visible(x.raw[:RAW_CHARS_MAX].decode("utf-8", "replace"))]
        for x in found
    ]
    print_table(["id", "at", "source", "stream", "reason", "record"], rows, right=frozenset({0}))


@deadletter.command("replay")
@click.argument("ids", nargs=-1, type=int)
@click.option("--stream", help="Letters of this stream.")
@click.option("--all", "everything", is_flag=True, help="All letters.")
@config_option
def replay_letters(ids: tuple[int, ...], *, config: Config, stream: str | None, everything: bool) -> int:
    """Send refused records through the door again; those that are taken are marked as replayed."""
    if not ids and stream is None and not everything:
        raise click.UsageError("name letters by id, or say --stream NAME or --all")
    try:
        found = post_json(config.data_dir, "/api/deadletters/replay", {"ids": list(ids), "stream": stream})
    except NotRunning:
        from appliance.box import open_box
        from appliance.serving.letters import replay_letters as replay

        with open_box(config) as box:
            found = replay(box, ids=ids, stream=stream, clock=SystemClock())
    for letter_id, reason in found["refused"]:
        click.echo(visible(f"{letter_id}: refused again: {reason}"))
    click.echo(f"{found['taken']} taken, {len(found['refused'])} refused again", err=True)
    return 1 if found["refused"] else 0
