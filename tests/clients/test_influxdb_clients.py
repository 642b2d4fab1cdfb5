"""The client libraries of InfluxDB 1, 2 and 3 against the running service: it is to them what their own server would be."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from importlib import import_module
from typing import Any

import influxdb
import pytest

from tests.running import Running, running, wait_for

influxdb2: Any = import_module("influxdb_client")  # as Any: half of what they export has no types
influxdb3: Any = import_module("influxdb_client_3")
SYNCHRONOUS = import_module("influxdb_client.client.write_api").SYNCHRONOUS
WriteType = import_module("influxdb_client_3.write_client.client.write_api").WriteType
errors3 = import_module("influxdb_client_3.exceptions.exceptions")
AT = datetime(2026, 11, 22, 9, 0, 0, 250_000, UTC)
TOKEN = "correct-horse"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("clients") / "data", fresh=True) as started:
        yield started


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("guarded") / "data", config=f'[http]\ntokens = ["{TOKEN}"]\n') as started:
        yield started


def count(service: Running, stream: str) -> int:
    return int(service.query(f'SELECT count(*) AS n FROM "{stream}"')[0]["n"])


# --- version 1 ----------------------------------------------------------------------------------------------------------------


def client_v1(service: Running, **more: Any) -> influxdb.InfluxDBClient:
    return influxdb.InfluxDBClient("127.0.0.1", service.port, database="plant", timeout=30, **more)


def point(stream: str, value: float, **tags: str) -> dict[str, Any]:
    return {
        "measurement": stream,
        "tags": {"sensor": "a b,c=d", **tags},
        "time": AT.isoformat(),
        "fields": {"temperature": value, "n": 3, "ok": True, "said": 'a "b"'},
    }


@pytest.mark.parametrize("gzip", [False, True])
def test_v1_pings_creates_its_database_writes_and_lists(service: Running, gzip: bool) -> None:
    client = client_v1(service, gzip=gzip)
    stream = f"v1_{gzip}".lower()
    assert client.ping()
    client.create_database("plant")
    assert {"name": "plant"} in client.get_list_database()
    assert client.write_points([point(stream, 21.5)])
    (row,) = service.query(f'SELECT * EXCLUDE (_seq) FROM "{stream}"')
    assert row == {"ts": "2026-11-22T09:00:00.250000Z", "sensor": "a b,c=d", "temperature": 21.5, "n": 3, "ok": True, "said": 'a "b"'}


@pytest.mark.parametrize("unit", ["s", "ms", "u", "n"])
def test_v1_says_its_precision(service: Running, unit: str) -> None:
    client = client_v1(service)
    assert client.write_points([point(f"v1_in_{unit}", 1.0)], time_precision=unit)
    expected = "2026-11-22T09:00:00Z" if unit == "s" else "2026-11-22T09:00:00.250000Z"
    assert service.query(f"SELECT ts FROM v1_in_{unit}") == [{"ts": expected}]


def test_v1_is_told_what_it_can_t_write_and_the_good_lines_are_kept(service: Running) -> None:
    client = client_v1(service)
    client.write_points([point("v1_clash", 1.0)])
    with pytest.raises(influxdb.exceptions.InfluxDBClientError, match="partial write") as refused:
        client.write_points(["v1_clash,sensor=x temperature=2", 'v1_clash,sensor=y temperature="warm"'], protocol="line")
    assert refused.value.code == 400
    assert count(service, "v1_clash") == 2


def test_v1_users_show_their_token_as_password(guarded: Running) -> None:
    client_v1(guarded, username="anyone", password=TOKEN).write_points([point("v1_user", 1.0)])
    with pytest.raises(influxdb.exceptions.InfluxDBClientError) as refused:
        client_v1(guarded, username="anyone", password="wrong-one").write_points([point("v1_user", 2.0)])
    assert refused.value.code == 401


# --- version 2 ----------------------------------------------------------------------------------------------------------------


def client_v2(service: Running, token: str = "", **more: Any) -> Any:
    return influxdb2.InfluxDBClient(f"http://127.0.0.1:{service.port}", token=token, org="o", timeout=30_000, **more)


@pytest.mark.parametrize("gzip", [False, True])
def test_v2_probes_and_writes_one_by_one(service: Running, gzip: bool) -> None:
    stream = f"v2_{gzip}".lower()
    with client_v2(service, enable_gzip=gzip) as client:
        assert client.ping()
        assert client.version()
        assert client.ready().status == "ready"
        writer = client.write_api(write_options=SYNCHRONOUS)
        writer.write("bucket", record=influxdb2.Point(stream).tag("sensor", "a").field("temperature", 21.5).time(AT))
        writer.write("bucket/autogen", record=[f"{stream},sensor=b temperature=22.5 1795338000"], write_precision="s")
    rows = service.query(f"SELECT sensor, temperature FROM {stream} ORDER BY sensor")
    assert rows == [{"sensor": "a", "temperature": 21.5}, {"sensor": "b", "temperature": 22.5}]


def test_v2_batches_in_the_background_and_brings_all_in_at_its_end(service: Running) -> None:
    with client_v2(service) as client, client.write_api() as writer:
        for i in range(2_500):
            writer.write("bucket", record=f"v2_batched,i={i % 10} f={i} {1_795_338_000_000_000_000 + i * 1000}")
    assert count(service, "v2_batched") == 2_500


def test_v2_is_told_what_it_can_t_write(service: Running) -> None:
    with client_v2(service) as client:
        writer = client.write_api(write_options=SYNCHRONOUS)
        with pytest.raises(influxdb2.rest.ApiException) as refused:
            writer.write("bucket", record=["v2_bad f=1", "v2_bad"])
        assert (refused.value.status, refused.value.headers["X-Platform-Error-Code"]) == (400, "invalid")
        with pytest.raises(influxdb2.rest.ApiException) as refused:
            writer.write("bucket", record=['v2_bad f="text"'])
        assert refused.value.status == 422
    assert count(service, "v2_bad") == 1


def test_v2_shows_its_token(guarded: Running) -> None:
    with client_v2(guarded, TOKEN) as client:
        client.write_api(write_options=SYNCHRONOUS).write("bucket", record="v2_user f=1")
    with client_v2(guarded, "wrong-one") as client, pytest.raises(influxdb2.rest.ApiException) as refused:
        client.write_api(write_options=SYNCHRONOUS).write("bucket", record="v2_user f=2")
    assert refused.value.status == 401


def test_home_assistants_start_up_test_of_v2_and_v1_finds_the_credentials_fine(guarded: Running) -> None:
    with client_v2(guarded, TOKEN) as client:
        client.write_api(write_options=SYNCHRONOUS).write("bucket", record=b"")
    assert client_v1(guarded, username="anyone", password=TOKEN).write_points([])


# --- version 3 ----------------------------------------------------------------------------------------------------------------


def client_v3(service: Running, **options: Any) -> Any:
    write_options = influxdb3.WriteOptions(write_type=WriteType.synchronous, **options)
    return influxdb3.InfluxDBClient3(
        host=f"http://127.0.0.1:{service.port}",
        token="any",
        database="plant",
        write_client_options=influxdb3.write_client_options(write_options=write_options),
    )


@pytest.mark.parametrize(
    "options", [{"use_v2_api": True}, {"use_v2_api": False}, {"use_v2_api": False, "no_sync": True}], ids=["v2", "v3", "no-sync"]
)
def test_v3_writes_on_whichever_path_it_takes(service: Running, options: dict[str, bool], request: pytest.FixtureRequest) -> None:
    stream = f"v3_{request.node.callspec.id.replace('-', '_')}"
    with client_v3(service, **options) as client:
        client.write(influxdb3.Point(stream).tag("sensor", "a").field("temperature", 21.5).time(AT))
        client.write([f"{stream},sensor=b temperature=22.5 {int(AT.timestamp())}"], write_precision="s")
        with pytest.raises(errors3.InfluxDBError, match="partial write"):
            client.write([f"{stream},sensor=c temperature=1 1", "bad"])
    assert sorted(row["sensor"] for row in service.query(f"SELECT sensor FROM {stream}")) == ["a", "b", "c"]


@pytest.mark.parametrize(("accept_partial", "kept"), [(True, 1), (False, 0)])
def test_v3_reads_which_lines_were_bad(service: Running, accept_partial: bool, kept: int) -> None:
    stream = f"v3_partial_{accept_partial}".lower()
    service.write(f"{stream},sensor=known temperature=1 1")
    with (
        client_v3(service, use_v2_api=False, accept_partial=accept_partial) as client,
        pytest.raises(errors3.InfluxDBPartialWriteError) as refused,
    ):
        client.write([f"{stream},sensor=new temperature=1 1", "bad"])
    ((line, text),) = [(e.line_number, e.original_line) for e in refused.value.line_errors]
    assert (line, text) == (2, "bad")
    assert count(service, stream) == 1 + kept


# --- again --------------------------------------------------------------------------------------------------------------------


class Forgetful(http.server.BaseHTTPRequestHandler):
    """Passes each request on to the service and then loses the answer of the first: what a time-out looks like to a client."""

    protocol_version = "HTTP/1.1"
    target = 0
    lost = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with socket.create_connection(("127.0.0.1", self.target)) as onward:
            head = "".join(f"{k}: {v}\r\n" for k, v in self.headers.items() if k.lower() != "connection")
            onward.sendall(f"POST {self.path} HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode() + body)
            answer = b"".join(iter(lambda: onward.recv(65_536), b""))
        status = int(answer.split(None, 2)[1])
        cls = type(self)
        if cls.lost < 1:
            cls.lost += 1
            status = HTTPStatus.GATEWAY_TIMEOUT
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.mark.parametrize("version", [1, 2])
def test_a_batch_that_is_sent_again_after_a_lost_answer_changes_no_count(service: Running, version: int) -> None:
    handler: Any = type("Handler", (Forgetful,), {"target": service.port, "lost": 0})
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=proxy.serve_forever)  # noqa: TID251 - the network between client and service
    thread.start()
    stream = f"again_v{version}"
    lines = [f"{stream},i={i} f={i} {1_795_338_000_000_000_000 + i}" for i in range(500)]
    try:
        port = proxy.server_address[1]
        if version == 1:
            client = influxdb.InfluxDBClient("127.0.0.1", port, database="plant")
            with pytest.raises(influxdb.exceptions.InfluxDBServerError):
                client.write_points(lines, protocol="line")
            client.write_points(lines, protocol="line")
        else:
            options = influxdb2.WriteOptions(batch_size=500, flush_interval=100, retry_interval=100, jitter_interval=0)
            with (
                influxdb2.InfluxDBClient(f"http://127.0.0.1:{port}", token="x", org="o") as v2,
                v2.write_api(write_options=options) as writer,
            ):
                writer.write("bucket", record=lines)
                wait_for(lambda: handler.lost == 1, what="the answer to be lost")
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
    assert handler.lost == 1
    assert count(service, stream) == 500
