"""What a process that writes a bundle is told, and what it says of it: plain values, sent as JSON."""

from __future__ import annotations

import msgspec


class Order(msgspec.Struct, frozen=True):
    """What is to be written."""

    data_dir: str
    target: str
    """The folder of the bundle: new or empty."""
    since_us: int | None
    until_us: int
    silence_s: float
    author: str
    node: str
    now_us: int


class Done(msgspec.Struct, frozen=True):
    """What was written."""

    seal: str
    head: str
    entries: int
    segments: int
    bytes: int
    gaps: int
    wrong: tuple[str, ...]
