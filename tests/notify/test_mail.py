"""``mailto://`` and ``mailtos://`` against a real SMTP server, plain and with TLS, and against servers that misbehave."""

from __future__ import annotations

import email
import email.policy
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from appliance.clock import SystemClock
from appliance.errors import ConfigRefused
from appliance.hot.alerts.values import Message
from appliance.notify.channel import Undelivered
from appliance.notify.channels.mail import Mail
from appliance.workload_options import NotifyOptions
from tests.notify.messages import SENDER, item, message
from tests.ports import free_port
from tests.running import pause

LONG_S = 30.0
SHORT_S = 1.5


class Mailbox:
    """Takes mail; ``answers`` are said to recipients, each once."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.refusals: list[tuple[str, str]] = []
        """(recipient, answer)."""
        self.data_answers: list[str] = []
        self.logins: list[tuple[bytes, bytes]] = []

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]) -> str:  # noqa: N802
        for place, (recipient, answer) in enumerate(self.refusals):
            if recipient == address:
                del self.refusals[place]
                return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.data_answers:
            return self.data_answers.pop(0)
        raw = cast("bytes", envelope.content)
        self.mails.append((list(envelope.rcpt_tos), email.message_from_bytes(raw, policy=email.policy.default)))
        return "250 queued as 4711"

    def login(self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"p@ss", handled=False)


@contextmanager
def server(mailbox: Mailbox, **options: Any) -> Iterator[int]:
    """The port of a server for a while."""
    port = free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port, ready_timeout=20, **options)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def mail(url: str) -> Mail:
    return Mail(SENDER, NotifyOptions(url=url), clock=SystemClock())


def failure(url: str, *, timeout_s: float = LONG_S) -> Undelivered:
    with pytest.raises(Undelivered) as undelivered:
        mail(url).send(message(), timeout_s=timeout_s)
    return undelivered.value


TO = "?from=Box%20One%20<box@site.example>&to=a@x.example,b@y.example"


def test_a_mail_arrives() -> None:
    box = Mailbox()
    with server(box) as port:
        said = mail(f"mailto://127.0.0.1:{port}{TO}").send(message(), timeout_s=LONG_S).said
    recipients, found = box.mails[0]
    assert recipients == ["a@x.example", "b@y.example"]
    assert found["Subject"] == "[critical] overheating: d1 at 83.2 °C"
    assert found["From"] == "Box One <box@site.example>"
    assert found["To"] == "a@x.example, b@y.example"
    assert found["Message-ID"] == f"<{item().idempotency_key}@site.example>"
    assert found["Auto-Submitted"] == "auto-generated"
    assert "avg(temperature) = 83.2" in found.get_content()
    assert said == "250 queued as 4711"


def test_what_an_alert_says_never_becomes_a_header() -> None:
    box = Mailbox()
    evil: Message = message(replace(item(), rule="x\r\nBcc: evil@z.example", summary="\r\n\r\n.\r\nMAIL FROM:<evil@z.example>\r\n"))
    with server(box) as port:
        mail(f"mailto://127.0.0.1:{port}{TO}").send(evil, timeout_s=LONG_S)
    recipients, found = box.mails[0]
    assert len(box.mails) == 1
    assert recipients == ["a@x.example", "b@y.example"]
    assert found["Bcc"] is None


def test_the_same_message_has_the_same_id_each_time() -> None:
    box = Mailbox()
    box.data_answers = ["451 later"]
    with server(box) as port:
        one = mail(f"mailto://127.0.0.1:{port}{TO}")
        with pytest.raises(Undelivered, match="451 later") as undelivered:
            one.send(message(), timeout_s=LONG_S)
        one.send(message(), timeout_s=LONG_S)
    assert (undelivered.value.retry, undelivered.value.answered) == (True, True)
    assert [found["Message-ID"] for _, found in box.mails] == [f"<{item().idempotency_key}@site.example>"]


def test_an_answer_of_5xx_is_for_good() -> None:
    box = Mailbox()
    box.data_answers = ["554 no"]
    with server(box) as port:
        undelivered = failure(f"mailto://127.0.0.1:{port}{TO}")
    assert not undelivered.retry
    assert "554 no" in undelivered.reason


def test_who_is_refused_for_now_is_tried_again_alone() -> None:
    box = Mailbox()
    box.refusals = [("b@y.example", "451 greylisted")]
    with server(box) as port:
        one = mail(f"mailto://127.0.0.1:{port}{TO}")
        with pytest.raises(Undelivered, match=r"b@y\.example") as undelivered:
            one.send(message(), timeout_s=LONG_S)
        one.send(message(), timeout_s=LONG_S)
    assert undelivered.value.retry
    assert [recipients for recipients, _ in box.mails] == [["a@x.example"], ["b@y.example"]]


def test_who_is_refused_for_good_does_not_keep_others_from_it() -> None:
    box = Mailbox()
    box.refusals = [("b@y.example", "550 no such user")]
    with server(box) as port:
        said = mail(f"mailto://127.0.0.1:{port}{TO}").send(message(), timeout_s=LONG_S).said
    assert "refused for b@y.example (550 no such user)" in said


@pytest.mark.parametrize(("code", "retry"), [("550", False), ("451", True)])
def test_nobody_is_taken(code: str, retry: bool) -> None:
    box = Mailbox()
    box.refusals = [("a@x.example", f"{code} no"), ("b@y.example", "550 no")]
    with server(box) as port:
        assert failure(f"mailto://127.0.0.1:{port}{TO}").retry == retry


def context(certificate: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


@pytest.mark.parametrize("mode", ["starttls", "ssl"])
def test_tls_with_a_login(mode: str, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    box = Mailbox()
    options: dict[str, Any] = {"authenticator": box.login}
    if mode == "starttls":
        options |= {"tls_context": context(certificate), "require_starttls": True}
    else:
        options |= {"ssl_context": context(certificate), "auth_require_tls": False}
    with server(box, **options) as port:
        mail(f"mailtos://user:p%40ss@localhost:{port}/a@x.example?from=box@site.example&mode={mode}").send(message(), timeout_s=LONG_S)
        undelivered = failure(f"mailtos://user:hunter2@localhost:{port}/a@x.example?from=box@site.example&mode={mode}")
    assert [recipients for recipients, _ in box.mails] == [["a@x.example"]]
    assert box.logins[0] == (b"user", b"p@ss")
    assert not undelivered.retry
    assert "535" in undelivered.reason
    assert "hunter2" not in undelivered.reason


@pytest.mark.parametrize("mode", ["starttls", "ssl"])
def test_a_certificate_that_nobody_vouches_for(mode: str, certificate: Path) -> None:
    box = Mailbox()
    options: dict[str, Any] = {"tls_context": context(certificate)} if mode == "starttls" else {"ssl_context": context(certificate)}
    with server(box, **options) as port:
        url = f"mailtos://127.0.0.1:{port}{TO}&mode={mode}"
        assert "certificate is not trusted" in failure(url).reason
        mail(url + "&verify=no").send(message(), timeout_s=LONG_S)
    assert len(box.mails) == 1


def test_without_starttls_nothing_is_sent_in_the_open() -> None:
    box = Mailbox()
    with server(box) as port:
        undelivered = failure(f"mailtos://127.0.0.1:{port}{TO}")
    assert undelivered.reason == "127.0.0.1 offers no STARTTLS"
    assert not box.mails


def _drips(s: socket.socket, ending: threading.Event) -> None:
    s.sendall(b"220 ")
    while not ending.is_set():
        s.sendall(b"x")
        pause(0.02)


def _hangs(_s: socket.socket, ending: threading.Event) -> None:
    ending.wait()


def _hangs_up(_s: socket.socket, _ending: threading.Event) -> None:
    return


def _is_busy(s: socket.socket, _ending: threading.Event) -> None:
    s.sendall(b"421 too busy\r\n")


@pytest.mark.parametrize(
    ("misbehaviour", "reason"),
    [(_drips, "timed out"), (_hangs, "timed out"), (_hangs_up, "closed the connection"), (_is_busy, "421 too busy")],
)
def test_a_server_that_misbehaves_is_tried_again(misbehaviour: Callable[[socket.socket, threading.Event], None], reason: str) -> None:
    ending = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            s, _ = listening.accept()
            with s:
                try:
                    misbehaviour(s, ending)
                except OSError:
                    return

        thread = threading.Thread(target=serve)  # noqa: TID251 - joined below
        thread.start()
        try:
            undelivered = failure(f"mailto://127.0.0.1:{listening.getsockname()[1]}{TO}", timeout_s=SHORT_S)
        finally:
            ending.set()
            thread.join(20)
    assert undelivered.retry
    assert reason in undelivered.reason


def test_nobody_there() -> None:
    assert "refused" in failure(f"mailto://127.0.0.1:{free_port()}{TO}").reason


def test_who_writes_to_whom_by_default() -> None:
    one = mail("mailto://user:pw@site.example?smtp=relay.example")
    assert one.shown == "mailto://site.example to user@site.example"


@pytest.mark.parametrize(
    "tail",
    [
        "",
        "?from=nobody",
        "?from=a@b&to=c",
        "?from=a@b%0d%0aBcc:e@f",
        "?from=a@b&to=ü@x",
        "?from=a@b&mode=ssl",
        "?from=a@b&smtp=x/y",
        "?from=a@b&to=" + ",".join(f"u{n}@x" for n in range(101)),
        "?from=a@b&format=html",
    ],
)
def test_what_cant_be_meant_is_refused(tail: str) -> None:
    with pytest.raises(ConfigRefused, match=r"notify\.ops\.url"):
        mail(f"mailto://host{tail}")
