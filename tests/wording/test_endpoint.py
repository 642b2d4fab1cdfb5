"""An endpoint that hangs, drips, lies, returns rubbish, too much, errors, redirects: the built-in summary stands, in time."""

from __future__ import annotations

import json
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from appliance.clock import SystemClock
from appliance.hybrid.analysis.wording.endpoint import ANSWER_BYTES_MAX
from appliance.hybrid.analysis.wording.words import WAITING_MAX, Worded, Words
from appliance.hybrid_options import LanguageModelOptions
from appliance.options import OptionRefused
from tests.notify.hook import Answer, Hook, breaks_off, drips, drips_its_body, hangs, hangs_up, says, talks_nonsense
from tests.ports import free_port
from tests.running import pause, wait_for
from tests.wording.pictures import picture

SHORT_S, LONG_S = 0.3, 30.0
FINE = "The field load1 of host_load reached 3.71 where 0.42 is usual."


def completion(content: Any, *, finish: str | None = "stop") -> Answer:
    body = {"object": "chat.completion", "choices": [{"index": 0, "finish_reason": finish, "message": {"content": content}}]}
    return says(200, body=json.dumps(body).encode())


def words_of(port: int, *, scheme: str = "http", host: str = "127.0.0.1", path: str = "/v1", **more: Any) -> Words:
    options: dict[str, Any] = {"url": f"{scheme}://{host}:{port}{path}", "model": "m", "timeout_s": LONG_S}
    return Words(LanguageModelOptions(**(options | more)), clock=SystemClock())


def summary(*answers: Answer, **more: Any) -> Worded:
    with Hook(*answers) as hook:
        return words_of(hook.port, **more).worded_summary(picture())


def test_what_fits_is_taken() -> None:
    assert summary(completion(FINE)) == Worded(FINE, "m", "")
    assert summary(completion(FINE, finish=None)).text == FINE


@pytest.mark.parametrize("misbehaviour", [hangs, drips, drips_its_body])
def test_an_endpoint_without_an_end_is_left_at_the_time_out(misbehaviour: Answer) -> None:
    assert summary(misbehaviour, timeout_s=SHORT_S).refusal == "timed out"


MISBEHAVIOURS: list[tuple[Answer, str]] = [
    (says(500, body=b"out of memory"), "HTTP 500: out of memory"),
    (says(404, body=b'{"error": "no such model"}'), 'HTTP 404: {"error": "no such model"}'),
    (says(429), "HTTP 429"),
    (says(204), "HTTP 204"),
    (says(200), "no chat completion"),
    (says(200, body=b"<html>hello</html>"), "no chat completion"),
    (says(200, body=b"\xff\xfe\x00"), "no chat completion"),
    (says(200, body=b"[" * 100_000), "no chat completion"),
    (says(200, body=b"[]"), "no chat completion"),
    (says(200, body=b'{"choices": []}'), "no chat completion"),
    (says(200, body=b'{"choices": [{"message": 3}]}'), "no chat completion"),
    (says(200, body=b"x" * (ANSWER_BYTES_MAX + 1)), "larger than 256 KiB"),
    (says(200, body=b"x" * (ANSWER_BYTES_MAX * 20)), "larger than 256 KiB"),
    (completion(None), "holds no text"),
    (completion(["text"]), "holds no text"),
    (completion(FINE, finish="length"), "was cut off"),
    (completion(FINE, finish="content_filter"), "did not finish"),
    (completion(FINE), ""),
    (completion("All is well with host_load, 3.71 is usual."), "'all is well' of an incident"),
    (completion("host_load reached 9000 at once."), "'9000', which is not in the incident"),
    (completion("Everything is as it was before."), "names no stream"),
    (completion("\x00\x01\x02 \x03 \x04"), "can't be shown"),
    (completion("word " * 100_000), "larger than 256 KiB"),
    (completion("host_load " * 10_000), "more than words_max"),
    (completion("see https://evil.example host_load"), "markup or an address"),
    (hangs_up, "closed the connection"),
    (breaks_off, "is no HTTP"),
    (talks_nonsense, "is no HTTP"),
]
"""What it does, and a part of why that is not taken."""


@pytest.mark.parametrize(("misbehaviour", "why"), MISBEHAVIOURS, ids=[f"{n} {why}" for n, (_, why) in enumerate(MISBEHAVIOURS)])
def test_what_does_not_fit_leaves_the_built_in_summary(misbehaviour: Answer, why: str) -> None:
    worded = summary(misbehaviour)
    assert why in worded.refusal
    assert (worded.text is None) == bool(why)
    assert worded.by == "m"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_leads_nowhere(status: int) -> None:
    with Hook(completion(FINE)) as other:
        worded = summary(says(status, headers=f"Location: http://127.0.0.1:{other.port}/v1/chat/completions\r\n"))
        assert not other.requests
    assert "redirects are not followed" in worded.refusal


def test_nobody_there_and_a_name_that_nobody_knows() -> None:
    assert "refused" in words_of(free_port()).worded_summary(picture()).refusal
    assert words_of(80, host="no-such-host.invalid").summary(picture()) is None


def test_the_request_is_that_of_the_interface() -> None:
    with Hook(completion(FINE)) as hook:
        assert words_of(hook.port, path="/some/v1/").why(picture(), 'Why "so" high?') == FINE
        (request,) = hook.requests
    assert (request.method, request.target) == ("POST", "/some/v1/chat/completions")
    assert "authorization" not in request.headers
    assert (request.json["model"], request.json["stream"], request.json["temperature"]) == ("m", False, 0)
    system, user = request.json["messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    assert json.loads(user["content"])["question"] == 'Why "so" high?'
    assert "high?" not in system["content"]


def test_a_proxy_of_the_environment_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with Hook() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert summary(completion(FINE)).text == FINE
        assert not proxy.requests


def test_the_key_is_read_from_the_credential_or_the_environment_and_never_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("model_key", "of-the-environment")
    with Hook(completion(FINE), says(401, body=b"bad key of-the-environment")) as hook:
        words = words_of(hook.port, key="model_key")
        assert words.summary(picture()) == FINE
        assert words.worded_summary(picture()).refusal == "HTTP 401: bad key …"
        assert hook.requests[0].headers["authorization"] == "Bearer of-the-environment"
    (tmp_path / "model_key").write_text("of-systemd\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with Hook(completion(FINE)) as hook:
        assert words_of(hook.port, key="model_key").summary(picture()) == FINE
        assert hook.requests[0].headers["authorization"] == "Bearer of-systemd"


@pytest.mark.parametrize(("content", "why"), [(None, "there is no credential"), ("", "there is no credential"), ("a\nb", "can't stand in")])
def test_without_its_key_nothing_is_sent(content: str | None, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("model_key", raising=False)
    if content is not None:
        monkeypatch.setenv("model_key", content)
    with Hook() as hook:
        assert why in words_of(hook.port, key="model_key").worded_summary(picture()).refusal
        assert not hook.requests


def test_one_question_at_a_time() -> None:
    under_way: set[int] = set()
    peaks: list[int] = []

    def slowly(hook: Hook, s: socket.socket) -> bool:
        under_way.add(s.fileno())
        peaks.append(len(under_way))
        pause(0.02)
        under_way.discard(s.fileno())
        return completion(FINE)(hook, s)

    with Hook(*[slowly] * 3) as hook:
        words = words_of(hook.port)
        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(lambda _: words.summary(picture()), range(3))) == [FINE] * 3
    assert peaks == [1] * 3


def test_who_comes_while_others_wait_is_refused_at_once() -> None:
    with ThreadPoolExecutor(1 + WAITING_MAX) as pool:
        with Hook(hangs) as hook:
            words = words_of(hook.port)
            said = [pool.submit(words.worded_summary, picture()) for _ in range(1 + WAITING_MAX)]
            wait_for(lambda: words._places._value == 0, what="all places to be taken")
            assert words.worded_summary(picture()).refusal == "2 questions wait already"
        assert [one.result().text for one in said] == [None] * (1 + WAITING_MAX)


def test_the_line_about_an_answer_says_who_wrote_it_or_why_nobody_did() -> None:
    with Hook(completion(FINE), says(500)) as hook:
        words = words_of(hook.port)
        assert words.answered(picture(), "why?") == (
            FINE,
            "(written by m, a language model; its figures and names were checked, nothing else)",
        )
        assert words.answered(picture(), "why?") == (
            None,
            "(not an answer to the question: m, the language model, gave none: HTTP 500)",
        )
    off = Words(LanguageModelOptions(), clock=SystemClock())
    assert off.answered(picture(), "why?")[1].endswith("no language model is configured, see [language_model])")


def test_who_waits_in_vain_for_another_question_is_told() -> None:
    with Hook() as hook:
        words = words_of(hook.port, timeout_s=SHORT_S)
        with words._lock:
            assert words.worded_summary(picture()).refusal == "another question took all of the 0.3 s"
        assert not hook.requests


def test_it_counts_what_fails_in_a_row_and_begins_anew_after_a_success() -> None:
    with Hook(says(500), says(500), completion(FINE)) as hook:
        words = words_of(hook.port)
        words.summary(picture())
        words.summary(picture())
        assert (words.failures.in_a_row, words.failures.newest) == (2, "HTTP 500")
        assert words.failures.since_us > 0
        words.summary(picture())
        assert words.failures.in_a_row == 0


def test_turned_off_by_a_reload_it_ends_what_is_under_way() -> None:
    with Hook(hangs) as hook:
        words = words_of(hook.port)
        said: list[Worded] = []
        asking = threading.Thread(target=lambda: said.append(words.worded_summary(picture())))  # noqa: TID251 - who asks
        asking.start()
        wait_for(lambda: hook.requests, what="the question")
        words.reload(LanguageModelOptions())
        asking.join()
    assert said[0].text is None
    assert not words.is_on


OPENED: list[str] = []
_LISTENING = threading.Event()


def _audit(event: str, _arguments: object) -> None:
    if _LISTENING.is_set() and event.startswith("socket."):
        OPENED.append(event)


def test_without_a_url_no_socket_is_opened_and_no_name_looked_up() -> None:
    sys.addaudithook(_audit)  # can't be taken away again: it listens to this test alone
    _LISTENING.set()
    try:
        words = Words(LanguageModelOptions(), clock=SystemClock())
        assert words.worded_summary(picture()) == Worded(None, "", "")
        assert words.why(picture(), "why?") is None
        assert (words.is_on, words.name, OPENED) == (False, "", [])
        words_of(free_port()).summary(picture())
        assert "socket.connect" in OPENED
    finally:
        _LISTENING.clear()


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"url": "ftp://h/v1"}, "url"),
        ({"url": "http:///v1"}, "url"),
        ({"url": "http://h:99999/v1"}, "url"),
        ({"url": "http://[::1/v1"}, "url"),
        ({"url": "http://user:hunter2@h/v1"}, "url"),
        ({"url": "http://h/v1?key=hunter2"}, "url"),
        ({"url": "http://h/v1\r\nX: hunter2"}, "url"),
        ({"url": "http://h/v1", "model": ""}, "model"),
        ({"key": "../../etc/hunter2"}, "key"),
        ({"key": "sk-hunter2 and more"}, "key"),
    ],
)
def test_options_that_can_t_be_used_are_refused_and_nothing_secret_repeated(options: dict[str, str], key: str) -> None:
    with pytest.raises(OptionRefused) as refused:
        LanguageModelOptions(**({"model": "m"} | options))  # type: ignore[arg-type]
    assert key in str(refused.value.args)
    assert "hunter2" not in str(refused.value)
