"""The deep pass as batch work: of one incident when it opens or grows, of all incidents of a day at night."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from appliance.batch_options import Priority
from appliance.batching.program import own_program
from appliance.batching.work import Context, Limits, Outcome, When
from appliance.clock import US_PER_S
from appliance.errors import ApplianceError, UsageRefused
from appliance.hybrid.analysis.deep.values import Refined
from appliance.hybrid.analysis.incidents.values import Answer
from appliance.hybrid.analysis.refining.around import Surroundings, Trained
from appliance.hybrid.analysis.refining.missing import look_for_missed
from appliance.hybrid.analysis.refining.questions import Gathered, gather
from appliance.hybrid_options import AnalysisOptions
from appliance.observe.analysis import AnswerRow, IncidentPicture, IncidentRow

PROGRAM: Final = "appliance.hybrid.analysis.deep.looking"
INCIDENT: Final = "incident"
"""The parameter of a run: the number of the incident."""
REFINED: Final = "refined"
"""Stage: from when a look was asked for until its answer was stored and told."""
PAST_MAX: Final = 200
"""Earlier incidents that one is compared with."""
NIGHT_US: Final = 26 * 3_600 * US_PER_S
"""What a night looks at: two hours more than a day, so that none falls between two."""
NIGHT_MAX: Final = 500
CONFIRMED: Final = {"extended": "confirmed"}
SAME: Final = 0.1
"""Confidence and severity that differ by less are the same."""


class Look:
    """A ``Work``: the deep pass of the incident that a run names. A run that is done again gives no second answer: one that says the
    same as the newest of the deep pass is not stored."""

    kind = "analysis"
    priority: Priority = "high"
    retries = 2
    notify: Sequence[str] = ()
    when = When()

    def __init__(self, workload: str, around: Surroundings, limits: Limits | None = None) -> None:
        self.name = look_name(workload)
        self.limits = limits
        self._workload = workload
        self._around = around

    async def run(self, context: Context) -> Outcome:
        """Looks and answers. Raises ``UsageRefused`` for a run without the number of an incident."""
        text = context.run.parameters.get(INCIDENT, "")
        if not text.isascii() or not text.isdigit():
            raise UsageRefused(f"{self.name}: which incident? say: --parameter {INCIDENT}=NUMBER, see: appliance analysis list")
        around = self._around
        said = await look(context, around, int(text), trained=around.trained(self._workload))
        now_us = around.clock.now_us()
        around.latencies.note(self._workload, REFINED, (now_us - context.run.due_us) / 1e3, at_us=now_us)
        return Outcome(said.words, rows=int(said.is_new))


class Night:
    """A ``Work``: all incidents of a day again, now that more has come after them, and what no incident has told of."""

    kind = "analysis"
    priority: Priority = "low"
    limits: Limits | None = None
    retries = 1

    def __init__(self, workload: str, options: AnalysisOptions, around: Surroundings) -> None:
        self.name = night_name(workload)
        self._workload, self._options, self._around = workload, options, around

    @property
    def when(self) -> When:
        return When(schedule=self._options.nightly or None)

    @property
    def notify(self) -> Sequence[str]:
        return ()

    async def run(self, context: Context) -> Outcome:
        """One incident after the other; one that can't be looked at is counted, and the others go on."""
        around = self._around
        since_us = around.clock.now_us() - NIGHT_US
        picture = await asyncio.to_thread(around.incidents.picture, limit=NIGHT_MAX)
        rows = [
            i for i in picture.incidents if i.workload == self._workload and max(i.until_us, i.opened_us) >= since_us and not i.feedback
        ]
        changed = failed = 0
        trained = around.trained(self._workload)
        for done, row in enumerate(rows):
            if context.is_cancelled():
                break
            context.progress(done / len(rows), f"incident {row.id}")
            try:
                changed += (await look(context, around, row.id, trained=trained, quiet=True)).is_new
            except UsageRefused:
                failed += 1
        opened, missed = await look_for_missed(context, around, self._workload, self._options, picture.incidents, night_us=NIGHT_US)
        found = [q for q in picture.quality if q.workload == self._workload]
        rate = f"; {found[0].overturned} of {found[0].looked_at} first answers overturned so far" if found and found[0].looked_at else ""
        not_looked = f", {failed} could not be" if failed else ""
        late = f"; {opened} found late in {missed.series} series" + (f", {missed.left} more left out" if missed.left else "")
        return Outcome(f"{len(rows)} incidents looked at again{not_looked}, {changed} answers changed{late}{rate}", rows=changed + opened)


@dataclass(frozen=True, slots=True)
class Said:
    """What came of a look."""

    words: str
    is_new: bool = False
    """Whether there is an answer that was not there before."""


async def look(context: Context, around: Surroundings, incident_id: int, *, trained: Trained, quiet: bool = False) -> Said:
    """Looks at one incident. With ``quiet`` its state does not say that it is being looked at. Raises what queries and programs raise;
    then its state says ``failed``, unless it is tried again."""
    incidents = around.incidents
    picture = await asyncio.to_thread(incidents.show, incident_id)
    if picture is None:
        return Said(f"incident {incident_id} is gone")
    if not quiet:
        await asyncio.to_thread(incidents.set_deep, incident_id, "running")
    try:
        refined = await _computed(context, around, picture, trained)
    except ApplianceError:
        await asyncio.to_thread(incidents.set_deep, incident_id, "failed")
        raise
    before = newest_deep(picture)
    if before is not None and says_the_same(before, refined, picture):
        await asyncio.to_thread(incidents.set_deep, incident_id, "done")
        return Said(f"incident {incident_id}: still {refined.verdict}")
    told = await asyncio.to_thread(incidents.answer, incident_id, answer_of(refined))
    around.step("deep.answered")
    await asyncio.to_thread(incidents.set_deep, incident_id, "done")
    return Said(f"incident {incident_id}: {refined.verdict}, confidence {refined.confidence:.2f}; {refined.basis}", told is not None)


async def _computed(context: Context, around: Surroundings, picture: IncidentPicture, trained: Trained) -> Refined:
    past = await asyncio.to_thread(_past, around, picture.incident)
    context.progress(None, f"reading around incident {picture.incident.id}")
    now_us = around.clock.now_us()
    gathered: Gathered = await gather(context.runner, around.state(), picture, past, now_us=now_us, zone=around.zone, trained=trained)
    try:
        around.step("deep.gathered")
        context.progress(0.5, f"comparing incident {picture.incident.id}")
        found = await context.runner.program(own_program(PROGRAM), input=msgspec.json.encode(gathered.asked))
    finally:
        await asyncio.to_thread(gathered.remove)
    around.step("deep.computed")
    return msgspec.json.decode(found, type=Refined)


def _past(around: Surroundings, incident: IncidentRow) -> list[IncidentPicture]:
    """Earlier incidents of the same analysis whose streams touch those of this one, the newest first; blocks."""
    rows = around.incidents.picture(limit=PAST_MAX).incidents
    mine = set(incident.streams)
    wanted = [r.id for r in rows if r.id < incident.id and r.workload == incident.workload and mine & set(r.streams)]
    return [p for i in wanted[: PAST_MAX // 4] if (p := around.incidents.show(i)) is not None]


def answer_of(refined: Refined) -> Answer:
    """As ``Incidents`` takes it."""
    return Answer(
        verdict=refined.verdict,  # type: ignore[arg-type]  # the program's answers have one of the four
        confidence=refined.confidence,
        summary=refined.summary,
        basis=refined.basis,
        severity=refined.severity,
        difference=refined.difference,
        models=refined.models,
        evidence=refined.evidence,
        members=refined.members,
        lines=refined.lines,
        since_us=refined.since_us,
    )


def newest_deep(picture: IncidentPicture) -> AnswerRow | None:
    """The newest answer of the deep pass; None: it has given none."""
    return next((a for a in reversed(picture.answers) if a.by == "deep"), None)


def says_the_same(before: AnswerRow, refined: Refined, picture: IncidentPicture) -> bool:
    """Whether an answer would tell nobody anything new: as grave and as sure as before, nothing that was not known to belong to it. What
    an answer has extended is not to be extended again, so that counts as confirmed."""
    known = {(m.stream, m.column, tuple(sorted(m.key.items())), m.template) for m in picture.members}
    new = {(m.stream, m.column, tuple(sorted(m.key.items())), m.template) for m in refined.members} - known
    is_close = abs(before.severity - refined.severity) < SAME and abs(before.confidence - refined.confidence) < SAME
    verdicts = {CONFIRMED.get(verdict, verdict) for verdict in (before.verdict, refined.verdict)}
    return len(verdicts) == 1 and is_close and not new and refined.since_us is None


def look_name(workload: str) -> str:
    """Of the work that looks at one incident."""
    return f"{workload}.deep"


def night_name(workload: str) -> str:
    """Of the work that looks at all incidents of a day."""
    return f"{workload}.nightly"


def not_looked_at(rows: Sequence[IncidentRow]) -> list[IncidentRow]:
    """Open incidents that nobody has looked at, or somebody had begun to when the process ended."""
    return [r for r in rows if r.deep in ("none", "queued", "running")]
