"""``alerts``: the group, and what only looks: ``list``, ``history``, ``silences``, ``outbox``.

The service answers; without one, what it has stored is read from the folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from appliance.cli.common import LazyGroup, data_dir_option, print_table, visible
from appliance.cli.local import get_json
from appliance.cli.streams import age
from appliance.clock import US_PER_S, SystemClock, iso
from appliance.errors import NotRunning, UsageRefused

if TYPE_CHECKING:
    from appliance.observe.alerts import AlertRow, AlertsPicture, TransitionRow, Value

T = TypeVar("T")
SUBCOMMANDS: Final[dict[str, tuple[str, str]]] = {
    "list": ("appliance.cli.alerts:list_alerts", "Show what fires, what is pending, and what is not known."),
    "history": ("appliance.cli.alerts", "Show what has been, the newest first."),
    "ack": ("appliance.cli.alert_actions", "Acknowledge what fires: no repeats, no escalation."),
    "unack": ("appliance.cli.alert_actions", "Take an acknowledgement back."),
    "silence": ("appliance.cli.alert_actions", "Tell nobody of alerts that match, for a time."),
    "unsilence": ("appliance.cli.alert_actions", "End a silence now."),
    "silences": ("appliance.cli.alerts", "Show the silences."),
    "rehearse": ("appliance.cli.rehearse", "Run a rule over the records that are stored: what it would have done."),
    "test": ("appliance.cli.alert_actions", "Send a test message over a channel, for real."),
    "outbox": ("appliance.cli.alerts", "Show the messages on their way, the dead and the newest that were sent."),
}
"""Subcommand -> its module and its one line."""
LATE_US: Final = 2 * US_PER_S
"""A transition learned later than this after its time says so."""


class AlertsGroup(LazyGroup):
    """Without a subcommand it lists."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=AlertsGroup, lazy=SUBCOMMANDS)
def alerts() -> None:
    """Show what fires; acknowledge, silence, look back. Without a subcommand: list.

    \b
    Example:
      appliance alerts
      appliance alerts ack overheating device=d1 --for 2h --comment "on my way"
      appliance alerts silence device=d1 --for 8h --comment "new bearing"
    """


@click.command("list")
@click.option("--all", "everything", is_flag=True, help="Those too that have resolved a short while ago.")
@click.option("--json", "as_json", is_flag=True, help="One array of objects; times in microseconds.")
@data_dir_option
def list_alerts(*, data_dir: Path, everything: bool, as_json: bool) -> None:
    """Show what fires, what is pending, and what is not known, the gravest and newest first.

    \b
    Example:
      appliance alerts list --all
    """
    picture = read_picture(data_dir)
    shown = [a for a in picture.alerts if everything or a.phase != "ok"]
    if as_json:
        print_json(shown)
        return
    headers = ["state", "severity", "rule", "key", "since", "for", "values", "told", "summary"]
    print_table(headers, [_alert_cells(a, picture.at_us) for a in shown])
    counts = [f"{sum(a.phase == phase for a in shown)} {word}" for phase, word in _COUNTED.items() if any(a.phase == phase for a in shown)]
    click.echo(", ".join(counts) or "nothing fires", err=True)
    for rule in picture.rules:
        if rule.reason:
            click.echo(visible(f"rule {rule.name}: {rule.state}: {rule.reason}"), err=True)
    if picture.truncated:
        click.echo(f"{picture.truncated} more are not shown", err=True)


@click.command()
@click.option("--rule", help="Only of this rule.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="The newest N.")
@click.option("--json", "as_json", is_flag=True, help="One array of objects; times in microseconds.")
@data_dir_option
def history(*, data_dir: Path, rule: str | None, limit: int, as_json: bool) -> None:
    """Show what has been, the newest first.

    \b
    Example:
      appliance alerts history --rule overheating --limit 20
    """
    found = _read_history(data_dir, rule, limit)
    if as_json:
        print_json(found)
        return
    headers = ["id", "at", "rule", "key", "step", "values", "record", "reason"]
    print_table(headers, [_transition_cells(t) for t in found], right=frozenset({0, 6}))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One array of objects; times in microseconds.")
@data_dir_option
def silences(*, data_dir: Path, as_json: bool) -> None:
    """Show the silences; those that are over are kept for a while.

    \b
    Example:
      appliance alerts silences
    """
    found = read_picture(data_dir).silences
    if as_json:
        print_json(found)
        return
    rows = [
        [str(s.id), "yes" if s.is_active else "no", " ".join(s.matchers), _second(s.since_us), _second(s.until_us), s.author, s.comment]
        for s in found
    ]
    print_table(["id", "active", "matchers", "since", "until", "author", "comment"], rows, right=frozenset({0}))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One array of objects; times in microseconds.")
@data_dir_option
def outbox(*, data_dir: Path, as_json: bool) -> None:
    """Show the messages on their way, the dead and the newest that were sent.

    \b
    Example:
      appliance alerts outbox
    """
    found = read_picture(data_dir).outbox
    if as_json:
        print_json(found)
        return
    rows = [
        [str(m.id), m.channel, m.state, _second(m.created_us), _second(m.sent_us or m.due_us), str(m.attempts), m.title, m.error]
        for m in found
    ]
    print_table(["id", "channel", "state", "made", "sent or due", "attempts", "title", "error"], rows, right=frozenset({0, 5}))


def read_picture(data_dir: Path) -> AlertsPicture:
    """From the service, else what is stored in the folder, which is said on standard error."""
    from appliance.observe.alerts import AlertsPicture

    def of_folder() -> AlertsPicture:
        from appliance.serving.alert_folder import folder_picture

        return folder_picture(data_dir, now_us=SystemClock().now_us())

    return _asked(data_dir, "/api/alerts", {}, AlertsPicture, of_folder)


def key_words(key: Mapping[str, str | None]) -> str:
    """``device=d1 line=A``; null is an empty value."""
    return " ".join(f"{column}={'' if value is None else value}" for column, value in key.items())


def print_json(rows: object) -> None:
    """One JSON text on standard output."""
    import msgspec

    click.echo(msgspec.json.encode(rows).decode())


def _read_history(data_dir: Path, rule: str | None, limit: int) -> Sequence[TransitionRow]:
    from appliance.observe.alerts import TransitionRow

    def of_folder() -> tuple[TransitionRow, ...]:
        from appliance.serving.alert_folder import folder_history

        return tuple(folder_history(data_dir, limit=limit, rule=rule))

    asked = {"limit": str(limit), **({"rule": rule} if rule else {})}
    return _asked(data_dir, "/api/alerts/history", asked, tuple[TransitionRow, ...], of_folder)


def _asked(data_dir: Path, path: str, parameters: Mapping[str, str], kind: type[T], of_folder: Callable[[], T]) -> T:
    import msgspec

    try:
        return msgspec.convert(get_json(data_dir, path, parameters, refused=UsageRefused), kind)
    except NotRunning:
        found = of_folder()
        click.echo("no service runs: this is what was stored", err=True)
        return found


_COUNTED = {"firing": "firing", "pending": "pending", "nodata": "without data", "error": "can't be computed", "ok": "resolved"}


def _alert_cells(a: AlertRow, now_us: int) -> list[str]:
    state = a.phase.upper() if a.phase == "firing" else a.phase
    if a.was != "ok" and a.phase in ("nodata", "error"):
        state = f"{state} (was {a.was})"
    told = [
        f"acknowledged by {a.acked_by}" if a.acked_by is not None else "",
        f"silenced by {a.silenced_by}" if a.silenced_by is not None else "",
        f"inhibited by {a.inhibited_by}" if a.inhibited_by is not None else "",
        "flapping" if a.flapping else "",
    ]
    since = age(now_us - a.since_us).removesuffix(" ago")
    words = [a.summary, f"({a.reason})" if a.reason else ""]
    return [
        state,
        a.severity,
        a.rule,
        key_words(a.key),
        _second(a.since_us),
        since,
        values_words(a.values),
        ", ".join(t for t in told if t),
        " ".join(w for w in words if w),
    ]


def _transition_cells(t: TransitionRow) -> list[str]:
    step = f"{t.old} -> {t.new}" if t.kind == "change" else t.kind if t.old == t.new else f"{t.kind}: {t.old} -> {t.new}"
    late = f"learned {_second(t.learned_us)}" if t.learned_us - t.at_us > LATE_US else ""
    seq = "" if t.seq is None else str(t.seq)
    return [
        str(t.id),
        iso(t.at_us),
        t.rule,
        key_words(t.key),
        step,
        values_words(t.values),
        seq,
        "; ".join(w for w in (t.reason, late) if w),
    ]


def values_words(values: Mapping[str, Value]) -> str:
    """``avg(temperature)=83.5``; floats to six digits."""
    return " ".join(f"{name}={_value(value)}" for name, value in values.items())


def _value(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _second(ts_us: int) -> str:
    """ISO 8601 to the second, for people; the JSON has it whole."""
    return iso(ts_us // US_PER_S * US_PER_S)
