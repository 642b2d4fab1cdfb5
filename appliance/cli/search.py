"""``search``: records and names by their words, from the service or from the folder; ``--status``, ``--rebuild``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.common import config_option, print_table, visible
from appliance.cli.moments import as_moment
from appliance.clock import SystemClock, iso
from appliance.errors import NotRunning, UsageRefused

if TYPE_CHECKING:
    from appliance.config import Config
    from appliance.observe.search import Found, Hit, SearchPicture, SearchQuery


@click.command()
@click.argument("words", nargs=-1)
@click.option(
    "--stream", "streams", multiple=True, metavar="NAME", help="Only this stream; may come several times. Default: all, and names."
)
@click.option("--where", multiple=True, metavar="TAG=VALUE", help="Only records with this tag (TAG= without it); all must hold.")
@click.option("--since", metavar="TIME", help='From then on: "2026-11-01", "2026-11-01 10:00" (in the node\'s zone), "…Z", "2d" (ago).')
@click.option("--until", metavar="TIME", help="Up to then, not included.")
@click.option(
    "--order", type=click.Choice(["time", "rank"]), default="time", show_default=True, help="Newest first, or what fits best first."
)
@click.option("--limit", type=click.IntRange(0, 1_000), default=20, show_default=True, help="Hits that are shown.")
@click.option("--format", "as_format", type=click.Choice(["text", "json", "jsonl"]), default="text", show_default=True)
@click.option("--status", is_flag=True, help="Show the indexes instead.")
@click.option("--rebuild", is_flag=True, help="Have the indexes (of --stream, else all) made anew from the records.")
@config_option
def search(
    words: tuple[str, ...],
    *,
    config: Config,
    streams: tuple[str, ...],
    where: tuple[str, ...],
    since: str | None,
    until: str | None,
    order: str,
    limit: int,
    as_format: str,
    status: bool,
    rebuild: bool,
) -> int:
    """Find records whose texts have the WORDS, and streams, tags, templates, alerts and incidents with such names.

    Words may be "phrases" and begin*, joined with AND, OR, NOT and parentheses. Case and accents don't count.

    \b
    Example:
      appliance search disk timeout --since 7d
      appliance search '"connection refused" OR fail* NOT test' --stream log --order rank
    """
    if rebuild:
        return _rebuild(config, streams)
    if status:
        return _status(config, as_json=as_format != "text")
    clock = SystemClock()
    asked = {
        "text": " ".join(words),
        "streams": streams,
        "where": where,
        "since_us": as_moment(since, "--since", config, clock),
        "until_us": as_moment(until, "--until", config, clock),
        "order": order,
        "limit": limit,
    }
    found = _find(config, asked)
    if as_format == "text":
        _show(found)
    else:
        import msgspec

        parts = [found] if as_format == "json" else list(found.hits)
        for part in parts:
            click.echo(msgspec.json.encode(part).decode())
    for note in found.notes:
        click.echo(visible(note), err=True)
    return 0


def _find(config: Config, asked: dict[str, Any]) -> Found:
    """From the service, else from the folder."""
    import msgspec

    from appliance.cli.local import get_json
    from appliance.observe.search import Found, SearchQuery

    pairs = [("q", asked["text"]), *(("stream", s) for s in asked["streams"]), *(("where", w) for w in asked["where"])]
    pairs += [(name, str(asked[f"{name}_us"])) for name in ("since", "until") if asked[f"{name}_us"] is not None]
    pairs += [("order", asked["order"]), ("limit", str(asked["limit"]))]
    try:
        return msgspec.convert(get_json(config.data_dir, "/api/search", pairs, refused=UsageRefused, timeout_s=None), Found)
    except NotRunning:
        from appliance.hybrid.search.offline import find_in_folder

        query: SearchQuery = msgspec.convert(asked, SearchQuery)
        return find_in_folder(config, query, clock=SystemClock())


def _show(found: Found) -> None:
    for hit in found.hits:
        click.echo(f"{_head(hit)}\n    {visible(hit.snippet)}")
        if hit.again:
            click.echo(visible(f"    its records: appliance search {shlex.quote(hit.again)} --stream {shlex.quote(hit.stream)}"))
    many = f"{found.total}" if found.is_whole else f"at least {found.total}"
    click.echo(
        f"{many} found in {found.took_ms:.0f} ms" + ("" if len(found.hits) >= found.total else f", {len(found.hits)} shown"), err=True
    )


def _head(hit: Hit) -> str:
    tags = " ".join(f"{name}={value}" for name, value in hit.tags.items() if value is not None)
    if hit.kind == "record":
        return visible(f"{iso(hit.ts_us or 0)}  {hit.stream}.{hit.name}  {tags}").rstrip()
    return visible(
        " ".join(p for p in (hit.kind, hit.name, f"of {hit.stream}" if hit.stream and hit.stream != hit.name else "", tags) if p)
    )


def _status(config: Config, *, as_json: bool) -> int:
    import msgspec

    from appliance.cli.local import get_json
    from appliance.observe.search import SearchPicture
    from appliance.units import show_size

    try:
        picture = msgspec.convert(get_json(config.data_dir, "/api/search/status"), SearchPicture)
    except NotRunning:
        from appliance.hybrid.search.offline import picture_of_folder

        picture = picture_of_folder(config)
    if as_json:
        click.echo(msgspec.json.encode(picture).decode())
        return 0
    rows = [
        [
            row.stream,
            ", ".join(row.fields),
            f"{row.hot_records}",
            f"{row.sealed_records}",
            f"{row.files}",
            show_size(row.bytes),
            "" if not row.text_bytes else f"{row.bytes / row.text_bytes:.2f}",
            row.state,
            row.note,
        ]
        for row in picture.indexes
    ]
    headers = ["stream", "fields", "hot", "sealed", "files", "size", "of text", "state", "note"]
    print_table(headers, rows, right=frozenset(range(2, 7)))
    _times(picture)
    return 0


def _times(picture: SearchPicture) -> None:
    if picture.p50_ms is not None and picture.p99_ms is not None:
        click.echo(f"{picture.queries} searches, p50 {picture.p50_ms:.0f} ms, p99 {picture.p99_ms:.0f} ms", err=True)


def _rebuild(config: Config, streams: tuple[str, ...]) -> int:
    from appliance.cli.local import post_json

    for stream in streams or (None,):
        body = {} if stream is None else {"stream": stream}
        click.echo(visible(post_json(config.data_dir, "/api/search/rebuild", body, refused=UsageRefused)["said"]))
    return 0
