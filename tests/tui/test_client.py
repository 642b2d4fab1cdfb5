"""The client over a real unix socket, against the same JSON that the service speaks."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from appliance.errors import ApplianceError, NotRunning, QueryCancelled, QueryRefused
from appliance.observe.author import author
from tests.running import wait_for
from tests.tui.fake import NOON_US, FakeClient, FakeClock, S
from tests.tui.served import BoxServer
from tui.client import ColumnInfo, Stop
from tui.history import Wanted, ask_history
from tui.socket_client import SocketClient
from tui.widgets.plot import Window


@contextmanager
def served(path: Path, **options: Any) -> Iterator[BoxServer]:
    with BoxServer(path, FakeClient(FakeClock(), **options)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})  # noqa: TID251 - ends with the block
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            path.unlink(missing_ok=True)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[SocketClient]:
    asking = SocketClient(tmp_path / "s")
    yield asking
    asking.close()


def query(client: SocketClient, sql: str, *, rows_max: int = 1000, stop: Stop | None = None) -> Any:
    return client.query(sql, rows_max=rows_max, stop=stop or Stop())


def test_every_question_gets_its_value(tmp_path: Path, client: SocketClient) -> None:
    with served(tmp_path / "s") as server:
        box = server.box
        assert client.status() == box.status()
        assert client.series("host_cpu", "value", since_us=NOON_US - 60 * S) == box.series("host_cpu", "value", since_us=NOON_US - 60 * S)
        assert client.latest("host_cpu") == box.latest("host_cpu")
        assert client.columns("host_cpu")[0] == ColumnInfo("line", "tag")
        assert client.where == str(tmp_path / "s")


def test_every_question_about_alerts_gets_its_value(tmp_path: Path, client: SocketClient) -> None:
    with served(tmp_path / "s") as server:
        box, key = server.box, {"device": "oven-2 [/]&=é"}
        assert client.alerts() == box.alerts()
        assert client.alert_history(limit=7, rule="vibration") == box.alert_history(limit=7, rule="vibration")
        assert client.alert_chart("overheating", key) == box.alert_chart("overheating", key)
        assert client.alert_chart("silent", {}) is None
        assert f"alert chart overheating {key}" in box.asked
        assert len(server.connections) == 1


def test_what_is_done_about_alerts_is_done_once_in_the_name_of_the_user(tmp_path: Path, client: SocketClient) -> None:
    with served(tmp_path / "s") as server:
        client.acknowledge("overheating", {"device": None}, comment="c", until="2h")
        client.unacknowledge("overheating", {"device": None})
        assert client.silence(["rule=a*"], until="2h", comment="c").matchers == ("rule=a*",)
        assert not client.unsilence(2).is_active
        assert [what for what, *_ in server.box.alert_box.done] == ["ack", "unack", "silence", "unsilence"]
        assert server.authors == [author()] * 4
        with pytest.raises(ApplianceError, match="until: a number"):
            client.silence(["rule=a*"], until="soon", comment="c")
    with pytest.raises(NotRunning):
        client.unsilence(2)


@pytest.mark.parametrize("name", ["with space", "a&b=c", "Küche/°C", "100%", "?#"])
def test_any_name_reaches_the_service_as_it_is(tmp_path: Path, name: str, client: SocketClient) -> None:
    with served(tmp_path / "s") as server:
        client.latest(name)
        assert server.box.asked[-1] == f"latest {name}"


def test_one_connection_serves_all_short_questions(tmp_path: Path, client: SocketClient) -> None:
    with served(tmp_path / "s") as server:
        for _ in range(5):
            client.status()
        assert len(server.connections) == 1


def test_a_service_that_went_away_and_came_back_is_found_again(tmp_path: Path, client: SocketClient) -> None:
    path = tmp_path / "s"
    with pytest.raises(NotRunning, match="start it with: appliance run"):
        client.status()
    with served(path):
        client.status()
    with pytest.raises(NotRunning):
        client.status()
    with served(path):
        assert client.status().node == "press-line-3"


def test_a_folder_deeper_than_a_socket_address_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    with served(Path("appliance.sock")):
        assert len(str(deep / "appliance.sock")) > 108
        with closing(SocketClient(deep / "appliance.sock")) as client:
            assert client.status().node == "press-line-3"


def test_an_answer_stops_at_the_rows_that_are_wanted(tmp_path: Path, client: SocketClient) -> None:
    with served(tmp_path / "s", answer=pa.table({"n": list(range(5000))})):
        answer = query(client, "SELECT n", rows_max=1000)
        assert answer.table.column("n").to_pylist() == list(range(1000))
        assert not answer.complete


def test_an_answer_of_exactly_the_rows_wanted_is_whole(tmp_path: Path, client: SocketClient) -> None:
    with served(tmp_path / "s", answer=pa.table({"n": list(range(1000))})):
        assert query(client, "SELECT n", rows_max=1000).complete


def test_a_refused_query_carries_its_reason(tmp_path: Path, client: SocketClient) -> None:
    with served(tmp_path / "s", refuse='Parser Error: syntax error at or near "SELEC"'), pytest.raises(QueryRefused, match='near "SELEC"'):
        query(client, "SELEC 1")


def test_a_stopped_query_ends_at_once_and_the_service_is_told(tmp_path: Path, client: SocketClient) -> None:
    with served(tmp_path / "s") as server:
        server.box.hold.clear()
        stop, ended = Stop(), threading.Event()

        def ask() -> None:
            with pytest.raises(QueryCancelled):
                query(client, "SELECT 1", stop=stop)
            ended.set()

        thread = threading.Thread(target=ask)  # noqa: TID251 - joined below
        thread.start()
        wait_for(lambda: server.running, what="the query to arrive")
        stop.stop()
        thread.join(10)
        assert ended.is_set()
        assert server.cancelled == list(server.running)


def test_the_far_past_comes_in_buckets_with_gaps(tmp_path: Path, client: SocketClient) -> None:
    window = Window(NOON_US - 60 * 3600 * S, 3600 * S, 80)
    with served(tmp_path / "s"):
        series = ask_history(client, Wanted("oven", 'we"ird', window), Stop())
    assert (series.start_us, series.step_us, len(series.mean)) == (window.from_us, 1800 * S, 160)
    assert all(value is not None for value in series.mean[:120])
    assert set(series.mean[120:]) == {None}  # the future


def test_an_answer_of_another_version_is_told_apart_from_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: SocketClient
) -> None:
    with served(tmp_path / "s"):
        monkeypatch.setattr(FakeClient, "status", lambda _self: {"nothing": "known"})
        with pytest.raises(ApplianceError, match="another version"):
            client.status()


def test_the_client_loads_neither_textual_nor_the_service() -> None:
    code = "import sys, tui.client; print([m for m in sys.modules if m in ('textual', 'pyarrow', 'duckdb', 'appliance.service')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
