"""Alerts over HTTP: the pictures as they are, and each action with what the person gave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from appliance.errors import ConfigRefused, RetryLater, UsageRefused
from appliance.observe.alerts import AlertsPicture, TransitionRow, WindowChart
from tests.clock import NOON_US, FakeClock
from tests.http.alert_desk import CHART, SILENCE, step
from tests.http.serving import Answer, Serving
from tests.running import wait_for

HOUR_US = 3_600_000_000
ACK = {"rule": "hot", "author": "ann@press"}
SILENCED = {"matchers": ["device=d1", "rule!=a*"], "until": "2h", "author": "ann@press", "comment": "new bearing"}


def post(serving: Serving, what: str, body: object) -> Answer:
    return serving.request("POST", f"/api/{what}", json.dumps(body).encode(), local=True)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    with Serving(tmp_path / "data", clock=FakeClock()) as started:
        yield started


def test_the_picture_arrives_as_it_is(serving: Serving) -> None:
    answer = serving.request("GET", "/api/alerts")
    assert msgspec.json.decode(answer.body, type=AlertsPicture) == serving.alerts.picture()


def test_the_history_comes_newest_first_by_rule_and_before_an_id(serving: Serving) -> None:
    serving.alerts.stored = [step(n, rule="hot" if n % 2 else "cold") for n in range(1, 8)]

    def ids(query: str) -> list[int]:
        answer = serving.request("GET", f"/api/alerts/history{query}")
        assert answer.status == 200
        return [row.id for row in msgspec.json.decode(answer.body, type=list[TransitionRow])]

    assert ids("") == [7, 6, 5, 4, 3, 2, 1]
    assert ids("?rule=hot&limit=2&before=7") == [5, 3]
    assert serving.request("GET", "/api/alerts/history?limit=10001").status == 400


def test_a_chart_is_asked_by_rule_and_key(serving: Serving) -> None:
    key = quote(json.dumps({"device": "d1"}))
    answer = serving.request("GET", f"/api/alerts/chart?rule=hot&key={key}")
    assert msgspec.json.decode(answer.body, type=WindowChart) == CHART
    assert serving.request("GET", "/api/alerts/chart?rule=hot").status == 404
    assert serving.request("GET", f"/api/alerts/chart?key={key}").status == 400
    for bad in ("[1]", "{", '{"device":1}', '"x"', "%ff"):
        assert serving.request("GET", f"/api/alerts/chart?rule=hot&key={bad if bad[0] == '%' else quote(bad)}").status == 400


@pytest.mark.parametrize(
    ("until", "until_us"),
    [(None, None), ("2h", NOON_US + 2 * HOUR_US), ("2026-11-22T14:00:00Z", NOON_US + 2 * HOUR_US), (NOON_US + HOUR_US, NOON_US + HOUR_US)],
)
def test_an_acknowledgement_reaches_the_desk_with_its_time(serving: Serving, until: str | int | None, until_us: int | None) -> None:
    answer = post(serving, "alerts/ack", {**ACK, "key": {"device": "d1"}, "comment": "seen", "until": until})
    assert (answer.status, answer.json[0]["rule"]) == (200, "hot")
    given = {"rule": "hot", "key": {"device": "d1"}, "author": "ann@press", "comment": "seen", "until_us": until_us}
    assert serving.alerts.asked == [("ack", given)]


def test_without_a_key_all_of_the_rule_are_meant(serving: Serving) -> None:
    assert post(serving, "alerts/ack", ACK).status == 200
    assert post(serving, "alerts/unack", ACK).status == 200
    assert [(what, given["key"]) for what, given in serving.alerts.asked] == [("ack", None), ("unack", None)]


def test_a_silence_begins_now_unless_it_is_said(serving: Serving) -> None:
    assert post(serving, "alerts/silence", SILENCED).json["id"] == SILENCE.id
    assert post(serving, "alerts/silence", {**SILENCED, "since": "1h"}).status == 200
    assert [(given["since_us"], given["until_us"]) for _, given in serving.alerts.asked] == [
        (NOON_US, NOON_US + 2 * HOUR_US),
        (NOON_US + HOUR_US, NOON_US + 2 * HOUR_US),
    ]
    assert serving.alerts.asked[0][1]["matchers"] == ("device=d1", "rule!=a*")
    assert post(serving, "alerts/unsilence", {"id": SILENCE.id, "author": "ann@press"}).status == 200
    assert post(serving, "alerts/unsilence", {"id": 99, "author": "ann@press"}).json == {"error": "there is no silence 99"}


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("ack", {"rule": "hot"}),
        ("ack", {**ACK, "rule": ""}),
        ("ack", {**ACK, "key": ["d1"]}),
        ("ack", {**ACK, "until": "soon"}),
        ("ack", {**ACK, "until": "2020-01-01"}),
        ("ack", {**ACK, "until": 10**30}),
        ("ack", {**ACK, "untill": "2h"}),
        ("unack", {}),
        ("silence", {**SILENCED, "matchers": []}),
        ("silence", {**SILENCED, "comment": ""}),
        ("silence", {**SILENCED, "until": ""}),
        ("silence", {**SILENCED, "since": "3h"}),
        ("silence", {**SILENCED, "until": "9999999999d"}),
        ("unsilence", {"id": "3", "author": "a"}),
        ("test", {"channel": ""}),
        ("test", []),
    ],
)
def test_what_makes_no_sense_is_refused_and_reaches_nobody(serving: Serving, what: str, body: object) -> None:
    answer = post(serving, f"alerts/{what}", body)
    assert answer.status == 400, answer.body
    assert answer.json["error"]
    assert serving.alerts.asked == []


def test_the_desk_s_refusal_is_told_with_its_meaning(serving: Serving) -> None:
    serving.alerts.refuse = UsageRefused("nothing fires")
    assert (post(serving, "alerts/ack", ACK).status, post(serving, "alerts/ack", ACK).json) == (400, {"error": "nothing fires"})
    serving.alerts.refuse = RetryLater("the channel gave no answer", after_s=7)
    answer = post(serving, "alerts/test", {"channel": "ops"})
    assert (answer.status, answer.headers["Retry-After"]) == (503, "7")


def test_a_test_says_what_the_other_side_said_and_only_few_wait_at_once(serving: Serving) -> None:
    assert post(serving, "alerts/test", {"channel": "ops"}).json == {"said": "200 OK"}
    serving.alerts.hold.clear()
    waiting = [serving.connect() for _ in range(2)]
    body = b'{"channel": "slow"}'
    for sock in waiting:
        sock.sendall(b"POST /api/alerts/test HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    wait_for(lambda: serving.alerts.testing == 3, what="both to be on their way")
    assert post(serving, "alerts/test", {"channel": "slow"}).status == 503
    serving.alerts.hold.set()
    for sock in waiting:
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
        sock.close()


def test_a_reload_says_what_changed_or_why_it_was_refused(serving: Serving) -> None:
    assert post(serving, "reload", None).json == {"changed": "the config is right and unchanged"}

    def refuse() -> str:
        raise ConfigRefused("unknown option 'whenn'", file="/etc/appliance.toml", nearest="when")

    serving.reload = refuse
    answer = post(serving, "reload", None)
    assert (answer.status, answer.json) == (400, {"error": "/etc/appliance.toml: unknown option 'whenn'; did you mean 'when'?"})
