"""Nothing that goes on in the background is lost when it fails: it is said, what must go on goes on, and every end is called."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.alerting.asked import Asked
from appliance.background import Background, begin_from_thread, end_all, said_if_failed
from appliance.batching import training, view_loop
from appliance.batching.training import Implied
from appliance.batching.view_loop import ViewLoop
from appliance.cli import beside_tui
from appliance.cli.beside_tui import ServiceThread
from appliance.clock import SystemClock
from appliance.config import Config
from appliance.errors import RetryLater
from appliance.hybrid.analysis.refining import part
from appliance.hybrid.analysis.refining.part import Refining
from tests.serving.queries_of import until


async def broken() -> None:
    raise KeyError("nobody thought of it")


def said(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    """Whether the log says it, with the traceback."""
    return any(words in r.getMessage() and r.exc_info for r in caplog.records)


async def test_what_fails_in_the_background_is_said_by_its_name_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    background, go, done = Background(), asyncio.Event(), []

    async def other() -> None:
        await go.wait()
        done.append(1)

    background.begin(broken(), "the first thing")
    background.begin(other(), "the other")
    await until(lambda: len(background) == 1, "the end of the first")
    assert said(caplog, "the first thing has failed")
    go.set()
    await background.finish()
    assert done == [1]
    background.begin(asyncio.Event().wait(), "one without an end")  # type: ignore[arg-type]  # what it gives is not looked at
    await background.stop()
    assert not background


async def test_what_a_thread_begins_and_what_nobody_waits_for_any_more_is_said_too(caplog: pytest.LogCaptureFixture) -> None:
    begin_from_thread(asyncio.get_running_loop(), broken(), "the move")
    await until(lambda: said(caplog, "the move has failed"), "the log")
    future: Future[None] = Future()
    said_if_failed(future, "the storing")
    future.set_exception(ValueError("no"))
    assert said(caplog, "the storing has failed")
    given_up: Future[None] = Future()
    said_if_failed(given_up, "what was given up")
    given_up.cancel()
    assert "what was given up" not in caplog.text


async def test_every_end_is_called_though_one_fails_and_the_first_failure_is_raised() -> None:
    called = []

    async def second() -> None:
        called.append("second")
        raise ValueError("second")

    def third() -> None:
        called.append("third")

    with pytest.raises(KeyError):
        await end_all((broken, second, third))
    assert called == ["second", "third"]


async def test_a_defect_in_a_question_of_a_rule_is_its_reason_and_it_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    asked = []

    class Queries:
        async def run(self, question: Any) -> Any:
            asked.append(question)
            return await broken()

    options = SimpleNamespace(sql="SELECT 1", every_s=0.001, by=())
    alerts = SimpleNamespace(alerts=SimpleNamespace(sql_time_max_s=60.0))
    processor: Any = SimpleNamespace(meter=SimpleNamespace(note_asked=lambda _name, _ms: None))
    rulebook: Any = SimpleNamespace(parsed={"pump": SimpleNamespace(options=options)}, config=alerts)
    queries: Any = Queries()
    rules = Asked(queries=queries, processor=processor, clock=SystemClock())
    rules.configure(rulebook)
    await until(lambda: len(asked) > 2, "further questions")
    rules.close()
    assert "by a defect (KeyError" in rules.rules["pump"].reason
    assert len([r for r in caplog.records if "the rule pump could not be asked" in r.getMessage()]) == 1, "said once"


async def test_a_model_that_could_not_be_looked_at_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(training, "LOOK_S", 0.001)
    looks: list[str] = []

    def rows(name: str) -> list[Any]:
        looks.append(name)
        if len(looks) == 1:
            raise OSError("the store can't be read")
        return []

    asked = []

    async def ask(name: str) -> None:
        asked.append(name)

    around: Any = SimpleNamespace(clock=SystemClock(), store=SimpleNamespace(rows=rows))
    wanted: Any = SimpleNamespace(name="usual", is_implied=True, about=lambda: "something")
    implied = Implied(around, ask)
    implied.configure([wanted])
    await until(lambda: asked, "the question")
    implied.close()
    assert said(caplog, "the model usual could not be looked at")


async def test_views_that_no_process_could_look_at_are_looked_at_again_without_a_new_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_loop, "LOOK_S", 0.001)
    tries = []

    class Desk:
        options: Mapping[str, Any] = {"hourly": None}

        async def configure(self, _options: object) -> None:
            pass

        def state(self) -> Any:
            return SimpleNamespace(views={}, streams={"pump": SimpleNamespace(id=1)})

        async def define_all(self, _runner: object) -> None:
            tries.append(1)
            if len(tries) == 1:
                raise RetryLater("all query processes are busy", after_s=1)

    desk: Any = Desk()
    nothing: Any = None
    loop = ViewLoop(desk, runner=nothing, queue=nothing)
    await loop.start(desk.options)
    await until(lambda: len(tries) == 2, "the second look")
    await loop.stop()


async def test_the_ticks_of_the_deep_pass_go_on_after_a_defect_and_the_incident_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(part, "TICK_S", 0.001)
    monkeypatch.setattr(part, "AGAIN_US", 0)
    refreshed, shown = [], []

    def refresh() -> None:
        refreshed.append(1)
        raise KeyError("a model")

    def show(incident_id: int) -> None:
        shown.append(incident_id)
        raise KeyError("an incident")

    incidents: Any = SimpleNamespace(show=show, open=list, on_open=[], on_grow=[], on_close=[])
    box: Any = SimpleNamespace(clock=SystemClock(), state=None, latencies=None)
    nothing: Any = SimpleNamespace()
    refining = Refining(box, Config(data_dir=tmp_path), incidents=incidents, live=nothing, batch=nothing)
    monkeypatch.setattr(refining.models, "start", lambda _names: None)
    monkeypatch.setattr(refining.models, "refresh", refresh)
    await refining.start()
    refining.wanted(7)
    await until(lambda: len(shown) > 2 and len(refreshed) > 2, "further ticks")
    assert "a defect (KeyError" in refining.problems()[0].what
    await refining.stop()


def test_a_service_that_fails_beside_the_ui_is_told_when_the_ui_waits_for_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Service:
        def __init__(self) -> None:
            self.ready, self._end = asyncio.Event(), asyncio.Event()
            self._loop = asyncio.get_running_loop()

        async def run(self) -> int:
            self.ready.set()
            await self._end.wait()
            raise RetryLater("its end has failed")

        def stop(self) -> None:
            self._loop.call_soon_threadsafe(self._end.set)

    monkeypatch.setattr(beside_tui, "make_service", lambda _config: Service())
    caplog.set_level(logging.INFO)
    beside = ServiceThread(Config(data_dir=tmp_path))
    beside.start()
    beside.stop()
    with pytest.raises(RetryLater, match="its end has failed"):
        beside.join()
