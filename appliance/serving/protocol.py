"""What the service and a worker process say to each other over their socket: messages with a length before them.

A message may carry one descriptor: hot rows go as Arrow IPC in a memory file, which the other side maps without a copy.
The worker asks (``Lookup``, ``Pin``) while it answers; only ``Cancel`` comes unasked.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from typing import Final

import msgspec

from appliance.errors import ApplianceError, QueryCancelled, QueryHeavy, QueryRefused, RetryLater
from appliance.manifest import Segment
from appliance.serving.constancy import Varies
from appliance.serving.explain import Explain
from appliance.serving.question import Question
from appliance.serving.snapshot import TableInfo, Wanted, WantedView
from appliance.serving.usage import Usage

LENGTH: Final = struct.Struct("<I")
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024


class Message(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """What goes over the socket."""


class Given(msgspec.Struct, frozen=True, array_like=True):
    """What a question will want, guessed, and the snapshot of it."""

    wanted: tuple[Wanted, ...]
    snapshot: bytes
    """As ``transfer.given`` makes it; its hot rows are named alone."""
    new: tuple[tuple[int, bytes], ...] = ()
    """Hot rows that stay with the worker, by number, each an Arrow stream."""
    gone: tuple[int, ...] = ()
    """Numbers of those that it lets go, before the new ones come."""


class Ask(Message, frozen=True, tag=True, array_like=True):
    """Service → worker: answer this."""

    question: Question
    now_us: int
    file: str = ""
    """Name of a file in the worker's own folder that the result goes to; none: over the socket."""
    known: tuple[TableInfo, ...] = ()
    """What names in the SQL stand for, as far as they were seen at first sight: a worker that finds all of them here need not ask."""
    given: Given | None = None
    """Saves the question ``Pin``, where it is just what that would ask for."""


class Found(Message, frozen=True, tag=True, array_like=True):
    """Service → worker: the answer to ``Lookup``."""

    tables: tuple[TableInfo, ...]


class Pinned(Message, frozen=True, tag=True, array_like=True):
    """Service → worker: the answer to ``Pin``; the snapshot is in the memory file that comes with it."""

    size: int


class Refused(Message, frozen=True, tag=True, array_like=True):
    """Service → worker: what was asked for can't be given; the query ends with this error."""

    kind: str
    text: str


class Cancel(Message, frozen=True, tag=True, array_like=True):
    """Service → worker: end this query now, if it is still under way."""

    query_id: str


class Ready(Message, frozen=True, tag=True, array_like=True):
    """Worker → service: warm, waiting for a question."""


class Lookup(Message, frozen=True, tag=True, array_like=True):
    """Worker → service: what do these names stand for?"""

    names: tuple[str, ...]


class Pin(Message, frozen=True, tag=True, array_like=True):
    """Worker → service: one picture of these streams and tables."""

    wanted: tuple[Wanted, ...]
    tables: tuple[str, ...]
    views: tuple[WantedView, ...] = ()


class Damaged(Message, frozen=True, tag=True, array_like=True):
    """Worker → service: this live segment can't be read."""

    segment: Segment
    reason: str


class DamagedView(Message, frozen=True, tag=True, array_like=True):
    """Worker → service: this file of a view can't be read."""

    path: str


class Started(Message, frozen=True, tag=True, array_like=True):
    """Worker → service: there is a result; its bytes follow."""

    notes: tuple[str, ...]


class Data(Message, frozen=True, tag=True, array_like=True):
    """Worker → service: bytes of the result."""

    piece: bytes


class Progress(Message, frozen=True, tag=True, array_like=True):
    """Worker → service: how far it is."""

    share: float | None
    rows: int


class Done(Message, frozen=True, tag=True, array_like=True):
    """Worker → service: the result is complete. ``worn``: the process should not be used again."""

    explain: Explain
    worn: bool
    schema: bytes = b""
    """Arrow's message of the result's columns, where it went to a file."""
    names: tuple[str, ...] = ()
    """Tables that the SQL names, as it writes them."""
    varies: Varies = "always"
    """When the SQL gives another answer over the same records."""
    used: Usage | None = None
    """All that the process has used since its start."""


class Failed(Message, frozen=True, tag=True, array_like=True):
    """Worker → service: the query has ended with an error."""

    kind: str
    text: str
    worn: bool
    used: Usage | None = None
    """All that the process has used since its start."""


ToWorker = Ask | Found | Pinned | Refused | Cancel
FromWorker = Ready | Lookup | Pin | Damaged | DamagedView | Started | Data | Progress | Done | Failed

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def frame(message: Message) -> bytes:
    """A message as it goes over the socket."""
    body = _encoder.encode(message)
    assert len(body) <= FRAME_BYTES_MAX, "a message is too long"
    return LENGTH.pack(len(body)) + body


def from_worker(body: bytes) -> FromWorker:
    """A message of the worker."""
    return _from_worker.decode(body)


def error_of(kind: str, text: str) -> ApplianceError:
    """An error that crossed the socket."""
    match kind:
        case "cancelled":
            return QueryCancelled(text)
        case "heavy":
            return QueryHeavy(text)
        case "retry":
            return RetryLater(text)
        case _:
            return QueryRefused(text)


def kind_of(error: ApplianceError) -> str:
    """The name under which an error crosses the socket."""
    if isinstance(error, QueryCancelled):
        return "cancelled"
    if isinstance(error, QueryHeavy):
        return "heavy"
    return "retry" if isinstance(error, RetryLater) else "refused"


class Channel:
    """The worker's end: blocking. One thread receives; several may send, each message whole under the caller's lock."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._received = bytearray()
        self._descriptors: list[int] = []

    def fileno(self) -> int:
        return self._sock.fileno()

    def send(self, frames: bytes) -> None:
        """Whole messages as ``frame`` makes them, one or several."""
        self._sock.sendall(frames)

    def receive(self) -> tuple[ToWorker, int | None]:
        """The next message and its descriptor, which the caller closes. Raises ``EOFError`` when the service has gone."""
        self._fill(LENGTH.size)
        (length,) = LENGTH.unpack_from(self._received)
        self._fill(LENGTH.size + length)
        message = _to_worker.decode(bytes(self._received[LENGTH.size : LENGTH.size + length]))
        del self._received[: LENGTH.size + length]
        descriptor = self._descriptors.pop(0) if isinstance(message, Pinned) and self._descriptors else None
        return message, descriptor

    @property
    def has_message(self) -> bool:
        """Whether the next message is here already, whole."""
        if len(self._received) < LENGTH.size:
            return False
        (length,) = LENGTH.unpack_from(self._received)
        return len(self._received) >= LENGTH.size + int(length)

    def _fill(self, size: int) -> None:
        while len(self._received) < size:
            try:
                data, ancillary, _flags, _address = self._sock.recvmsg(65_536, socket.CMSG_SPACE(array.array("i").itemsize))
            except ConnectionError as e:
                raise EOFError from e
            for level, kind, content in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    found = array.array("i")
                    found.frombytes(content[: len(content) - len(content) % found.itemsize])
                    self._descriptors.extend(found)
            if not data:
                raise EOFError
            self._received += data


def close_quietly(descriptor: int | None) -> None:
    """Closes a descriptor that may not be there."""
    if descriptor is not None:
        os.close(descriptor)
