"""The deep pass' answer in words, and its evidence as rows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from appliance.hybrid.analysis.deep.judging import Judged
from appliance.hybrid.analysis.deep.similar import Alike, id_of
from appliance.hybrid.analysis.deep.surroundings import Around, Moved
from appliance.hybrid.analysis.deep.values import DAY_US, Asked
from appliance.hybrid.analysis.phrases import count, history, listed, moment, number, off, often, series, span, times
from appliance.observe.analysis import EvidenceRow, MemberRow

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Picture:
    """All that was found."""

    asked: Asked
    verdict: str
    looked: Sequence[tuple[MemberRow, Judged]]
    replaced: Sequence[MemberRow]
    lead: MemberRow | None
    around: Around
    alike: tuple[Alike, ...]
    added: Sequence[Moved]
    since_us: int | None
    wrong: MemberRow | None
    """What was held to be the gravest and is nothing; None: none."""

    @property
    def leading(self) -> Judged | None:
        """What is known of the lead; None: nothing."""
        return next((j for m, j in self.looked if m is self.lead and j.is_known), None)

    @property
    def history_us(self) -> int:
        """How much there was to compare with, at most."""
        return max((j.history_us for _, j in self.looked), default=0)


def summary(p: Picture) -> str:
    """One to three sentences."""
    lead, j = p.lead, p.leading
    if lead is not None and lead.kind == "silence":
        return _silent(p, lead)
    if lead is not None and lead in p.replaced:
        return f"{_about(lead)}: the record that was unusual {_now(p, lead)}."
    if lead is None or j is None:
        first = p.asked.members[0] if p.asked.members else None
        what = "Nothing is known of its series" if first is None else f"{_about(first)}: {first.reason}"
        return f"{what}. There is too little history to say more."
    said = [_first_sentence(p, lead, j)]
    if p.verdict == "dismissed":
        said.append(_why_nothing(p, j))
        return " ".join(s for s in said if s)
    if j.change is not None:
        said.append(f"The level went from {number(j.change.before)} to {number(j.change.after)} and has stayed there.")
    others = [m for m in p.around.moved if not _same(m, lead)]
    if others:
        began = _before(others[0], p)
        names = listed([_moved(m) for m in others])
        said.append(f"{began}{names} moved with it.")
    return " ".join(said)


def _silent(p: Picture, lead: MemberRow) -> str:
    if lead in p.replaced:
        return f"{_about(lead)} was not silent: what was missed came late."
    back_us = p.asked.returned.get(str(p.asked.members.index(lead)))
    again = "Nothing has come since" if back_us is None else f"It came again {_at(p, back_us)}"
    others = [m for m in p.around.moved if not _same(m, lead)]
    moved = f" {listed([_moved(m) for m in others])} moved at that time." if others else ""
    return f"{_about(lead)}: {lead.reason}. {again}.{moved}"


def basis(p: Picture) -> str:
    """What it stands on."""
    parts = [count(p.asked.late, "late record")] if p.asked.late else []
    parts.append(history(p.history_us) if p.history_us else "too little history to compare with")
    if p.around.looked_at:
        parts.append(f"{p.around.looked_at:,} series and templates around it")
    after = max(0, p.asked.now_us - p.asked.until_us)
    parts.append(f"{span(after)} after it" if after >= 1_000_000 else "nothing after it yet")
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def difference(p: Picture) -> str:
    """Against the first answer; "" where nothing differs but the verdict."""
    said: list[str] = []
    if p.verdict == "dismissed":
        said.append("not unusual with everything known")
    if p.since_us is not None:
        said.append(f"it began {span(p.asked.since_us - p.since_us)} earlier")
    if p.added:
        said.append(f"{listed([series(m.stream, m.column, m.key) for m in p.added])} {'belongs' if len(p.added) == 1 else 'belong'} to it")
    if p.replaced:
        said.append(f"{count(len(p.replaced), 'record')} of it {'was' if len(p.replaced) == 1 else 'were'} replaced or removed since")
    lasting = next(((m, j) for m, j in p.looked if j.change is not None), None)
    if lasting is not None and p.verdict != "dismissed":
        said.append(f"the level of {_about(lasting[0])} has changed for good")
    if p.wrong is not None and p.verdict == "corrected" and p.lead is not None:
        said.append(f"{_about(p.wrong)} is as ever, {_about(p.lead)} is what was unusual")
    return "; ".join(said)


def evidence(p: Picture) -> tuple[EvidenceRow, ...]:
    """What an answer shows besides its words."""
    rows: list[EvidenceRow] = []
    for member, j in p.looked:
        if j.is_known:
            rows += _of_member(p, member, j)
    rows += [_gone(p, m) for m in p.replaced]
    others = [m for m in p.around.moved if p.lead is None or not _same(m, p.lead)]
    start_us = p.since_us or p.asked.since_us
    rows += [_row("leads", m, f"began {span(start_us - m.onset_us)} before", m.onset_us) for m in others if m.onset_us < start_us][:_SHOWN]
    later = [m for m in others if m.onset_us >= start_us]
    rows += [_row("follows", m, f"began {span(m.onset_us - start_us)} after the beginning", m.onset_us) for m in later[:_SHOWN]]
    for m in sorted(others, key=lambda m: -abs(m.together))[:_SHOWN]:
        behind = "at the same time" if not m.lag_us else f"{span(m.lag_us)} {'later' if m.lag_us > 0 else 'earlier'}"
        rows.append(
            _row("correlation", m, f"goes {'along' if m.together > 0 else 'against it'} {behind}, correlation {m.together:.2f}", None)
        )
    for stream, template, lines in p.around.new_templates[:_SHOWN]:
        rows.append(_plain("log lines", f"new: {template[:160]}", stream=stream, value=float(lines)))
    for a in p.alike:
        said = f", people said: {a.past.feedback}" if a.past.feedback else ""
        what = f"incident {a.past.id}, {_at(p, a.past.since_us)}: {a.past.verdict}{said}"
        rows.append(_plain("similar", what, value=a.share, at_us=a.past.since_us))
    if p.asked.late:
        late = f"{count(p.asked.late, 'record')} of its time came after the first answer"
        rows.append(_plain("late records", late, value=float(p.asked.late)))
    return tuple(rows)


def member(m: Moved) -> MemberRow:
    """A series that belongs to it besides."""
    return MemberRow(
        stream=m.stream,
        column=m.column,
        key=m.key,
        template=m.template,
        kind="value",
        since_us=m.onset_us,
        until_us=m.peak_us,
        peak_us=m.peak_us,
        score=min(0.99, abs(m.spreads) / (abs(m.spreads) + 4.0)),
        value=m.value,
        expected=m.usual,
        records=1,
        reason=f"{times(m.spreads)} its usual spread, together with the others (correlation {m.together:.2f})",
        seq=0,
    )


def _first_sentence(p: Picture, lead: MemberRow, j: Judged) -> str:
    when = _at(p, p.since_us or p.asked.since_us)
    length = span(p.asked.until_us - (p.since_us or p.asked.since_us))
    size = f"{times(j.spreads)} the usual spread"
    rate = " a second" if lead.kind == "rate" else ""
    where = f"{number(j.value)}{rate} where {number(j.expected)} was to be expected ({size})"
    return f"{_about(lead)}: {where}, since {when}" + (f" for {length}." if p.asked.until_us > p.asked.since_us else ".")


def _why_nothing(p: Picture, j: Judged) -> str:
    if j.episodes:
        return f"As much or more was seen {often(j.episodes)} in {history(j.history_us).removesuffix(' of history')} besides."
    said = [a for a in p.alike if a.past.feedback == "dismiss"]
    if said:
        return f"Incidents like it were dismissed by people ({listed([f'incident {a.past.id}' for a in said])})."
    return "That is within what this series does."


def _of_member(p: Picture, m: MemberRow, j: Judged) -> list[EvidenceRow]:
    what = f"{off(j.spreads, j.expected)}; as far off {often(j.episodes)} in {history(j.history_us)}"
    if j.period_us:
        what += f"; its {'day' if j.period_us == DAY_US else 'week'} is known"
    rows = [_of(m, "season" if j.period_us else "history", what, j.at_us, j.spreads)]
    if j.change is not None:
        changed = f"level from {number(j.change.before)} to {number(j.change.after)}, {j.change.spreads:.1f} spreads"
        rows.append(_of(m, "change point", changed, j.changed_us, j.change.after))
    if j.like_us is not None and j.unlike < 1.0:
        rows.append(_of(m, "similar", f"most like {_at(p, j.like_us)}", j.like_us, j.unlike))
    return rows


def _gone(p: Picture, m: MemberRow) -> EvidenceRow:
    what = "what was missed came late" if m.kind == "silence" else f"the record at the peak {_now(p, m)}"
    return _of(m, "late records", what, m.peak_us, m.value)


def _now(p: Picture, m: MemberRow) -> str:
    now = p.asked.replaced[str(p.asked.members.index(m))]
    return "is gone" if now is None else f"was replaced: {number(now)} instead of {number(m.value or 0.0)}"


def _before(first: Moved, p: Picture) -> str:
    earlier_us = (p.since_us or p.asked.since_us) - first.onset_us
    return f"{_moved(first)} began first, {span(earlier_us)} before; " if earlier_us >= 2_000_000 else ""


def _at(p: Picture, us: int) -> str:
    return moment(us, ZoneInfo(p.asked.zone))


def _moved(m: Moved) -> str:
    return f"lines like {m.template[:60]!r}" if m.template is not None else series(m.stream, m.column, m.key)


def _about(m: MemberRow) -> str:
    return f"{m.stream} {m.column} {m.template[:80]!r}" if m.template is not None else series(m.stream, m.column, m.key)


def _same(moved: Moved, m: MemberRow) -> bool:
    return id_of(moved.stream, moved.column, moved.key) == id_of(m.stream, m.column, m.key) and moved.template == m.template


def _of(m: MemberRow, kind: str, what: str, at_us: int | None, value: float | None) -> EvidenceRow:
    return EvidenceRow(kind=kind, stream=m.stream, column=m.column, key=m.key, at_us=at_us, value=value, what=what)


def _row(kind: str, m: Moved, what: str, at_us: int | None) -> EvidenceRow:
    named = what if m.template is None else f"{m.template[:100]}: {what}"
    value = m.together if kind == "correlation" else m.spreads
    return EvidenceRow(kind=kind, stream=m.stream, column=m.column, key=m.key, at_us=at_us, value=value, what=named)


def _plain(kind: str, what: str, *, stream: str = "", value: float | None = None, at_us: int | None = None) -> EvidenceRow:
    return EvidenceRow(kind=kind, stream=stream, column="", key={}, at_us=at_us, value=value, what=what)
