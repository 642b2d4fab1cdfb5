"""What the HTTP interface refuses while the box is degraded: by path, with the reason and the time after which to ask again.

Records, alerts, the state of the box and its probes are answered on every step of the ladder.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from appliance.observe.ladder import Ladder, Step
from appliance.serving.question import Question

REFUSED: Final[tuple[tuple[str, Step, str], ...]] = (
    ("/api/views/", Step.BATCH_PAUSED, "views are not refreshed"),
    ("/api/alerts/chart", Step.ANALYSIS_SHED, "charts of alerts are not drawn"),
    ("/api/jobs/query", Step.ANALYSIS_SHED, "background queries are not taken"),
    ("/api/reports/issue", Step.ANALYSIS_SHED, "reports are not issued by hand"),
    ("/api/reports/render", Step.ANALYSIS_SHED, "reports are not made by hand"),
    ("/api/query", Step.RECORDS_AND_ALERTS, "queries are not answered"),
    ("/api/v3/query_sql", Step.RECORDS_AND_ALERTS, "queries are not answered"),
    ("/api/search", Step.RECORDS_AND_ALERTS, "searches are not answered"),
    ("/api/panels", Step.RECORDS_AND_ALERTS, "panels are not answered"),
    ("/api/series", Step.RECORDS_AND_ALERTS, "panels are not answered"),
    ("/api/latest", Step.RECORDS_AND_ALERTS, "panels are not answered"),
)
"""Beginning of a path, the step from which on it is refused, and what can't be had. The first that fits counts."""


def check(ladder: Ladder, path: str) -> None:
    """Raises ``RetryLater`` for what is refused where the box stands now."""
    if ladder.step:
        for begin, step, what in REFUSED:
            if path.startswith(begin):
                ladder.check(step, what)
                return


def without_views(ladder: Ladder, question: Question) -> Question:
    """The question as it is asked where the box stands now: from ``VIEWS_LIVE`` on no view stands in for records."""
    return replace(question, views=False) if ladder.step >= Step.VIEWS_LIVE and question.views else question
