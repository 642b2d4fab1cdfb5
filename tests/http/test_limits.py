"""Bodies and connections that are too large, too slow, too many, cut off or no HTTP at all: each is told, none harms the others."""

from __future__ import annotations

import gzip
import socket
import threading
import zlib
from pathlib import Path

import pytest

from appliance.config import HotOptions, HttpOptions
from appliance.errors import PayloadTooLarge, RejectPayload, RetryLater
from appliance.serving.http import body as body_module
from appliance.serving.http import connection as connection_module
from appliance.serving.http.body import ByteBudget, gunzip
from tests.http.serving import DEADLINE_S, Serving, read_answer
from tests.running import pause, wait_for

GOOD = b"room,sensor=a temperature=21.5 1700000000000000000\n"
KIB, MIB = 1024, 1024 * 1024


def small(**changes: float) -> HttpOptions:
    """Options with limits that a test reaches quickly."""
    return HttpOptions(listen="127.0.0.1:0", **{"body_bytes_max": 64 * KIB, "read_timeout_s": 0.3, **changes})  # type: ignore[arg-type]


def head(length: int, *more: str, path: str = "/write?db=x") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {length}", *more, "", ""]
    return "\r\n".join(lines).encode()


def is_alive(serving: Serving) -> bool:
    return serving.write(GOOD).status == 204


# --- gzip ---------------------------------------------------------------------------------------------------------------------


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    "members",
    [
        pytest.param(packed(GOOD), id="one"),
        pytest.param(packed(GOOD[:10]) + packed(GOOD[10:]), id="two"),
        pytest.param(packed(GOOD) + bytes(100_000), id="padded"),
        pytest.param(packed(b"") + packed(GOOD), id="an-empty-one"),
        pytest.param(b"".join(packed(GOOD[i : i + 1]) for i in range(len(GOOD))), id="one-a-byte"),
    ],
)
def test_gunzip_reads_every_member(members: bytes) -> None:
    assert gunzip(members, bytes_max=len(GOOD)) == GOOD


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 300_000])
def test_gunzip_returns_what_was_compressed(size: int) -> None:
    content = bytes(i * 7 % 251 for i in range(size))
    assert gunzip(packed(content), bytes_max=max(size, 1)) == content


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"plain text", id="plain"),
        pytest.param(packed(GOOD)[:-1], id="a-byte-short"),
        pytest.param(packed(GOOD)[:5], id="half-a-header"),
        pytest.param(packed(GOOD) + b"rest", id="more-behind-it"),
        pytest.param(zlib.compress(GOOD), id="zlib"),
        pytest.param(packed(GOOD)[:-5] + b"xxxxx", id="wrong-sum"),
    ],
)
def test_gunzip_refuses_what_is_no_whole_gzip(body: bytes) -> None:
    with pytest.raises(RejectPayload) as refused:
        gunzip(body, bytes_max=MIB)
    assert not isinstance(refused.value, PayloadTooLarge)


@pytest.mark.parametrize("members", [1, 50])
def test_gunzip_stops_at_the_limit_whatever_was_promised(members: int) -> None:
    with pytest.raises(PayloadTooLarge):
        gunzip(packed(bytes(50 * MIB // members)) * members, bytes_max=2 * MIB)


def test_gunzip_refuses_a_body_of_countless_members() -> None:
    with pytest.raises(RejectPayload, match="members"):
        gunzip(packed(b"") * 100_000, bytes_max=MIB)


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        pytest.param(packed(bytes(50 * MIB)), "gzip", 413, id="bomb"),
        pytest.param(packed(GOOD)[:-4], "gzip", 400, id="cut-off"),
        pytest.param(GOOD, "gzip", 400, id="not-gzip"),
        pytest.param(zlib.compress(GOOD), "deflate", 415, id="deflate"),
        pytest.param(GOOD, "br", 415, id="br"),
        pytest.param(GOOD, "identity", 204, id="identity"),
        pytest.param(packed(GOOD), "GZIP", 204, id="upper-case"),
    ],
)
@pytest.mark.parametrize("path", ["/write", "/api/v2/write", "/api/v3/write_lp"])
def test_content_encodings_are_taken_or_told(serving: Serving, path: str, body: bytes, encoding: str, status: int) -> None:
    answer = serving.write(body, path=path, headers={"Content-Encoding": encoding})
    assert answer.status == status
    assert answer.body == b"" if status == 204 else answer.json
    assert len(serving.rows("room")) == (status == 204)


# --- size ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "key"), [("/write", "error"), ("/api/v2/write", "message"), ("/api/v3/write_lp", "error")])
def test_a_body_over_the_limit_is_answered_with_413_though_its_client_still_sends(tmp_path: Path, path: str, key: str) -> None:
    with Serving(tmp_path / "data", http_options=small(read_timeout_s=10)) as serving:
        answer = serving.write(GOOD * 40_000, path=path)
        assert answer.status == 413
        assert "larger than 65536 bytes" in answer.json[key]
        assert is_alive(serving)


def test_a_connection_goes_on_after_a_refused_body(tmp_path: Path) -> None:
    with Serving(tmp_path / "data", http_options=small(read_timeout_s=10)) as serving, serving.connect() as sock:
        for _ in range(3):
            sock.sendall(head(200 * KIB) + b"x" * 200 * KIB)
            assert read_answer(sock).status == 413
        sock.sendall(head(len(GOOD)) + GOOD)
        assert read_answer(sock).status == 204


def send_for_ever(sock: socket.socket, piece: bytes) -> None:
    for _ in range(10_000):
        sock.sendall(piece)
        pause()


@pytest.mark.parametrize(("limit", "value"), [("REST_BYTES_MAX", 100_000), ("REST_S_MAX", 0.2)])
def test_the_rest_of_a_refused_body_is_read_only_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: float) -> None:
    monkeypatch.setattr(connection_module, limit, value)
    with Serving(tmp_path / "data", http_options=small(read_timeout_s=10)) as serving, serving.connect() as sock:
        sock.sendall(head(1 << 30))
        assert read_answer(sock).status == 413
        with pytest.raises(OSError, match=r"reset|pipe"):
            send_for_ever(sock, b"x" * 100_000 if limit == "REST_BYTES_MAX" else b"x")
        wait_for(lambda: serving.server.tcp.open == 0, what="the connection to be gone")
        assert is_alive(serving)


def test_chunked_bodies_are_read_and_limited(tmp_path: Path) -> None:
    with Serving(tmp_path / "data", http_options=small(read_timeout_s=10)) as serving, serving.connect() as sock:
        start = b"POST /write HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        sock.sendall(start + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (GOOD[:7], GOOD[7:])) + b"0\r\n\r\n")
        assert read_answer(sock).status == 204
        assert len(serving.rows("room")) == 1
        piece = b"x" * 32 * KIB
        sock.sendall(start + b"%x\r\n%b\r\n" % (len(piece), piece) * 10 + b"0\r\n\r\n")
        assert read_answer(sock).status == 413


def test_a_head_without_end_is_refused(serving: Serving) -> None:
    with serving.connect() as sock:
        sock.sendall(b"GET /ping HTTP/1.1\r\n")
        with pytest.raises(OSError):  # noqa: PT012, PT011 - the server hangs up while we send
            for i in range(1_000):
                sock.sendall(f"X-{i}: {'y' * 1000}\r\n".encode())
            read_answer(sock)
            raise ConnectionResetError
    assert is_alive(serving)


# --- time ---------------------------------------------------------------------------------------------------------------------


def test_a_body_of_a_byte_now_and_then_is_answered_with_408(tmp_path: Path) -> None:
    with Serving(tmp_path / "data", http_options=small()) as serving, serving.connect() as sock:
        sock.sendall(head(1000))
        ended = threading.Event()

        def drip() -> None:
            while not ended.wait(0.05):
                try:
                    sock.sendall(b"x")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)  # noqa: TID251 - a slow client
        dripping.start()
        answer = read_answer(sock)
        ended.set()
        dripping.join()
        assert answer.status == 408
        assert "too long" in answer.json["error"]
        assert is_alive(serving)


def test_a_body_that_keeps_coming_may_take_longer_than_the_time_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "RATE_BYTES_PER_S_MIN", 100)
    body = GOOD * 20
    with Serving(tmp_path / "data", http_options=small()) as serving, serving.connect() as sock:
        sock.sendall(head(len(body)))
        for start in range(0, len(body), 100):
            sock.sendall(body[start : start + 100])
            threading.Event().wait(0.08)
        assert read_answer(sock).status == 204


def test_a_head_that_does_not_come_ends_the_connection(tmp_path: Path) -> None:
    with Serving(tmp_path / "data", http_options=small()) as serving:
        with serving.connect() as silent:
            assert silent.recv(100) == b""
        with serving.connect() as slow:
            slow.sendall(b"GET /ping HT")
            assert read_answer(slow).status == 408
        assert serving.server.tcp.timeouts == 1
        assert is_alive(serving)


def test_slow_clients_do_not_keep_others_waiting(tmp_path: Path) -> None:
    with Serving(tmp_path / "data", http_options=small(read_timeout_s=30)) as serving:
        slow = [serving.connect() for _ in range(50)]
        for number, sock in enumerate(slow):
            sock.sendall(head(1000) if number % 2 else b"POST /wri")
        assert all(is_alive(serving) for _ in range(5))
        for sock in slow:
            sock.close()
        wait_for(lambda: serving.server.tcp.open == 0, what="the slow connections to be gone")


def test_a_client_that_leaves_amid_its_body_stores_nothing(serving: Serving) -> None:
    with serving.connect() as sock:
        sock.sendall(head(1000) + GOOD)
    wait_for(lambda: serving.app.desk.counts.gone == 1, what="the client to be missed")
    assert serving.rows("room") == []
    assert serving.app.desk.budget.used == 0


def test_a_client_that_leaves_before_its_answer_has_its_records_stored_once(serving: Serving) -> None:
    serving.door.hold.clear()
    with serving.connect() as sock:
        sock.sendall(head(len(GOOD)) + GOOD)
        wait_for(lambda: serving.door.submissions, what="the submission")
    serving.door.hold.set()
    wait_for(lambda: serving.rows("room"), what="the record")
    assert is_alive(serving)
    assert serving.box.last_values("room").num_rows == 1


# --- number -------------------------------------------------------------------------------------------------------------------


def test_one_connection_too_many_is_told_so_and_the_unix_socket_is_apart(tmp_path: Path) -> None:
    with Serving(tmp_path / "data", http_options=small(connections_max=3, read_timeout_s=10)) as serving:
        held = [serving.connect() for _ in range(3)]
        for sock in held:
            sock.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_answer(sock).status == 204
        with serving.connect() as refused:
            answer = read_answer(refused)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert answer.json == {"error": "too many connections"}
        assert serving.request("GET", "/ping", local=True).status == 204
        held.pop().close()
        wait_for(lambda: serving.server.tcp.open == 2, what="the places to be free")
        assert is_alive(serving)
        for sock in held:
            sock.close()


def test_the_sum_of_all_bodies_is_bounded_and_given_back(tmp_path: Path) -> None:
    options = HttpOptions(listen="127.0.0.1:0", body_bytes_max=500 * KIB)
    with Serving(tmp_path / "data", http_options=options, hot=HotOptions(inflight_bytes_max=600 * KIB)) as serving:
        serving.door.hold.clear()
        with serving.connect() as first, serving.connect() as second:
            body = GOOD * 9_000
            first.sendall(head(len(body)) + body)
            wait_for(lambda: serving.door.submissions, what="the first body")
            assert serving.app.desk.budget.used == len(body)
            second.sendall(head(len(body)) + body)
            answer = read_answer(second)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            serving.door.hold.set()
            assert read_answer(first).status == 204
        wait_for(lambda: serving.app.desk.budget.used == 0, what="the bytes to be given back")


def test_a_budget_takes_all_or_nothing() -> None:
    budget = ByteBudget(10)
    budget.take(6)
    with pytest.raises(RetryLater):
        budget.take(5)
    budget.take(4)
    budget.give(10)
    assert budget.used == 0


# --- order --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("local", [False, True])
def test_pipelined_requests_are_answered_in_order(serving: Serving, local: bool) -> None:
    sock = serving.connect()
    if local:
        sock.close()
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(serving.socket_path))
    with sock:
        sock.settimeout(DEADLINE_S)
        ping = b"GET /ping?verbose=true HTTP/1.1\r\nHost: x\r\n\r\n"
        sock.sendall(head(len(GOOD)) + GOOD + ping + head(3) + b"bad" + head(len(GOOD)) + GOOD + b"HEAD /ping HTTP/1.1\r\nHost: x\r\n\r\n")
        reader = sock.makefile("rb")
        statuses = []
        for method in ("POST", "GET", "POST", "POST", "HEAD"):
            line = reader.readline()
            statuses.append(int(line.split()[1]))
            length = 0
            while (header := reader.readline().strip().lower()) != b"":
                if header.startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            reader.read(0 if method == "HEAD" else length)
    assert statuses == [204, 200, 400, 204, 204]


def test_many_requests_use_one_connection(serving: Serving) -> None:
    with serving.connect() as sock:
        for _ in range(50):
            sock.sendall(head(len(GOOD)) + GOOD)
            assert read_answer(sock).status == 204
    assert serving.server.tcp.refused == 0


def test_expect_100_continue_is_honoured(serving: Serving) -> None:
    with serving.connect() as sock:
        sock.sendall(head(len(GOOD), "Expect: 100-continue"))
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        sock.sendall(GOOD)
        assert read_answer(sock).status == 204


@pytest.mark.parametrize(
    "rubbish",
    [
        pytest.param(b"\x00\x01\x02\x03\r\n\r\n", id="binary"),
        pytest.param(b"NONSENSE\r\n\r\n", id="a-word"),
        pytest.param(b"GET /ping HTTP/9.9\r\n\r\n", id="another-version"),
        pytest.param(b"POST /write HTTP/1.1\r\nContent-Length: -5\r\n\r\n", id="negative-length"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", id="tls"),
    ],
)
def test_what_is_no_http_is_answered_with_400_in_json(serving: Serving, rubbish: bytes) -> None:
    with serving.connect() as sock:
        sock.sendall(rubbish)
        answer = read_answer(sock)
        assert answer.status == 400
        assert answer.json["error"]
        assert sock.recv(10) == b""
    assert is_alive(serving)


def test_hundreds_of_rude_connections_leave_nothing_behind(serving: Serving) -> None:
    for number in range(300):
        with serving.connect() as sock:
            sock.sendall((b"", b"GET", head(500) + b"x", b"\xff\xff\r\n\r\n", head(len(GOOD)) + GOOD)[number % 5])
    wait_for(lambda: serving.server.tcp.open == 0, what="all connections to be gone")
    wait_for(lambda: serving.app.desk.budget.used == 0, what="all bodies to be given back")
    assert serving.server.tcp.garbled == 60
    assert is_alive(serving)
