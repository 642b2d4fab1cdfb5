"""What a message says: its title, its text, its JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from appliance.hot.alerts.values import Item, Tells
from appliance.notify.alertmanager import alertmanager_body
from appliance.notify.bodies import facts, json_body, json_bytes, message_key, text_body
from appliance.notify.titles import TITLE_CHARACTERS_MAX, title_of
from tests.notify.messages import SENDER, item, message


@pytest.mark.parametrize(
    ("one", "title"),
    [
        (item(), "[critical] overheating: d1 at 83.2 °C"),
        (item(tells=Tells.RESOLVED, at_s=60), "[resolved] overheating: d1 at 83.2 °C"),
        (item(tells=Tells.REPEAT, severity="warning"), "[warning, still firing] overheating: d1 at 83.2 °C"),
        (item(tells=Tells.ESCALATED), "[critical, not acknowledged] overheating: d1 at 83.2 °C"),
        (item(tells=Tells.FLAPPING), "[critical, flapping] overheating: d1 at 83.2 °C"),
        (replace(item(), summary=""), "[critical] overheating: d1"),
        (replace(item(), summary="", key=()), "[critical] overheating"),
        (replace(item(), summary="overheating at d1"), "[critical] overheating at d1"),
        (replace(item(), summary="a\r\nBcc: x@y\x1b[31m"), "[critical] overheating: a Bcc: x@y [31m"),
    ],
)
def test_the_title_of_one_alert(one: Item, title: str) -> None:
    assert title_of(message(one)) == title


def test_the_title_of_several_counts_them() -> None:
    items = [item(f"d{n}") for n in range(12)] + [item(f"e{n}", Tells.RESOLVED, at_s=1) for n in range(3)]
    assert title_of(message(*items)) == "[firing 12, resolved 3] rule=overheating"


def test_a_title_is_never_long() -> None:
    assert len(title_of(message(replace(item(), summary="x" * 10_000)))) == TITLE_CHARACTERS_MAX


def test_the_json_is_as_documented() -> None:
    body = json.loads(json_bytes(json_body(message(item(tells=Tells.RESOLVED, at_s=90)), SENDER)))
    key = item(tells=Tells.RESOLVED).idempotency_key
    assert body == {
        "version": 1,
        "title": "[resolved] overheating: d1 at 83.2 °C",
        "node": "box-1",
        "channel": "ops",
        "group": "rule=overheating",
        "idempotency_key": key,
        "others": 0,
        "items": [
            {
                "rule": "overheating",
                "key": ["d1"],
                "state": "resolved",
                "tells": "resolved",
                "severity": "critical",
                "summary": "d1 at 83.2 °C",
                "labels": {"rule": "overheating", "severity": "critical", "device": "d1"},
                "values": {"avg(temperature)": 83.2},
                "at": "2026-11-22T12:01:30Z",
                "fired": "2026-11-22T12:00:00Z",
                "resolved": "2026-11-22T12:01:30Z",
                "runbook": "https://wiki.example/overheating",
                "idempotency_key": key,
            }
        ],
    }


def test_what_json_has_no_number_for_becomes_null() -> None:
    body = json_body(message(replace(item(), values={"a": float("nan"), "b": float("inf"), "c": None, "d": 1, "e": True})), SENDER)
    assert json.loads(json_bytes(body))["items"][0]["values"] == {"a": None, "b": None, "c": None, "d": 1, "e": True}


def test_a_hundred_are_listed_the_gravest_first_and_the_others_counted() -> None:
    items = [item(f"i{n}", severity="info") for n in range(150)] + [item("grave")]
    body = json_body(message(*items), SENDER)
    assert len(body["items"]) == 100
    assert body["items"][0]["key"] == ["grave"]
    assert body["others"] == 51
    assert "and 51 more" in text_body(message(*items), SENDER)
    assert alertmanager_body(message(*items), SENDER)["truncatedAlerts"] == 51


def test_long_texts_are_cut() -> None:
    body = json_body(message(replace(item("k" * 9_000), summary="s" * 9_000, labels={"l": "x" * 9_000})), SENDER)
    assert len(json_bytes(body)) < 14_000


def test_the_text_says_values_labels_and_what_to_do() -> None:
    assert text_body(message(), SENDER) == (
        "overheating: d1 at 83.2 °C\n"
        "  critical, firing since 2026-11-22T12:00:00Z\n"
        "  device=d1\n"
        "  avg(temperature) = 83.2\n"
        "  what to do: https://wiki.example/overheating\n"
        "\n"
        "from box-1\n"
    )


def test_the_key_of_a_message_is_made_of_those_of_its_alerts() -> None:
    assert message_key(message(item())) == item().idempotency_key
    two = message(item("d1"), item("d2"))
    assert message_key(two) == message_key(message(item("d1"), item("d2"), id=99))
    assert message_key(two) != message_key(message(item("d1"), item("d3")))


def test_facts_name_all_rules_and_the_gravest_that_goes_on() -> None:
    other = replace(item("d2", severity="warning"), rule="leak")
    found = facts(message(item(tells=Tells.RESOLVED), other))
    assert found["RULE"] == "overheating,leak"
    assert (found["STATE"], found["SEVERITY"]) == ("firing", "warning")
    assert facts(message(item(tells=Tells.RESOLVED)))["STATE"] == "resolved"


def test_alertmanagers_format() -> None:
    body = alertmanager_body(message(item("d1"), item("d2", Tells.RESOLVED, at_s=60)), SENDER)
    assert (body["version"], body["receiver"], body["status"], body["truncatedAlerts"]) == ("4", "ops", "firing", 0)
    assert body["groupLabels"] == {"alertname": "overheating"}
    assert body["commonLabels"] == {"alertname": "overheating", "rule": "overheating", "severity": "critical"}
    assert body["commonAnnotations"]["runbook_url"] == "https://wiki.example/overheating"
    firing, resolved = body["alerts"]
    assert (firing["status"], firing["startsAt"], firing["endsAt"]) == ("firing", "2026-11-22T12:00:00Z", "0001-01-01T00:00:00Z")
    assert (resolved["status"], resolved["endsAt"]) == ("resolved", "2026-11-22T12:01:00Z")
    assert firing["labels"]["device"] == "d1"
    assert firing["annotations"]["summary"] == "overheating: d1 at 83.2 °C"
    assert firing["annotations"]["value_avg_temperature"] == "83.2"
    assert len(firing["fingerprint"]) == 16
    assert firing["fingerprint"] != resolved["fingerprint"]


def test_alertmanagers_fingerprint_stays_while_the_alert_goes_on() -> None:
    firing = alertmanager_body(message(item()), SENDER)["alerts"][0]
    resolved = alertmanager_body(message(item(tells=Tells.RESOLVED, fire=1)), SENDER)["alerts"][0]
    assert firing["fingerprint"] == resolved["fingerprint"]
    assert alertmanager_body(message(item(tells=Tells.RESOLVED)), SENDER)["status"] == "resolved"
