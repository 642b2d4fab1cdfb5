"""A terminal that is the same wherever the tests run."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.tui.lean import make_lean


@pytest.fixture(autouse=True)
def known_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("NO_COLOR", "LC_ALL", "LC_CTYPE", "APPLIANCE_SYMBOLS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"LANG": "C.UTF-8", "TERM": "xterm-256color", "COLORTERM": "truecolor", "TZ": "UTC"}.items():
        monkeypatch.setenv(name, value)
    time.tzset()
    make_lean(monkeypatch)
    yield
    monkeypatch.undo()
    time.tzset()
