"""What the appliance tells systemd: ready after recovery, a line of status, that it lives, that it stops (``sd_notify(3)``).

Datagrams on the socket that ``NOTIFY_SOCKET`` names; without one every call does nothing and says so by returning False. A
message that systemd can't take is counted, never an error: it must not stop the appliance. There is no thread here: what
feeds the watchdog is the loop that asks how far the writer has come.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final

SEND_S_MAX: Final = 1.0
"""systemd reads its socket at once; when it doesn't, the appliance waits no longer than this."""
STATUS_CHARS_MAX: Final = 250
US_PER_S: Final = 1_000_000


def message(fields: Mapping[str, str]) -> bytes:
    """The datagram of some assignments. What can't be part of a line (stream names may hold it) becomes a blank."""
    lines = (f"{name}={''.join(c if c.isprintable() else ' ' for c in value)}" for name, value in fields.items())
    return "\n".join(lines).encode("utf-8", "replace")


def status_fields(text: str) -> dict[str, str]:
    """The line that ``systemctl status`` shows."""
    return {"STATUS": text if len(text) <= STATUS_CHARS_MAX else text[: STATUS_CHARS_MAX - 1] + "…"}


def socket_address(name: str) -> str | None:
    """The address behind ``NOTIFY_SOCKET``: a path, or ``@NAME`` for Linux' abstract names; None where there is none that we speak."""
    if len(name) < 2 or name[0] not in "/@":
        return None
    return "\0" + name[1:] if name.startswith("@") else name


def watchdog_period_s(environment: Mapping[str, str], *, pid: int) -> float | None:
    """How long systemd waits for a sign of life of process ``pid``; None where it doesn't wait."""
    span = environment.get("WATCHDOG_USEC", "")
    meant = environment.get("WATCHDOG_PID", str(pid))
    if not span.isdecimal() or int(span) == 0 or meant != str(pid):
        return None
    return int(span) / US_PER_S


class Notifier:
    """One connection to systemd, for the one loop that owns it. Each method returns whether systemd got the message."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """``environment`` is the process's; only ``NOTIFY_SOCKET`` counts."""
        self._address = socket_address(environment.get("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None
        self._fed_at: int | None = None
        self.failures = 0
        """Messages that systemd could not be given."""

    @property
    def wanted(self) -> bool:
        """Whether somebody listens."""
        return self._address is not None

    def ready(self, text: str) -> bool:
        """Recovery is done and every listener listens: units that wait for this one may start."""
        return self.send({"READY": "1", **status_fields(text)})

    def status(self, text: str) -> bool:
        """One line for ``systemctl status``."""
        return self.send(status_fields(text))

    def feed(self, progress: int) -> bool:
        """A sign of life, given only when ``progress`` (any value that changes while the writer works) differs from the last time."""
        if progress == self._fed_at:
            return False
        self._fed_at = progress
        return self.send({"WATCHDOG": "1"})

    def extend_timeout(self, span_s: float) -> bool:
        """Start-up or shutdown takes longer: systemd waits at least ``span_s`` from now on."""
        return self.send({"EXTEND_TIMEOUT_USEC": str(int(span_s * US_PER_S))})

    def stopping(self, text: str) -> bool:
        """The service drains and ends."""
        return self.send({"STOPPING": "1", **status_fields(text)})

    def send(self, fields: Mapping[str, str]) -> bool:
        """Hands one datagram over; False when nobody listens or it could not be handed over."""
        if self._address is None:
            return False
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.settimeout(SEND_S_MAX)
            self._socket.sendto(message(fields), self._address)
        except OSError:
            self.failures += 1
            return False
        return True

    def close(self) -> None:
        """Gives the socket back; a later message opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
