"""Which channel a URL is, and what is refused when the config is loaded."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from appliance.errors import ConfigRefused
from appliance.notify.channel_of import channel_of
from appliance.workload_options import NotifyOptions


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("json://localhost:9000/hook", "Webhook"),
        ("JSONS://localhost/hook", "Webhook"),
        ("exec:/usr/bin/true now", "Command"),
        ("mailto://u:p@host?to=a@b", "Mail"),
        ("mailtos://host?from=a@b", "Mail"),
        ("file:alerts.jsonl", "Lines"),
        ("journal:", "Journal"),
        ("mqtt://host/topic", "Mqtt"),
        ("mqtts://host/topic", "Mqtt"),
    ],
)
def test_the_kinds(url: str, kind: str, tmp_path: Path) -> None:
    channel = channel_of("ops", NotifyOptions(url=url), data_dir=tmp_path, node="box-1")
    assert type(channel).__name__ == kind
    assert (channel.name, channel.sender.node) == ("ops", "box-1")


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [("mqtt://host/topic", "paho.mqtt", "edge-appliance[mqtt]"), ("slack://a/b/c", "apprise", "edge-appliance[apprise]")],
)
def test_without_its_extra_a_channel_is_refused_by_what_to_install(
    url: str, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("appliance.notify.channels.mqtt", "appliance.notify.channels.others"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigRefused) as refused:
        channel_of("ops", NotifyOptions(url=url), data_dir=tmp_path, node="box-1")
    assert extra in str(refused.value)


@pytest.mark.parametrize("url", ["", "hook", "://x", "json:/x", "exec:", "file:", "mailto://", "mqtt://h", "journal:x"])
def test_what_cant_be_read_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused) as refused:
        channel_of("ops", NotifyOptions(url=url), data_dir=tmp_path, node="box-1")
    assert refused.value.key == "notify.ops.url"
