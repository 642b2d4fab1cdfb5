from __future__ import annotations

import pytest

from appliance.hybrid.analysis.texts.labels import classify, gravity

TOLD = [
    ("Failed password for invalid user <*> from <*>", "security", 1.0),
    ("Zugriff verweigert für <*>", "security", 0.2),
    ("Temperature (<*>) exceeds warning threshold", "hardware", 0.6),
    ("machine check: CPU<*> ECC error", "hardware", 1.0),
    ("<*> ddr errors(s) detected and corrected on rank <*>", "error", 0.6),
    ("EXT<*>-fs error: filesystem on sda<*> is full", "storage", 1.0),
    ("Festplatte voll", "storage", 0.2),
    ("connection closed by <*>", "network", 0.2),
    ("eth<*>: link is down", "network", 0.2),
    ("Verbindung zu <*> unterbrochen", "network", 0.2),
    ("java.lang.NullPointerException at <*>", "error", 1.0),
    ("Erreur à la ligne <*>", "error", 1.0),
    ("発生エラー: <*>", "error", 1.0),
    ("произошла ошибка <*>", "error", 1.0),
    ("completed with no errors", "error", 0.6),
    ("WARN: retrying in <*>", "warning", 0.6),
    ("Achtung, Füllstand bei <*>", "warning", 0.6),
    ("cupsd startup succeeded", "start/stop", 0.2),
    ("Dienst <*> neu gestartet", "start/stop", 0.2),
    ("PacketResponder <*> terminating", "network", 0.2),
    ("onStandStepChanged <*>", "info", 0.2),
    ("total = <*>, boots <*>", "info", 0.2),
    ("<*>", "info", 0.2),
    ("", "info", 0.2),
]


@pytest.mark.parametrize(("text", "label", "grave"), TOLD)
def test_what_kind_of_event_a_text_tells_of(text: str, label: str, grave: float) -> None:
    assert (classify(text), gravity(text)) == (label, grave)
