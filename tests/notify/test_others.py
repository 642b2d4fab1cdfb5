"""What apprise reaches, for real: its ``form://`` against a server of ours."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from appliance.clock import SystemClock
from appliance.errors import ConfigRefused
from appliance.notify.channel import Undelivered
from appliance.notify.channel_of import channel_of
from appliance.notify.channels.others import Other
from appliance.workload_options import NotifyOptions
from tests.notify.hook import Hook, hangs, says
from tests.notify.messages import SENDER, message
from tests.running import wait_for

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # apprise tries it


def other(url: str) -> Other:
    return Other(SENDER, NotifyOptions(url=url), clock=SystemClock())


def test_a_message_goes_through_apprise() -> None:
    with Hook() as hook:
        said = other(f"form://127.0.0.1:{hook.port}/x").send(message(), timeout_s=30).said
    body = hook.requests[0].body.decode()
    assert "overheating" in body
    assert said


def test_a_failure_says_what_apprise_said_and_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), Hook(says(500)) as hook, pytest.raises(Undelivered) as undelivered:
        other(f"form://user:hunter2@127.0.0.1:{hook.port}/T0PSECRET").send(message(), timeout_s=30)
    assert undelivered.value.retry
    assert "500" in undelivered.value.reason
    for secret in ("hunter2", "T0PSECRET"):
        assert secret not in undelivered.value.reason
        assert secret not in caplog.text


def test_a_service_that_hangs_is_left_at_the_timeout_and_costs_one_thread() -> None:
    with Hook(hangs, hangs) as hook:
        one = Other(SENDER, NotifyOptions(url=f"form://127.0.0.1:{hook.port}/x", timeout_s=60), clock=SystemClock())
        for reason in ("timed out", "an earlier attempt still hangs"):
            with pytest.raises(Undelivered, match=reason) as undelivered:
                one.send(message(), timeout_s=0.3)
            assert undelivered.value.retry
        wait_for(lambda: hook.requests, what="the first attempt")
        assert len(hook.requests) == 1


def test_what_apprise_does_not_know_is_refused_without_being_repeated(tmp_path: Path) -> None:
    for url in ("nosuch://user:hunter2@host", "https://hooks.example/hunter2", "slack://hunter2"):
        with pytest.raises(ConfigRefused) as refused:
            channel_of("ops", NotifyOptions(url=url), data_dir=tmp_path, node="box-1")
        assert "hunter2" not in str(refused.value)
        assert refused.value.key == "notify.ops.url"
