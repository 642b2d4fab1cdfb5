"""``delete``: records that are to be gone, of a time, of a series, or both. Written down, hidden at once, physically gone later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from appliance.cli.common import config_option, visible
from appliance.cli.moments import as_moment
from appliance.clock import Clock, SystemClock, iso
from appliance.config import Config
from appliance.errors import NotRunning, UsageRefused
from appliance.observe.author import author as who


@click.command()
@click.argument("stream")
@click.option("--since", metavar="TIME", help='From then on: "2026-11-01", "2026-11-01 10:00" (in the node\'s zone), "…Z", "2d" (ago).')
@click.option("--until", metavar="TIME", help="Up to then, not included.")
@click.option("--where", multiple=True, metavar="TAG=VALUE", help="Only records with this tag (TAG= without it); all must hold.")
@click.option("--all", "everything", is_flag=True, help="Every record of the stream, where nothing else narrows it.")
@click.option("--reason", required=True, help="Why; kept with it.")
@click.option("--author", default=who, show_default="user@host", help="Who does it.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@config_option
def delete(
    stream: str,
    *,
    config: Config,
    since: str | None,
    until: str | None,
    where: tuple[str, ...],
    everything: bool,
    reason: str,
    author: str,
    yes: bool,
) -> int:
    """Delete records of STREAM: hidden in every answer when this returns, out of the files after the next compaction.

    What comes later stays, also when it is the same record again. It can't be taken back.

    \b
    Example:
      appliance delete readings --where device=d1 --since 2026-11-01 --until 2026-11-02 --reason "sensor was in the drawer"
    """
    clock = SystemClock()
    since_us, until_us, tags = as_moment(since, "--since", config, clock), as_moment(until, "--until", config, clock), _tags(where)
    if since_us is None and until_us is None and not tags and not everything:
        raise UsageRefused("neither --since, --until nor --where narrows it; say --all to delete every record of the stream")
    if since_us is not None and until_us is not None and since_us >= until_us:
        raise UsageRefused("--until must be after --since")
    records = _count(stream, tags, since_us, until_us, config, clock)
    said = _words(stream, tags, since_us, until_us)
    if not yes and not click.confirm(f"{records} {visible(said)} will be deleted. Go on?", err=True):
        return 1
    body = {"stream": stream, "since_us": since_us, "until_us": until_us, "where": tags, "reason": reason, "author": author}
    done = _delete({**body, "records": records, "all": everything}, config)
    click.echo(f"deleted {records} {visible(said)} (deletion {done['id']}); their files are rewritten in the background", err=True)
    return 0


def _tags(where: tuple[str, ...]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for text in where:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UsageRefused(f"--where {visible(text)!r}: write TAG=VALUE")
        found[name] = value or None
    return found


def _count(stream: str, tags: Mapping[str, str | None], since_us: int | None, until_us: int | None, config: Config, clock: Clock) -> int:
    """How many records are there now that would no longer be."""
    from appliance.cli.query import ProgressLine, ask_folder, ask_service
    from appliance.serving.question import Question

    conditions = [f"{_name(name)} IS NULL" if value is None else f"{_name(name)} = {_text(value)}" for name, value in tags.items()]
    sql = f"SELECT count(*) AS records FROM {_name(stream)}" + (f" WHERE {' AND '.join(conditions)}" if conditions else "")
    question = Question(sql=sql, id="delete-count", since_us=since_us, until_us=until_us)
    got = bytearray()
    progress = ProgressLine(clock)
    try:
        ask_service(question, config.data_dir, got.extend, progress, as_json=True)
    except NotRunning:
        ask_folder(question, config, got.extend, progress, clock, as_json=True)
    finally:
        progress.clear()
    return int(json.loads(bytes(got))[0]["records"])


def _delete(body: dict[str, Any], config: Config) -> dict[str, Any]:
    """By the service, else in the folder, opened here."""
    from appliance.cli.local import post_json

    try:
        done: dict[str, Any] = post_json(config.data_dir, "/api/deletions", body, refused=UsageRefused)
    except NotRunning:
        from appliance.box import open_box
        from appliance.manifest import Deletion

        wanted = Deletion(
            0, body["stream"], body["since_us"], body["until_us"], body["where"], author=body["author"], reason=body["reason"]
        )
        with open_box(config) as box:
            return {"id": box.delete(wanted, records=body["records"]).id}
    return done


def _words(stream: str, tags: Mapping[str, str | None], since_us: int | None, until_us: int | None) -> str:
    parts = [f"{name}={value or ''}" for name, value in tags.items()]
    parts += [f"since {iso(since_us)}"] if since_us is not None else []
    parts += [f"until {iso(until_us)}"] if until_us is not None else []
    return f"records of {stream}" + (f" ({', '.join(parts)})" if parts else "")


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
