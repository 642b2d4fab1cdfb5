"""Summaries are worded anew beside everything else: bounded, one after the other, and nobody waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.clock import SystemClock
from appliance.config import Config
from appliance.hybrid.analysis.wording.rewording import WAITING_MAX, Rewording
from appliance.hybrid.analysis.wording.words import Words
from appliance.hybrid_options import LanguageModelOptions
from appliance.observe.analysis import IncidentPicture
from appliance.observe.ladder import Ladder, Standing, Step
from tests.notify.hook import Answer, Hook, hangs, says
from tests.running import wait_for
from tests.wording.pictures import answer, picture
from tests.wording.test_endpoint import FINE, completion


class Kept:
    """Incidents as they are kept."""

    def __init__(self, *pictures: IncidentPicture) -> None:
        self.pictures = {one.incident.id: one for one in pictures}
        self.shown: list[int] = []
        self.reworded: list[tuple[int, int, str, str]] = []

    def show(self, incident_id: int) -> IncidentPicture | None:
        self.shown.append(incident_id)
        return self.pictures.get(incident_id)

    def reword(self, incident_id: int, number: int, summary: str, written_by: str) -> bool:
        self.reworded.append((incident_id, number, summary, written_by))
        return True


@contextmanager
def rewording(kept: Kept, *answers: Answer, ladder: Ladder | None = None, **more: Any) -> Iterator[tuple[Rewording, Hook]]:
    with Hook(*answers) as hook:
        options = LanguageModelOptions(url=f"http://127.0.0.1:{hook.port}/v1", model="m", timeout_s=30.0, **more)
        one = Rewording(Words(options, clock=SystemClock()), kept, ladder=ladder or Ladder())
        try:
            yield one, hook
        finally:
            asyncio.run(one.stop())


def test_the_answer_that_counts_is_worded_with_its_number() -> None:
    first, second = answer(superseded_us=1), answer(number=2, by="deep", verdict="confirmed")
    kept = Kept(picture(number=3, answers=(first, second)))
    with rewording(kept, completion(FINE)) as (one, _):
        one.put(3)
        wait_for(lambda: kept.reworded, what="the wording")
    assert kept.reworded == [(3, 2, FINE, "m")]


def test_what_is_worded_already_is_gone_or_can_t_be_worded_stays_as_it_is() -> None:
    kept = Kept(picture(number=1, answers=(answer(written_by="m"),)), picture(number=3), picture(number=4))
    with rewording(kept, says(500), completion(FINE)) as (one, hook):
        for number in (1, 2, 3, 4):
            one.put(number)
        wait_for(lambda: kept.reworded, what="the wording")
        assert len(hook.requests) == 2
    assert kept.reworded == [(4, 1, FINE, "m")]


def test_a_storm_waits_within_a_bound_and_nobody_waits_for_it() -> None:
    kept = Kept(*(picture(number=n) for n in range(1_000)))
    with rewording(kept, hangs) as (one, hook):
        one.put(0)
        wait_for(lambda: hook.requests, what="the first question")
        for number in [*range(1, 1_000)] * 2:
            one.put(number)
        assert len(one._waiting) == WAITING_MAX
        assert one.passed_over >= 999 - WAITING_MAX
        assert kept.shown == [0]
    assert not kept.reworded


def test_off_it_has_no_thread() -> None:
    one = Rewording(Words(LanguageModelOptions(), clock=SystemClock()), Kept(picture()), ladder=Ladder())
    before = threading.active_count()
    one.put(7)
    assert (threading.active_count(), len(one._waiting)) == (before, 0)


def test_it_is_turned_on_by_a_reload() -> None:
    kept = Kept(picture())
    with Hook(completion(FINE)) as hook:
        one = Rewording(Words(LanguageModelOptions(), clock=SystemClock()), kept, ladder=Ladder())
        one.reload(Config(data_dir=Path(), language_model=LanguageModelOptions(url=f"http://127.0.0.1:{hook.port}/v1", model="m")))
        one.put(7)
        wait_for(lambda: kept.reworded, what="the wording")
        asyncio.run(one.stop())


def test_a_degraded_box_words_nothing() -> None:
    ladder, kept = Ladder(), Kept(picture())
    ladder.standing = Standing(step=Step.ANALYSIS_SHED)
    with rewording(kept, completion(FINE), ladder=ladder) as (one, hook):
        one.put(7)
        wait_for(lambda: one.passed_over, what="it to be passed over")
        assert not hook.requests


def test_a_defect_ends_no_other_wording() -> None:
    class Broken(Kept):
        def show(self, incident_id: int) -> IncidentPicture | None:
            if incident_id == 1:
                raise ZeroDivisionError
            return super().show(incident_id)

    kept = Broken(picture(number=2))
    with rewording(kept, completion(FINE)) as (one, _):
        one.put(1)
        one.put(2)
        wait_for(lambda: kept.reworded, what="the wording")


def test_an_endpoint_that_never_answers_is_a_problem_of_the_box() -> None:
    kept = Kept(*(picture(number=n) for n in range(3)))
    with rewording(kept, says(500), says(500), says(500, body=b"broken")) as (one, hook):
        assert not one.problems()
        for number in range(3):
            one.put(number)
        (problem,) = wait_for(one.problems, what="the problem")
        assert len(hook.requests) == 3
    assert problem.level == "WARN"
    assert problem.what == "the language model m has given no answer 3 times: HTTP 500: broken"
