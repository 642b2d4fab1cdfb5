"""What is refused on which step of the ladder, by path."""

from __future__ import annotations

import pytest

from appliance.errors import RetryLater
from appliance.observe.ladder import Ladder, Standing, Step
from appliance.serving.http.shedding import check, without_views
from appliance.serving.question import Question

FIRST_REFUSED = {
    "/api/views/hourly/refresh": 1,
    "/api/alerts/chart": 2,
    "/api/jobs/query": 2,
    "/api/reports/issue": 2,
    "/api/reports/render": 2,
    "/api/query": 4,
    "/api/v3/query_sql": 4,
    "/api/search": 4,
    "/api/series": 4,
    "/api/latest": 4,
    "/write": 5,
    "/api/v2/write": 5,
    "/api/v3/write_lp": 5,
    "/api/ingest": 5,
    "/ping": 5,
    "/health": 5,
    "/ready": 5,
    "/metrics": 5,
    "/api/status": 5,
    "/api/tail": 5,
    "/api/events": 5,
    "/api/alerts": 5,
    "/api/alerts/ack": 5,
    "/api/jobs": 5,
    "/api/jobs/run": 5,
    "/api/jobs/cancel": 5,
    "/api/queries/abc": 5,
    "/api/views": 5,
    "/api/reports": 5,
    "/api/reload": 5,
}
"""The first step on which a path is refused; 5: never."""


def at(step: int) -> Ladder:
    ladder = Ladder()
    ladder.standing = Standing(step=Step(step), since_us=1, kind="disk", why="the disk has 3 MiB left")
    return ladder


@pytest.mark.parametrize(("path", "first"), FIRST_REFUSED.items())
def test_each_path_is_refused_from_its_step_on(path: str, first: int) -> None:
    for step in range(5):
        if step < first:
            check(at(step), path)
        else:
            with pytest.raises(RetryLater, match="because the disk has 3 MiB left"):
                check(at(step), path)


@pytest.mark.parametrize(("step", "views"), [(0, True), (1, True), (2, True), (3, False), (4, False)])
def test_views_stand_in_until_they_are_answered_live_only(step: int, views: bool) -> None:
    assert without_views(at(step), Question(sql="SELECT 1", id="q")).views == views
    assert not without_views(at(step), Question(sql="SELECT 1", id="q", views=False)).views
