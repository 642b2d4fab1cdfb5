"""Probes, states and tokens: who is answered when, and in whose words."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from appliance.config import HttpOptions
from appliance.errors import RejectPayload, RetryLater
from appliance.observe.status import Problem
from tests.http.serving import Serving, read_answer
from tests.running import wait_for

GOOD = "room,sensor=a temperature=21.5 1700000000000000000\n"
PATHS = ("/write", "/api/v2/write", "/api/v3/write_lp", "/query", "/metrics", "/api/status", "/api/query", "/nowhere")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ping_is_204_with_the_version_in_its_headers(serving: Serving, method: str) -> None:
    answer = serving.request(method, "/ping")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["X-Influxdb-Version"]
    assert answer.headers["X-Influxdb-Build"]


@pytest.mark.parametrize("query", ["verbose=true", "verbose=1"])
def test_verbose_ping_is_200_with_the_version_in_its_body(serving: Serving, query: str) -> None:
    answer = serving.request("GET", f"/ping?{query}")
    assert answer.status == 200
    assert answer.json["version"] == answer.headers["X-Influxdb-Version"]
    assert serving.request("HEAD", f"/ping?{query}").status == 200


@pytest.mark.parametrize(
    ("path", "before", "ready", "after"),
    [
        ("/ping", (204, None), (204, None), (204, None)),
        ("/health", (503, ("status", "fail")), (200, ("status", "pass")), (503, ("status", "fail"))),
        ("/ready", (503, ("status", "starting")), (200, ("status", "ready")), (503, ("status", "stopping"))),
    ],
)
def test_probes_tell_the_state(
    tmp_path: Path,
    path: str,
    before: tuple[int, tuple[str, str] | None],
    ready: tuple[int, tuple[str, str] | None],
    after: tuple[int, tuple[str, str] | None],
) -> None:
    with Serving(tmp_path / "data", ready=False) as serving:
        for expected, then in ((before, serving.open), (ready, serving.shut), (after, lambda: None)):
            answer = serving.request("GET", path)
            assert answer.status == expected[0]
            if expected[1] is not None:
                assert answer.json[expected[1][0]] == expected[1][1]
            then()


def test_health_has_what_clients_of_v1_and_v2_read(serving: Serving) -> None:
    body = serving.request("GET", "/health").json
    assert body == {
        "name": "influxdb",
        "message": "ready for queries and writes",
        "status": "pass",
        "checks": [],
        "health": "OK",
        "step": 0,
        "step_name": "normal",
        "version": body["version"],
    }


@pytest.mark.parametrize("path", PATHS)
def test_until_it_is_ready_every_other_path_says_503_in_its_dialect(tmp_path: Path, path: str) -> None:
    with Serving(tmp_path / "data", ready=False) as serving:
        answer = serving.request("POST", path, GOOD.encode())
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        if path.startswith("/api/v2"):
            assert answer.json == {"code": "unavailable", "message": "starting"}
            assert answer.headers["X-Platform-Error-Code"] == "unavailable"
        else:
            assert answer.json == {"error": "starting"}


def test_a_write_under_way_is_finished_when_the_end_comes_and_later_ones_are_told(serving: Serving) -> None:
    serving.door.hold.clear()
    with serving.connect() as sock:
        sock.sendall(f"POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: {len(GOOD)}\r\n\r\n{GOOD}".encode())
        wait_for(lambda: serving.door.submissions, what="the submission")
        serving.shut()
        assert serving.write(GOOD).json == {"error": "stopping"}
        serving.door.hold.set()
        assert read_answer(sock).status == 204
    assert len(serving.rows("room")) == 1


def test_a_write_that_the_end_cuts_off_is_told_to_come_again(tmp_path: Path) -> None:
    serving = Serving(tmp_path / "data")
    with serving:
        serving.door.hold.clear()
        with serving.connect() as sock:
            sock.sendall(f"POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: {len(GOOD)}\r\n\r\n{GOOD}".encode())
            wait_for(lambda: serving.door.submissions, what="the submission")
            serving.shut()
            serving.call(serving.server.stop(grace_s=0.1))
            answer = read_answer(sock)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2")


@pytest.mark.parametrize(
    ("error", "status", "retry_after", "code"),
    [
        (RetryLater("the disk is full", after_s=5), 503, "5", "unavailable"),
        (RetryLater("soon", after_s=0), 503, "1", "unavailable"),
        (RejectPayload("never"), 400, None, "invalid"),
        (MemoryError(), 503, "5", "unavailable"),
        (RuntimeError("a defect"), 500, None, "internal error"),
    ],
)
def test_what_the_door_says_reaches_the_client_as_what_to_do(
    serving: Serving, error: Exception, status: int, retry_after: str | None, code: str
) -> None:
    serving.door.refuse = error
    for path in ("/write", "/api/v2/write", "/api/v3/write_lp"):
        answer = serving.write(GOOD, path=path)
        assert (answer.status, answer.headers["Retry-After"]) == (status, retry_after)
        assert answer.json.get("code", code) == code
        assert "a defect" not in answer.body.decode()
    serving.door.refuse = None
    assert serving.write(GOOD).status == 204


def test_while_the_door_is_behind_large_bodies_wait_and_then_come_in(serving: Serving) -> None:
    body = (GOOD * 20_000).encode()
    serving.door.behind = True
    with serving.connect() as sock:
        sock.sendall(f"POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:300_000])
        assert serving.write(GOOD).status == 204, "what is there whole is not kept waiting"
        assert serving.app.desk.budget.used < 300_000
        serving.door.behind = False
        sock.sendall(body[300_000:])
        assert read_answer(sock).status == 204


def test_a_door_that_stays_behind_is_a_503(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.serving.http.body.BEHIND_WAIT_S_MAX", 0.05)
    serving.door.behind = True
    answer = serving.write(GOOD * 20_000)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/write", 405), ("DELETE", "/api/v2/write", 405), ("GET", "/api/v3/nowhere", 404)],
)
def test_wrong_paths_and_methods_are_told_in_json(serving: Serving, method: str, path: str, status: int) -> None:
    answer = serving.request(method, path)
    assert answer.status == status
    assert answer.json.get("error") or answer.json["message"]
    if status == 405:
        assert answer.headers["Allow"]


# --- tokens -------------------------------------------------------------------------------------------------------------------

TOKEN, OTHER = "correct-horse", "battery-staple"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    options = HttpOptions(listen="127.0.0.1:0", tokens=(OTHER, TOKEN))
    with Serving(tmp_path_factory.mktemp("guarded") / "data", http_options=options) as started:
        yield started


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"Authorization": f"Token {TOKEN}"}, "", 204),
        ({"Authorization": f"token {OTHER}"}, "", 204),
        ({"Authorization": f"Bearer {TOKEN}"}, "", 204),
        ({"Authorization": basic("anyone", TOKEN)}, "", 204),
        ({}, f"&u=anyone&p={TOKEN}", 204),
        ({}, "", 401),
        ({}, "&u=anyone&p=wrong-one", 401),
        ({"Authorization": "Token wrong-one"}, "", 401),
        ({"Authorization": "Token "}, "", 401),
        ({"Authorization": TOKEN}, "", 401),
        ({"Authorization": basic(TOKEN, "")}, "", 401),
        ({"Authorization": "Basic ???"}, "", 401),
        ({"Authorization": "Basic /w=="}, "", 401),
        ({"Authorization": f"Token {TOKEN[:-1]}"}, "", 401),
        ({"Authorization": f"Token {TOKEN}x"}, "", 401),
    ],
)
def test_a_token_is_taken_in_each_of_its_forms_and_nothing_else(guarded: Serving, headers: dict[str, str], query: str, status: int) -> None:
    answer = guarded.write(GOOD, f"db=x{query}", headers=headers)
    assert answer.status == status
    if status == 401:
        assert answer.json == {"error": "authorization failed"}
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="InfluxDB"'
    v2 = guarded.write(GOOD, f"bucket=x{query}", path="/api/v2/write", headers=headers)
    assert v2.status == status
    if status == 401:
        assert v2.json == {"code": "unauthorized", "message": "unauthorized access"}


@pytest.mark.parametrize("path", ["/ping", "/health", "/ready"])
def test_probes_need_no_token(guarded: Serving, path: str) -> None:
    assert guarded.request("GET", path).status in (200, 204)


@pytest.mark.parametrize(
    "path", ["/metrics", "/api/status", "/api/tail", "/query?q=SHOW+DATABASES", "/nowhere", "/api/v3/query_sql?q=SELECT+1"]
)
def test_everything_else_needs_one_on_tcp_and_none_on_the_unix_socket(guarded: Serving, path: str) -> None:
    assert guarded.request("GET", path).status == 401
    if path != "/api/tail":
        assert guarded.request("GET", path, local=True).status != 401


def test_a_refused_body_is_read_so_that_the_answer_arrives(guarded: Serving) -> None:
    assert guarded.write(GOOD * 100_000).status == 401


def test_without_tokens_pages_of_other_sites_are_kept_out(serving: Serving) -> None:
    assert serving.write(GOOD, headers={"Origin": "http://evil.example"}).status == 403
    assert serving.write(GOOD, headers={"Origin": f"http://127.0.0.1:{serving.port}"}).status == 204
    assert serving.write(GOOD, headers={"Origin": "null"}).status == 403


def test_the_reasons_of_a_box_that_is_not_well_are_for_those_who_may_ask(guarded: Serving) -> None:
    well = guarded.status()
    ill = msgspec.structs.replace(well, health="CRIT", problems=(Problem("CRIT", "a lot", 0), Problem("WARN", "a little", 0)))
    object.__setattr__(guarded.context, "status", lambda: ill)
    try:
        for headers, message, reasons in (
            ({}, "ready for queries and writes", []),
            ({"Authorization": f"Token {TOKEN}"}, "CRIT: a lot (and 1 more)", ["a lot", "a little"]),
        ):
            body = guarded.request("GET", "/health", headers=headers).json
            assert (body["status"], body["health"], body["message"]) == ("pass", "CRIT", message)
            assert [c["message"] for c in body["checks"]] == reasons
    finally:
        object.__setattr__(guarded.context, "status", lambda: well)
