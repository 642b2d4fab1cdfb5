"""What there is to tell of the chosen row of the alerts screen, as lines for a panel. None of these functions knows a widget."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from appliance.observe.alerts import AlertRow, AlertsPicture, OutboxRow, RuleRow, SilenceRow, StageRow, TransitionRow
from tui import figures
from tui.look import Line, Look
from tui.widgets.alerts import key_words, state_of, step_words, values_words
from tui.widgets.labelled import Labelled
from tui.widgets.panels import wrapped

US_PER_S = 1_000_000
_LINES_MAX = 4
"""Of one fact."""
_fact = Labelled(cells=8, lines_max=_LINES_MAX).fact
Row = AlertRow | RuleRow | TransitionRow | SilenceRow | OutboxRow


def facts(row: Row | None, picture: AlertsPicture, look: Look, width: int) -> list[Line]:
    """The lines for one row of any of the tables; the weightiest first."""
    match row:
        case AlertRow():
            return alert_facts(row, picture, look, width)
        case RuleRow():
            return rule_facts(row, picture, look, width)
        case TransitionRow():
            return transition_facts(row, look, width)
        case SilenceRow():
            return silence_facts(row, look, width)
        case OutboxRow():
            return outbox_facts(row, look, width)
        case None:
            return []


def alert_facts(row: AlertRow, picture: AlertsPicture, look: Look, width: int) -> list[Line]:
    """State, since when, values, who has taken it on, and what to do."""
    paint = look.paint
    since = f"for {figures.span(max(0, look.now_us - row.since_us))}"
    was = f", was {look.safe(row.was)}" if row.phase in ("nodata", "error") else ""
    lines: list[Line] = [(state_of(row.phase, row.severity, look), (f" {since}{was}", paint.text))]
    lines += wrapped(look.safe(row.summary), width, paint.bold, lines_max=3)
    lines += _fact("reason", row.reason, look, width, paint.warn)
    for words, style in _quiet(row, picture, look):
        lines += wrapped(words, width, style, lines_max=3)
    lines += _fact("values", values_words(row.values, look), look, width)
    lines += _fact("rule", f"{row.rule} ({row.severity})", look, width)
    lines += _fact("key", key_words(row.key), look, width)
    lines += _fact("since", _moment(row.since_us, look), look, width)
    if row.fired_us is not None and row.fired_us != row.since_us:
        lines += _fact("fired", _moment(row.fired_us, look), look, width)
    lines += _fact("runbook", row.runbook or "", look, width, paint.accent)
    more = {name: value for name, value in row.labels.items() if name not in row.key and name not in ("rule", "severity")}
    lines += _fact("labels", key_words(more), look, width, paint.dim)
    if row.seq is not None:
        lines += _fact("record", f"_seq {row.seq}", look, width, paint.dim)
    return lines


def rule_facts(row: RuleRow, picture: AlertsPicture, look: Look, width: int) -> list[Line]:
    """The condition as written, what is wrong with it, and how fast alerts are."""
    paint = look.paint
    lines = wrapped(look.safe(row.condition), width, paint.bold, lines_max=6)
    lines += _fact("reason", row.reason, look, width, paint.warn)
    lines += _fact("stream", row.stream or "free SQL", look, width)
    lines += _fact("severity", row.severity, look, width)
    keys = f"{figures.count(row.keys)}, {figures.count(row.firing)} firing, {figures.count(row.pending)} pending"
    lines += _fact("keys", keys, look, width)
    if row.keys_over:
        lines += _fact(
            "beyond", f"{figures.count(row.keys_over)} records of keys above the limit were not looked at", look, width, paint.warn
        )
    lines += _fact("cost", f"{figures.share(row.cost_us_per_s / US_PER_S)} of a core", look, width)
    if row.late:
        lines += _fact("late", f"{figures.count(row.late)} late records would have changed something", look, width, paint.warn)
    return [*lines, *stage_lines(picture.stages, look)]


def transition_facts(row: TransitionRow, look: Look, width: int) -> list[Line]:
    """One step: when, by what, with which values."""
    lines: list[Line] = [(step_words(row, look),)]
    lines += _fact("rule", row.rule, look, width)
    lines += _fact("key", key_words(row.key), look, width)
    lines += _fact("at", _moment(row.at_us, look), look, width)
    lines += _fact("learned", f"{_delay(row.learned_us - row.at_us)} later", look, width)
    lines += _fact("values", values_words(row.values, look), look, width)
    lines += _fact("reason", row.reason, look, width, look.paint.warn)
    cause = "time, or a person" if row.seq is None else f"_seq {row.seq}"
    return [*lines, *_fact("by", cause, look, width, look.paint.dim)]


def silence_facts(row: SilenceRow, look: Look, width: int) -> list[Line]:
    """What a silence covers, for how long, and why."""
    lines = wrapped(look.safe(" ".join(row.matchers)), width, look.paint.bold, lines_max=_LINES_MAX)
    lines += _fact("from", _moment(row.since_us, look), look, width)
    lines += _fact("until", _moment(row.until_us, look), look, width)
    lines += _fact("author", row.author, look, width)
    return [*lines, *_fact("comment", row.comment, look, width)]


def outbox_facts(row: OutboxRow, look: Look, width: int) -> list[Line]:
    """A message: its title, its way, and what the other side said."""
    lines = wrapped(look.safe(row.title), width, look.paint.bold, lines_max=_LINES_MAX)
    lines += _fact("error", row.error, look, width, look.paint.warn)
    lines += _fact("channel", row.channel, look, width)
    lines += _fact("made", _moment(row.created_us, look), look, width)
    when = ("sent", row.sent_us) if row.sent_us is not None else ("due", row.due_us)
    lines += _fact(when[0], _moment(when[1] or 0, look), look, width)
    return [*lines, *_fact("tries", figures.count(row.attempts), look, width)]


def stage_lines(stages: Sequence[StageRow], look: Look) -> list[Line]:
    """How long each stage took over the last minute, counted from the acknowledgement, against its budget."""
    if not stages:
        return []
    paint = look.paint
    lines: list[Line] = [((f"From the acknowledgement {look.symbols.dot} last minute", paint.dim),)]
    for stage in stages:
        slow = stage.count > 0 and stage.p99_ms > stage.budget_ms
        state = look.state("WARN" if slow else "OK")
        told = f" p50 {figures.millis(stage.p50_ms)}  p99 {figures.millis(stage.p99_ms)}" if stage.count else " nothing"
        limit = f"  of {figures.millis(stage.budget_ms)}"
        glyph = state[0].split(" ")[0]
        lines.append(((f"{glyph} ", state[1]), (look.foreign(stage.stage, 11), paint.text), (told, paint.text), (limit, paint.dim)))
    return lines


def _quiet(row: AlertRow, picture: AlertsPicture, look: Look) -> list[tuple[str, Style]]:
    """Acknowledged, silenced, inhibited, flapping: by whom and until when."""
    out = []
    style = look.paint.accent
    if row.acked_by is not None:
        until = f" until {_moment(row.acked_until_us, look)}" if row.acked_until_us is not None else ""
        why = f": {row.ack_comment}" if row.ack_comment else ""
        out.append((look.safe(f"acked by {row.acked_by}{until}{why}"), style))
    if row.silenced_by is not None:
        found = next((s for s in picture.silences if s.id == row.silenced_by), None)
        told = f" until {_moment(found.until_us, look)} by {found.author}: {found.comment}" if found is not None else ""
        out.append((look.safe(f"silenced by {row.silenced_by}{told}"), style))
    if row.inhibited_by is not None:
        out.append((look.safe(f"inhibited by {row.inhibited_by}"), style))
    if row.flapping:
        out.append(("flapping: told once, until it is calm", look.paint.warn))
    return out


def _delay(us: int) -> str:
    """A short time in milliseconds, a long one as everywhere."""
    return figures.millis(us / 1000) if us < US_PER_S else figures.span(us)


def _moment(us: int, look: Look) -> str:
    """Time of day, and the day where it is not today's."""
    day = figures.moment(us, now_us=look.now_us)
    at = figures.clock_time(us // US_PER_S)
    return at if day == at else f"{day} {at}"
