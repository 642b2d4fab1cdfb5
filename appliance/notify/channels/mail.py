"""``mailto://`` and ``mailtos://``: a mail over SMTP, plain text, with a ``Message-ID`` made from the idempotency key.

``mailto://user:password@HOST[:25]?from=…&to=a@x,b@y``; recipients may stand in the path too, as in apprise. ``mailtos://`` is STARTTLS on
port 587, or TLS from the first byte with ``?mode=ssl`` or port 465; ``?verify=no`` takes any certificate, ``?smtp=HOST`` names a server
other than HOST. Answers 4xx are tried again, 5xx are for good. Where only some recipients are refused for the time being, the next
attempt goes to those alone. A note's files go with it, up to ``ATTACHED_BYTES_MAX``; what is larger or gone is only named.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, getaddresses
from pathlib import Path, PurePosixPath
from typing import Any, Final, cast
from urllib.parse import unquote

from appliance.clock import US_PER_S, Clock
from appliance.hot.alerts.values import Message
from appliance.notify.bodies import message_key, text_body
from appliance.notify.channel import Channel, Delivery, Sender, Undelivered, one_line, refused
from appliance.notify.deadline import Deadline
from appliance.notify.titles import title_of
from appliance.notify.urls import ChannelUrl, parse_url
from appliance.notify.wire import Resolver, Wire, failure, tls_context
from appliance.workload_options import NotifyOptions

SCHEMES: Final = ("mailto", "mailtos")
RECIPIENTS_MAX: Final = 100
ATTACHED_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of all files of one mail; many servers take 10 MB, and base64 makes it a third more."""
_TYPES: Final = {".html": ("text", "html"), ".md": ("text", "markdown"), ".csv": ("text", "csv"), ".json": ("application", "json")}
_MODES: Final = ("starttls", "ssl")
_SERVED_MAX: Final = 100
"""Messages of which is remembered who has them already."""
_ADDRESS = re.compile(r"[!-?A-~]+@[A-Za-z0-9.\[\]:_-]+")


@dataclass(frozen=True, slots=True)
class _Letterbox:
    sender: Address
    recipients: tuple[str, ...]


class Mail(Channel):
    """One sender and its recipients, by one SMTP server."""

    def __init__(self, sender: Sender, options: NotifyOptions, *, clock: Clock, data_dir: Path | None = None) -> None:
        """``data_dir``: where attachments lie; None: none is sent. Raises ``ConfigRefused``."""
        url = parse_url(sender.channel, options.url, known=("from", "to", "mode", "verify", "smtp"))
        self._host = url.parameters.get("smtp", url.host)
        if not re.fullmatch(r"[A-Za-z0-9._:-]+", self._host):
            raise refused(sender.channel, "has smtp=, which must be a host")
        self._boxes = _letterbox(url)
        super().__init__(sender, options, f"{url.shown} to {', '.join(self._boxes.recipients)}")
        self._is_tls = url.scheme == "mailtos"
        if not self._is_tls and "mode" in url.parameters:
            raise refused(sender.channel, "has mode=, which only mailtos:// has")
        self._mode = url.choice("mode", _MODES, default="ssl" if url.port == 465 else "starttls") if self._is_tls else "plain"
        self._port = url.port or {"plain": 25, "starttls": 587, "ssl": 465}[self._mode]
        self._tls = tls_context(verify=url.flag("verify", default=True)) if self._is_tls else None
        self._login = (url.user, url.password or "") if url.user is not None else None
        self._clock = clock
        self._data_dir = data_dir
        self._resolver = Resolver()
        self._lock = threading.Lock()
        self._busy: set[Wire] = set()
        self._served: OrderedDict[str, set[str]] = OrderedDict()
        """Idempotency key -> who has that message, while somebody has not."""

    def send(self, message: Message, *, timeout_s: float) -> Delivery:
        deadline = Deadline(self._clock, timeout_s)
        mail = self._mail(message)
        try:
            return self._hand_over(mail, message_key(message), deadline)
        except smtplib.SMTPException as error:
            raise self._judged(error) from error
        except OSError as error:
            raise Undelivered(f"{self._host}: {failure(error)}", retry=True) from error

    def close(self) -> None:
        with self._lock:
            for wire in self._busy:
                wire.interrupt()

    def _mail(self, message: Message) -> bytes:
        mail = EmailMessage(policy=SMTP)
        mail["Subject"] = one_line(title_of(message))
        mail["From"] = self._boxes.sender
        mail["To"] = ", ".join(self._boxes.recipients)
        mail["Date"] = format_datetime(datetime.fromtimestamp(self._clock.now_us() // US_PER_S, UTC))
        mail["Message-ID"] = f"<{message_key(message)}@{self._boxes.sender.domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(text_body(message, self.sender), cte="quoted-printable")
        room = ATTACHED_BYTES_MAX
        for path in (path for item in message.items for path in item.attachments):
            content = attached(self._data_dir, path, bytes_max=room)
            if content is not None:
                room -= len(content)
                main, sub = _TYPES.get(Path(path).suffix, ("application", "octet-stream"))
                mail.add_attachment(content, maintype=main, subtype=sub, filename=Path(path).name)
        return mail.as_bytes()

    def _hand_over(self, mail: bytes, key: str, deadline: Deadline) -> Delivery:
        wire = Wire(self._resolver.connect(self._host, self._port, deadline), deadline)
        with self._lock:
            self._busy.add(wire)
            served = self._served.get(key, set())
        recipients = [one for one in self._boxes.recipients if one not in served]
        smtp = _Session(wire, self._host, self._tls)
        try:
            smtp.greet(self._mode)
            if self._login is not None:
                smtp.login(*self._login)
            refused_ones = smtp.sendmail(self._boxes.sender.addr_spec, recipients, mail)
            with contextlib.suppress(OSError):  # the mail is taken; how the other side parts changes nothing
                smtp.quit()
        finally:
            with self._lock:
                self._busy.discard(wire)
            smtp.close()
        return self._counted(key, recipients, refused_ones, smtp.taken)

    def _counted(self, key: str, recipients: list[str], refused_ones: Mapping[str, tuple[int, bytes]], taken: str) -> Delivery:
        """Some recipients at least have it."""
        later = {one: answer for one, answer in refused_ones.items() if answer[0] < 500}
        with self._lock:
            if later:
                self._served.setdefault(key, set()).update(one for one in recipients if one not in later)
                while len(self._served) > _SERVED_MAX:
                    self._served.popitem(last=False)
            else:
                self._served.pop(key, None)
        if later:
            raise Undelivered(f"{self._host} does not yet take it for {_who(later)}", retry=True, answered=True)
        return Delivery(taken + (f"; refused for {_who(refused_ones)}" if refused_ones else ""))

    def _judged(self, error: smtplib.SMTPException) -> Undelivered:
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            again = any(code < 500 for code, _ in error.recipients.values())
            return Undelivered(f"{self._host} takes it for nobody: {_who(error.recipients)}", retry=again, answered=True)
        if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code > 0:
            code = error.smtp_code
            return Undelivered(f"{self._host}: {code} {_said(error.smtp_error)}", retry=code < 500, answered=True)
        if isinstance(error, smtplib.SMTPServerDisconnected):
            cause = error.__context__
            why = failure(cause) if isinstance(cause, OSError) else "the other side closed the connection"
            return Undelivered(f"{self._host}: {why}", retry=True)
        what = "offers no way to log in" if self._login is not None else "lacks something that is needed"
        said = "offers no STARTTLS" if "STARTTLS" in str(error) else what
        return Undelivered(f"{self._host} {said}", retry=not isinstance(error, smtplib.SMTPNotSupportedError), answered=True)


def attached(data_dir: Path | None, path: str, *, bytes_max: int) -> bytes | None:
    """The file below the data folder; None where it is gone, too large, or not to be reached without leaving the folder."""
    if data_dir is None or path.startswith("/") or ".." in PurePosixPath(path).parts:
        return None
    try:
        with (data_dir / path).open("rb") as file:
            content = file.read(bytes_max + 1)
    except OSError:
        return None
    return content if len(content) <= bytes_max else None


class _Session(smtplib.SMTP):
    """``smtplib`` over a ``Wire``."""

    taken: str
    """What the server said when it took the mail."""

    def __init__(self, wire: Wire, host: str, context: ssl.SSLContext | None) -> None:
        self._wire = wire
        self._context = context
        self.taken = ""
        super().__init__(local_hostname="localhost")
        self._host = host  # smtplib sets it only when it connects by itself

    def greet(self, mode: str) -> None:
        """From the connected wire to the server's list of what it can do, by TLS where that is wanted."""
        if mode == "ssl":
            self._secure()
        self.sock = cast("Any", self._wire)
        code, said = self.getreply()
        if code != 220:
            raise smtplib.SMTPConnectError(code, said)
        self.ehlo_or_helo_if_needed()
        if mode != "starttls":
            return
        if not self.has_extn("starttls"):
            raise smtplib.SMTPNotSupportedError("no STARTTLS")
        code, said = self.docmd("STARTTLS")
        if code != 220:
            raise smtplib.SMTPResponseException(code, said)
        if self.file is not None:
            self.file.close()  # what came before TLS began counts for nothing (RFC 3207, section 6)
        self.file = None
        self._secure()
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features = {}
        self.does_esmtp = False
        self.ehlo_or_helo_if_needed()

    def data(self, msg: Any) -> tuple[int, bytes]:
        code, said = super().data(msg)
        self.taken = f"{code} {_said(said)}"
        return code, said

    def close(self) -> None:
        super().close()
        self._wire.close()

    def _secure(self) -> None:
        assert self._context is not None
        self._wire.secure(self._context, self._host)


def _letterbox(url: ChannelUrl) -> _Letterbox:
    given = [unquote(part) for part in url.path.split("/") if part]
    given += [part for part in url.parameters.get("to", "").split(",") if part.strip()]
    user = url.user if url.user is not None and "@" in url.user else f"{url.user}@{url.host}" if url.user is not None else None
    sender = url.parameters.get("from", user)
    if sender is None:
        raise refused(url.channel, "needs ?from=ADDRESS")
    recipients = tuple(dict.fromkeys(_address(url.channel, one).addr_spec for one in given or [sender]))
    if len(recipients) > RECIPIENTS_MAX:
        raise refused(url.channel, f"names more than {RECIPIENTS_MAX} recipients")
    return _Letterbox(_address(url.channel, sender), recipients)


def _address(channel: str, text: str) -> Address:
    """``a@x`` or ``Name <a@x>``."""
    found = getaddresses([text]) if text.isprintable() else []
    if len(found) != 1 or _ADDRESS.fullmatch(found[0][1]) is None:
        raise refused(channel, "holds a mail address that can't be read: user@host, ASCII only, several parted by commas")
    try:
        return Address(found[0][0], addr_spec=found[0][1])
    except (ValueError, IndexError, MessageError) as error:
        raise refused(channel, "holds a mail address that can't be read: user@host") from error


def _who(refused_ones: Mapping[str, tuple[int, bytes]]) -> str:
    return one_line(", ".join(f"{one} ({code} {_said(said)})" for one, (code, said) in refused_ones.items()))


def _said(text: bytes | str) -> str:
    return one_line(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)
