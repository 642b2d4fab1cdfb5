"""Every channel that apprise reaches and that is not built in. Needs the extra ``apprise``.

apprise says only whether it worked: every failure is tried again until the message is too old. What it logs on the way is the
reason, without anything that stands in the URL. Redirects are followed or not as the service of apprise does.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import apprise
from apprise.common import NotifyFormat, NotifyType, PersistentStoreMode

from appliance.clock import Clock
from appliance.hot.alerts.values import Message
from appliance.notify.aside import Aside
from appliance.notify.bodies import text_body
from appliance.notify.channel import Channel, Delivery, Sender, Undelivered, one_line, refused
from appliance.notify.deadline import Deadline
from appliance.notify.titles import severity_of_all, state_of_all, title_of
from appliance.notify.urls import scheme_of
from appliance.workload_options import NotifyOptions

_TYPES: Final = {"critical": NotifyType.FAILURE, "warning": NotifyType.WARNING, "info": NotifyType.INFO}
_LINES_MAX: Final = 10
_PART = re.compile(r"[^/?&=@:,+]{3,}")

logging.getLogger("urllib3").setLevel(logging.INFO)  # what apprise calls with: its DEBUG lines hold paths, which are secrets here


class Other(Channel):
    """One service of apprise."""

    def __init__(self, sender: Sender, options: NotifyOptions, *, clock: Clock) -> None:
        """Raises ``ConfigRefused``."""
        scheme = scheme_of(sender.channel, options.url)
        super().__init__(sender, options, f"{scheme}://…")
        asset = apprise.AppriseAsset(storage_mode=PersistentStoreMode.MEMORY)
        asset.app_id = "edge-appliance"
        with _heard():
            service = apprise.Apprise.instantiate(options.url, asset=asset)
        if service is None:
            hint = f"; a webhook is written json{'s' if scheme == 'https' else ''}://" if scheme in ("http", "https") else ""
            raise refused(sender.channel, f"is none that apprise understands (scheme {scheme}){hint}")
        service.socket_connect_timeout = service.socket_read_timeout = options.timeout_s
        self._service = service
        self._secrets = set(_PART.findall(options.url)) - {scheme}
        self._clock = clock
        self._aside = Aside(f"notify-{sender.channel}")

    def send(self, message: Message, *, timeout_s: float) -> Delivery:
        going_on = state_of_all(message) != "resolved"
        kind = _TYPES.get(severity_of_all(message), NotifyType.WARNING) if going_on else NotifyType.SUCCESS
        title, body = title_of(message), text_body(message, self.sender)

        def call() -> tuple[bool, list[str]]:
            with _heard() as said:
                done = bool(self._service.notify(body=body, title=title, notify_type=kind, body_format=NotifyFormat.TEXT))
            return done, said

        try:
            done, said = self._aside.call(call, Deadline(self._clock, timeout_s))
        except TimeoutError as error:
            raise Undelivered(f"apprise: {error}", retry=True) from error
        if not done:
            reason = self._cleaned("; ".join(said)) or "not delivered, and no reason given"
            raise Undelivered(f"apprise: {reason}", retry=True, answered=True)
        return Delivery(f"{self._service.service_name}: accepted")

    def _cleaned(self, text: str) -> str:
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "…")
        return one_line(text)


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What apprise logs from WARNING on in this thread. None of what it logs there goes anywhere else: it holds whole URLs."""
    said: list[str] = []
    me = threading.get_ident()

    def hear(record: logging.LogRecord) -> bool:
        if record.thread != me:
            return True
        if record.levelno >= logging.WARNING and len(said) < _LINES_MAX:
            said.append(record.getMessage())
        return False

    logger = logging.getLogger("apprise")
    logger.addFilter(hear)
    try:
        yield said
    finally:
        logger.removeFilter(hear)
