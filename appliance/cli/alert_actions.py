"""``alerts ack|unack|silence|unsilence|test``: what people do about alerts. Each needs the service; done when the command returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from appliance.cli.alerts import key_words
from appliance.cli.common import config_option, data_dir_option, visible
from appliance.cli.local import post_json
from appliance.clock import US_PER_S, SystemClock, iso
from appliance.config import Config
from appliance.errors import UsageRefused
from appliance.observe.author import author as who
from appliance.serving.when import moment
from appliance.units import parse_duration

author_option = click.option("--author", default=who, show_default="user@host", help="Who does it.")
for_option = click.option("--for", "for_", metavar="2h", help="For this time.")
until_option = click.option("--until", help='Until then: "2026-11-22 18:00" (in the node\'s zone), "…Z".')


@click.command()
@click.argument("rule")
@click.argument("key", nargs=-1, metavar="[COLUMN=VALUE]…")
@for_option
@until_option
@click.option("--comment", default="", help="Why; shown with it.")
@author_option
@config_option
def ack(rule: str, key: tuple[str, ...], *, config: Config, for_: str | None, until: str | None, comment: str, author: str) -> None:
    """Acknowledge what fires of RULE, or only the alert of one key: it isn't repeated nor escalated until it resolves.

    \b
    Example:
      appliance alerts ack overheating device=d1 --for 2h --comment "on my way"
    """
    body = {"rule": rule, "key": _key(key), "author": author, "comment": comment, "until": _until(for_, until, config)}
    _show(_post(config.data_dir, "ack", body), "acknowledged")


@click.command()
@click.argument("rule")
@click.argument("key", nargs=-1, metavar="[COLUMN=VALUE]…")
@author_option
@data_dir_option
def unack(rule: str, key: tuple[str, ...], *, data_dir: Path, author: str) -> None:
    """Take the acknowledgement of RULE back, or only that of one key.

    \b
    Example:
      appliance alerts unack overheating device=d1
    """
    _show(_post(data_dir, "unack", {"rule": rule, "key": _key(key), "author": author}), "no longer acknowledged")


@click.command()
@click.argument("matchers", nargs=-1, required=True, metavar="LABEL=VALUE…")
@for_option
@until_option
@click.option("--comment", required=True, help="Why; shown with it.")
@author_option
@config_option
def silence(matchers: tuple[str, ...], *, config: Config, for_: str | None, until: str | None, comment: str, author: str) -> None:
    """Tell nobody of alerts that match all of LABEL=VALUE, for a time. != negates; * at an end stands for any text.

    \b
    Example:
      appliance alerts silence device=d1 --for 8h --comment "new bearing"
      appliance alerts silence 'rule=host_*' severity!=critical --until "2026-11-22 18:00" --comment "moving the rack"
    """
    until_us = _until(for_, until, config)
    if until_us is None:
        raise UsageRefused("say how long: --for 2h, or --until")
    made = _post(config.data_dir, "silence", {"matchers": matchers, "until": until_us, "author": author, "comment": comment})
    click.echo(f"silence {made['id']} until {iso(made['until_us'] // US_PER_S * US_PER_S)}: {visible(' '.join(made['matchers']))}")


@click.command()
@click.argument("silence_id", type=click.IntRange(0), metavar="ID")
@author_option
@data_dir_option
def unsilence(silence_id: int, *, data_dir: Path, author: str) -> None:
    """End the silence with that ID now.

    \b
    Example:
      appliance alerts unsilence 3
    """
    ended = _post(data_dir, "unsilence", {"id": silence_id, "author": author})
    click.echo(f"silence {ended['id']} is over: {visible(' '.join(ended['matchers']))}")


@click.command()
@click.argument("channel")
@data_dir_option
def test(channel: str, *, data_dir: Path) -> None:
    """Send a test message over CHANNEL ([notify.CHANNEL] of the config) for real, and show what the other side said.

    \b
    Example:
      appliance alerts test ops
    """
    click.echo(visible(_post(data_dir, "test", {"channel": channel})["said"]))


def _post(data_dir: Path, what: str, body: Any) -> Any:
    return post_json(data_dir, f"/api/alerts/{what}", body, refused=UsageRefused)


def _show(rows: list[dict[str, Any]], done: str) -> None:
    for row in rows:
        click.echo(visible(f"{row['rule']} {key_words(row['key'])}".rstrip() + f": {done}"))


def _key(words: tuple[str, ...]) -> dict[str, str | None] | None:
    """Column -> value; None for all keys. A value that is left empty is null."""
    key: dict[str, str | None] = {}
    for word in words:
        column, equals, value = word.partition("=")
        if not column or not equals:
            raise UsageRefused(f"{visible(word)!r} is no COLUMN=VALUE")
        key[column] = value or None
    return key or None


def _until(for_: str | None, until: str | None, config: Config) -> int | None:
    """Microseconds since 1970; None when neither is given."""
    if for_ is not None and until is not None:
        raise UsageRefused("--for and --until can't go together")
    now_us = SystemClock().now_us()
    try:
        if for_ is not None:
            return now_us + round(parse_duration(for_) * US_PER_S)
        return None if until is None else moment(until, now_us=now_us, zone=ZoneInfo(config.node.timezone))
    except (ValueError, OverflowError) as e:
        raise UsageRefused(f"{'--for' if for_ is not None else '--until'}: {e}") from None
