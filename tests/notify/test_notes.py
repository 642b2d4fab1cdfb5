"""A message that is about no alert, in every form in which channels tell it."""

from __future__ import annotations

import json
from pathlib import Path

from appliance.hot.alerts.rows import item_of, item_row
from appliance.hot.alerts.telling import note
from appliance.hot.alerts.values import Item
from appliance.notify.alertmanager import alertmanager_body
from appliance.notify.bodies import facts, json_body, json_bytes, message_key, text_body
from appliance.notify.channel_of import channel_of
from appliance.notify.channels.mail import ATTACHED_BYTES_MAX, attached
from appliance.notify.folding import combined
from appliance.notify.titles import title_of
from appliance.workload_options import NotifyOptions
from tests.clock import NOON_US
from tests.notify.messages import SENDER, message
from tests.notify.test_mail import Mailbox, server

PATH = "reports/daily/2026-11-21.r1.html"


def report(key: str = "2026-11-21 r1", text: str = "3 records.\n\n\x1b[2Jdone") -> Item:
    return note("The day of the box\n2026-11-21", text, [PATH], about="report daily", key=key, at_us=NOON_US, severity="info")


def test_it_says_its_title_its_text_and_where_its_files_lie() -> None:
    told = message(report(), group="note=report daily")
    assert title_of(told) == "The day of the box 2026-11-21"
    assert text_body(told, SENDER) == f"3 records.\n\n[2Jdone\n\nfile: {PATH}\n\nfrom box-1\n"
    body = json.loads(json_bytes(json_body(told, SENDER)))
    assert (body["items"][0]["state"], body["items"][0]["attachments"]) == ("note", [PATH])
    assert facts(told)["STATE"] == "note"
    assert facts(told)["SUMMARY"].startswith("The day of the box")


def test_each_has_a_key_of_its_own_and_none_swallows_another() -> None:
    one, two = report(), report("2026-11-21 r2")
    assert one.idempotency_key != two.idempotency_key
    assert message_key(message(one)) == report().idempotency_key
    assert len(combined([message(one, id=1), message(two, id=2)]).items) == 2
    assert item_of(item_row(one)) == one


def test_for_alertmanager_it_is_one_that_is_over_at_once() -> None:
    body = alertmanager_body(message(report()), SENDER)
    assert body["status"] == "firing"
    [alert] = body["alerts"]
    assert alert["startsAt"] == alert["endsAt"] == "2026-11-22T12:00:00Z"
    assert alert["annotations"]["summary"].startswith("The day of the box")


def test_a_mail_carries_the_file_and_only_names_one_that_is_gone_or_too_large(tmp_path: Path) -> None:
    (tmp_path / "reports/daily").mkdir(parents=True)
    (tmp_path / PATH).write_text("<!doctype html>ä")
    mailbox = Mailbox()
    with server(mailbox) as port:
        channel = channel_of("ops", NotifyOptions(url=f"mailto://127.0.0.1:{port}?from=box@x&to=a@x"), data_dir=tmp_path, node="box-1")
        channel.send(message(report()), timeout_s=30)
        (tmp_path / PATH).unlink()
        channel.send(message(report()), timeout_s=30)
    [(_, whole), (_, bare)] = mailbox.mails
    [part] = whole.iter_attachments()
    assert (part.get_filename(), part.get_content_type()) == ("2026-11-21.r1.html", "text/html")
    assert part.get_payload(decode=True) == "<!doctype html>ä".encode()
    assert whole["Subject"] == "The day of the box 2026-11-21"
    assert list(bare.iter_attachments()) == []
    assert f"file: {PATH}" in bare.get_content()


def test_no_file_outside_of_the_data_folder_is_attached(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "secret").write_text("x")
    for path in ("../secret", str(tmp_path / "secret"), "a/../../secret"):
        assert attached(tmp_path / "data", path, bytes_max=ATTACHED_BYTES_MAX) is None
    (tmp_path / "data" / "big").write_bytes(b"x" * 11)
    assert attached(tmp_path / "data", "big", bytes_max=10) is None
    assert attached(None, "big", bytes_max=100) is None
