"""``journal:``: an entry in the machine's journal, by journald's native protocol (systemd: JOURNAL_NATIVE_PROTOCOL).

Fields: MESSAGE (title and text), PRIORITY by severity, SYSLOG_IDENTIFIER, APPLIANCE_RULE, APPLIANCE_STATE, APPLIANCE_SEVERITY,
APPLIANCE_SUMMARY, APPLIANCE_IDEMPOTENCY_KEY, APPLIANCE_NODE, APPLIANCE_CHANNEL, APPLIANCE_GROUP. The journal doesn't answer: an entry is
delivered when the kernel has it. Where there is no journal that is a failure for good.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from appliance.hot.alerts.values import Message
from appliance.notify.bodies import ENVIRONMENT_CHARACTERS_MAX, facts, text_body
from appliance.notify.channel import Channel, Delivery, Sender, Undelivered, one_line, refused
from appliance.notify.titles import title_of
from appliance.workload_options import NotifyOptions

SCHEME: Final = "journal"
SOCKET: Final = Path("/run/systemd/journal/socket")
TEXT_BYTES_MAX: Final = 48 * 1024
"""Well below what a datagram holds; systemd's own ``LineMax`` is as much."""
PRIORITIES: Final = {"critical": 2, "warning": 4, "info": 6}
"""syslog's: crit, warning, info."""
_RESOLVED: Final = 5
_NOT_THERE: Final = {errno.ENOENT, errno.ECONNREFUSED, errno.ENOTSOCK, errno.EPROTOTYPE, errno.EACCES}


class Journal(Channel):
    """This machine's journal."""

    def __init__(self, sender: Sender, options: NotifyOptions, *, address: Path = SOCKET) -> None:
        """Raises ``ConfigRefused``."""
        if options.url.partition(":")[2].strip("/"):
            raise refused(sender.channel, "must be journal: and nothing behind it")
        super().__init__(sender, options, "journal:")
        self._address = address

    def send(self, message: Message, *, timeout_s: float) -> Delivery:
        entry = encoded(self._fields(message))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as outlet:
            outlet.settimeout(timeout_s)
            try:
                outlet.connect(str(self._address))
                outlet.send(entry)
            except OSError as error:
                if error.errno in _NOT_THERE:
                    raise Undelivered(f"there is no journal at {self._address}: {error.strerror}", retry=False) from error
                why = "it takes nothing" if isinstance(error, TimeoutError) else error.strerror
                raise Undelivered(f"the journal: {why}", retry=True) from error
        return Delivery(f"{len(entry)} bytes to the journal")

    def _fields(self, message: Message) -> dict[str, str]:
        said = facts(message)
        text = f"{title_of(message)}\n{text_body(message, self.sender)}".rstrip("\n")
        return {
            "MESSAGE": text.encode("utf-8", "replace")[:TEXT_BYTES_MAX].decode("utf-8", "ignore"),
            "PRIORITY": str(_RESOLVED if said["STATE"] == "resolved" else PRIORITIES.get(said["SEVERITY"], 4)),
            "SYSLOG_IDENTIFIER": "appliance",
            **{f"APPLIANCE_{name}": value for name, value in said.items()},
            "APPLIANCE_NODE": self.sender.node,
            "APPLIANCE_CHANNEL": self.name,
            "APPLIANCE_GROUP": one_line(message.group, ENVIRONMENT_CHARACTERS_MAX),
        }


def encoded(fields: Mapping[str, str]) -> bytes:
    """One entry: ``NAME=value`` lines; a value with a line feed goes as NAME, its length in 8 bytes, little-endian, and its bytes."""
    parts: list[bytes] = []
    for name, value in fields.items():
        raw = value.encode("utf-8", "replace")
        parts.append(
            f"{name}\n".encode() + struct.pack("<Q", len(raw)) + raw + b"\n" if b"\n" in raw else f"{name}=".encode() + raw + b"\n"
        )
    return b"".join(parts)
