"""What the played service has seen: an incident that batch has looked at again, one that was none, and texts to be found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from appliance.clock import US_PER_S as S
from appliance.clock import Clock
from appliance.errors import UsageRefused
from appliance.observe.analysis import (
    AnalysisPicture,
    AnswerRow,
    EvidenceRow,
    FeedbackRow,
    IncidentPicture,
    IncidentRow,
    LearningRow,
    MemberRow,
    QualityRow,
)
from appliance.observe.search import Found, Hit

FIRST = "press_temp of A/press-1 is 4.2 times the usual spread for Sunday 07:00 since 14:31."
REFINED = "press_temp of A/press-1 rose by 9.1 at 14:31:07; pump_flow\x1b[31m followed 12 s later."


@dataclass
class InsightBox:
    """What ``FakeClient`` answers about analysis and search; ``is_calm``: nothing was ever unusual."""

    clock: Clock
    is_calm: bool = False
    said: dict[int, str] = field(default_factory=dict)

    def picture(self) -> AnalysisPicture:
        now = self.clock.now_us()
        incidents = () if self.is_calm else (self._row(7, now), self._row(6, now))
        learning = (
            LearningRow(workload="watch", stream="press_temp", series=48, left_out=0, templates=0, learned=0.4,
                state="learning, 40 % of a week", score=0.997, behind_s=0.02, passed_over=0),
            LearningRow(workload="watch", stream="plant_log", series=0, left_out=12, templates=31, learned=1.0, state="learned",
                score=0.2, behind_s=2.0, passed_over=140),
        )  # fmt: skip
        quality = (
            QualityRow(workload="watch", models={"analysis": "3"}, incidents=12, looked_at=10, overturned=4, confirmed_by_people=2,
                dismissed_by_people=1, found_late=2),
        )  # fmt: skip
        return AnalysisPicture(incidents=incidents, learning=learning, quality=quality, memory=9_000_000)

    def incident(self, number: int) -> IncidentPicture:
        now = self.clock.now_us()
        first = _answer(1, "first", "unusual", FIRST, now - 90 * S, superseded_us=now - 70 * S)
        refined = _answer(
            2, "deep", "confirmed" if number == 7 else "dismissed", REFINED, now - 70 * S, difference="the rise began 4 s earlier"
        )
        return IncidentPicture(
            incident=self._row(number, now),
            members=(
                MemberRow(stream="press_temp", column="value", key={"line": "A", "device": "press-1"}, template=None, kind="value",
                    since_us=now - 95 * S, until_us=now - 5 * S, peak_us=now - 30 * S, score=0.999, value=91.2, expected=61.0, records=90,
                    reason="4.2 times the usual spread; steepest rise in 9 days", seq=48_120),
                MemberRow(stream="plant_log", column="message", key={}, template="valve <*> stuck", kind="new template",
                    since_us=now - 60 * S, until_us=now - 60 * S, peak_us=now - 60 * S, score=0.97, value=None, expected=None, records=1,
                    reason="never said before", seq=12),
            ),
            answers=(first, refined),
            evidence=(
                EvidenceRow(kind="follows", stream="pump_flow", column="value", key={}, at_us=now - 80 * S, value=0.91,
                    what="pump_flow falls 12 s after it, as in 0.91 of all such rises"),
            ),
            feedback=(FeedbackRow(verdict="confirm", author="ada", comment="valve 3 again", at_us=now - 20 * S),) if number == 7 else (),
            lines=({"ts": "2026-11-22T14:31:09Z", "stream": "plant_log", "text": "valve 3 stuck"},),
        )  # fmt: skip

    def say(self, number: int, verdict: str) -> IncidentRow:
        self.said[number] = verdict
        return self._row(number, self.clock.now_us())

    def search(self, text: str, order: str) -> Found:
        if text.startswith("AND"):
            raise UsageRefused("AND stands between two words")
        hits = tuple(h for h in self._hits() if text.casefold() in h.snippet.casefold() or text.casefold() in h.name.casefold())
        ordered = hits if order == "time" else tuple(sorted(hits, key=lambda h: -h.rank))
        return Found(hits=ordered, total=len(hits), is_whole=True, took_ms=4.2, notes=())

    def _hits(self) -> tuple[Hit, ...]:
        now = self.clock.now_us()
        texts = ("valve 3 stuck, pressure 4.1 bar", "pump\x1b[2J started by hand", "valve 1 moved, after a long while in which nothing did")
        hits: list[Hit] = [
            Hit(kind="record", stream="plant_log", name="message", ts_us=now - (5 + i) * S, seq=100 - i, tags={"unit": f"u{i}"},
                snippet=text, marks=((0, 5),), rank=float(i))
            for i, text in enumerate(texts)
        ]  # fmt: skip
        hits.append(
            Hit(
                kind="stream",
                stream="press_temp",
                name="press_temp",
                ts_us=None,
                seq=None,
                tags={},
                snippet="press_temp",
                marks=(),
                rank=0.0,
            )
        )
        found = "gate <*> shut, pressure <*> bar"
        hits.append(
            Hit(
                kind="template",
                stream="plant_log",
                name=found,
                ts_us=now,
                seq=None,
                tags={},
                snippet=found,
                marks=(),
                rank=0.0,
                again="stuck, pressure",
            )
        )
        return tuple(hits)

    def _row(self, number: int, now: int) -> IncidentRow:
        is_open = number == 7 and self.said.get(7) != "dismiss"
        return IncidentRow(
            id=number, workload="watch", state="open" if is_open else "dismissed", opened_us=now - 90 * S, since_us=now - 95 * S,
            until_us=now - 5 * S, closed_us=None if is_open else now - 60 * S,
            streams=("press_temp", "plant_log"), members=2, severity=0.93,
            verdict="confirmed" if is_open else "dismissed", confidence=0.88, summary=REFINED if is_open else "a restart, as every Sunday",
            answers=2, deep="done", feedback=self.said.get(number),
        )  # fmt: skip


def _answer(number: int, by: str, verdict: str, summary: str, at_us: int, **more: Any) -> AnswerRow:
    rest: dict[str, Any] = {"difference": "", "superseded_us": None, "models": {"first": "built in"}, "written_by": "built in"} | more
    return AnswerRow(
        number=number, by=by, verdict=verdict, confidence=0.88, severity=0.93, summary=summary, basis="4,112 late records and 30 days",
        at_us=at_us, **rest,
    )  # fmt: skip
