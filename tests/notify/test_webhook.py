"""``json://`` and ``jsons://`` against a real server that behaves, and one that does not. That an attempt ends is proven by its end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.clock import SystemClock
from appliance.errors import ConfigRefused
from appliance.notify.channel import ANSWER_BYTES_MAX, Undelivered
from appliance.notify.channels.webhook import RETRY_AFTER_S_MAX, Webhook, retry_after_s
from appliance.workload_options import NotifyOptions
from tests.clock import NOON_US
from tests.notify.hook import Answer, Hook, breaks_off, drips, drips_its_body, hangs, hangs_up, says, talks_nonsense
from tests.notify.messages import SENDER, item, message
from tests.ports import free_port

SHORT_S = 0.3
LONG_S = 20.0


MADE: list[Webhook] = []
"""The channels of one test, closed at its end."""


@pytest.fixture(autouse=True)
def _channels_are_closed() -> Iterator[None]:
    yield
    while MADE:
        MADE.pop().close()


def channel(url: str) -> Webhook:
    MADE.append(Webhook(SENDER, NotifyOptions(url=url), clock=SystemClock()))
    return MADE[-1]


def failure(url: str, *, timeout_s: float = LONG_S) -> Undelivered:
    with pytest.raises(Undelivered) as undelivered:
        channel(url).send(message(), timeout_s=timeout_s)
    return undelivered.value


def test_a_message_arrives_as_json_with_its_key() -> None:
    with Hook(says(200, body=b'{"ok": true}')) as hook:
        said = channel(hook.url).send(message(), timeout_s=LONG_S).said
    request = hook.requests[0]
    assert (request.method, request.target) == ("POST", "/hook")
    assert request.headers["content-type"] == "application/json"
    assert request.key == item().idempotency_key
    assert request.json["items"][0]["summary"] == "d1 at 83.2 °C"
    assert said == 'HTTP 200 OK: {"ok": true}'


def test_what_the_url_says_goes_with_it() -> None:
    with Hook() as hook:
        channel(f"json://us%3Aer:p%40ss@127.0.0.1:{hook.port}/a%20b/ü?method=put&+X-Token=a+b&+content-type=text/json&-room=1%262").send(
            message(), timeout_s=LONG_S
        )
    request = hook.requests[0]
    assert (request.method, request.target) == ("PUT", "/a%20b/%C3%BC?room=1%262")
    assert request.headers["x-token"] == "a+b"
    assert request.headers["content-type"] == "text/json"
    assert request.headers["authorization"] == "Basic dXM6ZXI6cEBzcw=="
    assert request.headers["host"] == f"127.0.0.1:{hook.port}"


def test_alertmanagers_format_on_demand() -> None:
    with Hook() as hook:
        channel(hook.url + "?format=alertmanager").send(message(), timeout_s=LONG_S)
    assert hook.requests[0].json["version"] == "4"
    assert hook.requests[0].key == item().idempotency_key


def test_one_connection_serves_many_messages() -> None:
    with Hook() as hook:
        one = channel(hook.url)
        for _ in range(3):
            one.send(message(), timeout_s=LONG_S)
    assert [request.connection for request in hook.requests] == [1, 1, 1]


def test_a_connection_that_the_server_has_left_is_opened_anew_within_the_attempt() -> None:
    with Hook(says(200), hangs_up) as hook:
        one = channel(hook.url)
        one.send(message(), timeout_s=LONG_S)
        one.send(message(), timeout_s=LONG_S)
    assert [request.connection for request in hook.requests] == [1, 1, 2]
    assert len({request.key for request in hook.requests}) == 1


def test_a_server_that_closes_after_each_answer_is_reached_each_time() -> None:
    with Hook(says(200, keep=False, body=b"bye"), says(200, keep=False)) as hook:
        one = channel(hook.url)
        assert one.send(message(), timeout_s=LONG_S).said == "HTTP 200 OK: bye"
        one.send(message(), timeout_s=LONG_S)
    assert [request.connection for request in hook.requests] == [1, 2]


@pytest.mark.parametrize(
    ("status", "retry"),
    [(400, False), (401, False), (404, False), (410, False), (408, True), (425, True), (429, True), (500, True), (502, True), (503, True)],
)
def test_what_a_status_asks_for(status: int, retry: bool) -> None:
    with Hook(says(status, body=b"because")) as hook:
        undelivered = failure(hook.url)
    assert (undelivered.retry, undelivered.answered) == (retry, True)
    assert undelivered.reason.startswith(f"HTTP {status} ")
    assert undelivered.reason.endswith("because")
    assert undelivered.after_s is None


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_handed_on(status: int) -> None:
    with Hook(says(status, headers="Retry-After: 7\r\n")) as hook:
        assert failure(hook.url).after_s == 7


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("12", 12.0),
        (" 0 ", 0.0),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("Sun, 22 Nov 2099 11:00:00 GMT", RETRY_AFTER_S_MAX),
        ("99999999", RETRY_AFTER_S_MAX),
        ("soon", None),
        ("-5", None),
        ("²", None),
        ("", None),
    ],
)
def test_retry_after_as_seconds_and_as_a_date(text: str | None, seconds: float | None) -> None:
    assert retry_after_s(text, now_us=NOON_US) == seconds


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with Hook() as other, Hook(says(status, headers=f"Location: http://127.0.0.1:{other.port}/\r\n")) as hook:
        undelivered = failure(hook.url)
    assert not undelivered.retry
    assert "redirects are not followed" in undelivered.reason
    assert not other.requests


@pytest.mark.parametrize("misbehaviour", [hangs, drips])
def test_a_server_without_an_end_is_left_at_the_timeout(misbehaviour: Answer) -> None:
    with Hook(misbehaviour) as hook:
        undelivered = failure(hook.url, timeout_s=SHORT_S)
    assert (undelivered.retry, undelivered.answered) == (True, False)
    assert "timed out" in undelivered.reason


def test_a_good_status_counts_even_if_the_body_never_ends() -> None:
    with Hook(drips_its_body) as hook:
        assert channel(hook.url).send(message(), timeout_s=SHORT_S).said.startswith("HTTP 200 OK")


def test_of_an_endless_answer_a_beginning_is_read() -> None:
    with Hook(says(500, body=b"x" * 1_000_000)) as hook:
        undelivered = failure(hook.url)
    assert len(undelivered.reason) < ANSWER_BYTES_MAX


@pytest.mark.parametrize(
    ("misbehaviour", "reason"),
    [(hangs_up, "closed the connection"), (breaks_off, "the answer is no HTTP"), (talks_nonsense, "the answer is no HTTP")],
)
def test_a_connection_that_breaks_is_tried_again(misbehaviour: Answer, reason: str) -> None:
    with Hook(misbehaviour, misbehaviour) as hook:
        undelivered = failure(hook.url)
    assert undelivered.retry
    assert reason in undelivered.reason


def test_nobody_there() -> None:
    undelivered = failure(f"json://127.0.0.1:{free_port()}/")
    assert (undelivered.retry, undelivered.answered) == (True, False)
    assert "refused" in undelivered.reason


def test_a_name_that_nobody_knows() -> None:
    assert failure("json://no-such-host.invalid/").retry


def test_no_password_stands_in_a_failure() -> None:
    reason = failure(f"json://user:hunter2@127.0.0.1:{free_port()}/hooks/hunter2?+X=hunter2").reason
    assert "hunter2" not in reason


def test_close_ends_what_hangs() -> None:
    with Hook(hangs) as hook:
        one = channel(hook.url)
        ended: list[Undelivered] = []

        def send() -> None:
            try:
                one.send(message(), timeout_s=100)
            except Undelivered as undelivered:
                ended.append(undelivered)

        thread = threading.Thread(target=send)  # noqa: TID251 - the test's own
        thread.start()
        while not hook.requests:
            thread.join(0.01)
        one.close()
        thread.join(20)
        assert ended


def test_a_certificate_that_nobody_vouches_for_is_not_spoken_to(certificate: Path) -> None:
    with Hook(certificate=certificate) as hook:
        undelivered = failure(f"jsons://localhost:{hook.port}/")
    assert "certificate is not trusted" in undelivered.reason
    assert undelivered.retry
    assert not hook.requests


def test_a_trusted_certificate(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Hook(certificate=certificate) as hook:
        one = channel(f"jsons://localhost:{hook.port}/")
        one.send(message(), timeout_s=LONG_S)
        one.send(message(), timeout_s=LONG_S)
    assert [request.connection for request in hook.requests] == [1, 1]


def test_a_certificate_for_another_name_is_not_spoken_to(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Hook(certificate=certificate) as hook:
        assert "certificate is not trusted" in failure(f"jsons://127.0.0.1:{hook.port}/").reason


def test_verify_no_takes_any_certificate(certificate: Path) -> None:
    with Hook(certificate=certificate) as hook:
        one = channel(f"jsons://127.0.0.1:{hook.port}/?verify=no")
        one.send(message(), timeout_s=LONG_S)
    assert len(hook.requests) == 1


def test_a_server_of_plain_text_where_tls_is_wanted() -> None:
    with Hook() as hook:
        assert failure(f"jsons://127.0.0.1:{hook.port}/", timeout_s=2).retry


@pytest.mark.parametrize(
    "tail",
    [
        "?method=GET",
        "?format=xml",
        "?verify=perhaps",
        "?X-Token=a",
        "?+Bad%20Name=a",
        "?+X=a%0d%0aEvil:%20b",
        "?+Idempotency-Key=a",
        "?+Content-Length=0",
        "?+X=€",
    ],
)
def test_a_url_that_cant_be_meant_is_refused(tail: str) -> None:
    with pytest.raises(ConfigRefused, match=r"notify\.ops\.url"):
        channel(f"json://host/path{tail}")
