"""A channel's URL is cut as apprise's notation has it, and what can't be read is refused without repeating it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import ConfigRefused
from appliance.notify.urls import parse_url, scheme_of

KNOWN = ("method", "format", "verify")


def test_all_parts_of_a_url() -> None:
    url = parse_url(
        "ops", "jsons://us%40er:p%2Fw@h.example:8443/a%20b/c?method=PUT&+X-Token=a+b%26c&-room=1&format=x", known=KNOWN, headers=True
    )
    assert (url.scheme, url.host, url.port, url.user, url.password) == ("jsons", "h.example", 8443, "us@er", "p/w")
    assert url.path == "/a%20b/c"
    assert url.parameters == {"method": "PUT", "format": "x"}
    assert url.headers == {"X-Token": "a+b&c"}
    assert url.query == (("room", "1"),)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("json://[::1]:9/x", "::1", 9), ("json://[fe80::1%25eth0]", "fe80::1%25eth0", None), ("json://localhost", "localhost", None)],
)
def test_hosts(text: str, host: str, port: int | None) -> None:
    url = parse_url("ops", text, known=())
    assert (url.host, url.port) == (host, port)


def test_what_is_shown_holds_no_secret() -> None:
    url = parse_url("ops", "json://user:hunter2@host:99/hooks/T0PSECRET?+X=SECRET2", known=(), headers=True)
    assert url.shown == "json://host:99"


@pytest.mark.parametrize(
    "text",
    [
        "json:host/x",
        "json://",
        "json:///path",
        "json://user:hunter2@/x",
        "json://host:hunter2/x",
        "json://user:hun/ter2@host/x",
        "json://host:0/",
        "json://host:65536/",
        "json://host:1²/",
        "json://[::1/x",
        "json://[::1]x/",
        "json://ho st/x",
        "json://host/a\nb",
        "json://host/#hunter2",
        "json://host/?hunter2=1",
        "json://host/?method=PUT&method=POST",
        "json://-host/",
    ],
)
def test_what_cant_be_read_is_refused_by_channel_without_repeating_it(text: str) -> None:
    with pytest.raises(ConfigRefused) as refused:
        parse_url("ops", text, known=KNOWN, headers=True)
    assert refused.value.key == "notify.ops.url"
    assert "notify.ops.url" in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert "ter2" not in str(refused.value)


def test_a_text_without_a_scheme_is_refused() -> None:
    with pytest.raises(ConfigRefused, match="must begin with a scheme"):
        scheme_of("ops", "//host/path")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for url in (text, f"json://{text}", f"json://h/{text}", f"json://h/?{text}"):
        try:
            parse_url("ops", url, known=KNOWN, headers=True)
        except ConfigRefused as refused:
            assert "\n" not in str(refused)  # noqa: PT017 - only what is refused has a line
