"""Terminals without colour, without Unicode, and one that is lost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.running import DEADLINE_S, ROOT, wait_for
from tests.tui.driven import driven
from tests.tui.served import wait_until_there
from tests.tui.terminal import PseudoTerminal

_COLOUR = re.compile(rb"\x1b\[[0-9;]*(?:3[0-7]|4[0-7]|9[0-7]|38|48)[0-9;]*m")


async def test_a_c_locale_gets_ascii_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "C")
    async with driven(names=("host_cpu", "Küche", "\x1b[2J")) as ui:
        await ui.sees("+ OK", "K\\xfcche", "\\x1b[2J", "host_cpu", ":::")
        assert ui.text.replace("\n", "").isascii()
        await ui.press("enter")
        await ui.tick(1)
        await ui.sees("< value >")
        assert ui.text.replace("\n", "").isascii()


async def test_a_console_without_braille_gets_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "linux")
    async with driven() as ui:
        await ui.sees("■ OK", "█")
        assert not any(0x2800 <= ord(c) < 0x2900 for c in ui.text)


async def test_without_colour_the_chosen_row_and_states_still_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with driven() as ui:
        await ui.sees("▸ chiller_events", "● OK")
        chosen = next(s for s in ui.app.screen._compositor.render_strips() if "▸ chiller_events" in s.text)
        assert any(style is not None and style.reverse for _, style, _ in chosen)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Path]:
    """The socket of a simulated box in a process of its own."""
    path = tmp_path / "box.sock"
    process = subprocess.Popen([sys.executable, "-m", "tests.tui.served", str(path)], cwd=ROOT)
    try:
        wait_until_there(path)
        yield path
    finally:
        process.terminate()
        process.wait()


def shown(path: Path, *, environ: Mapping[str, str] | None = None, code: str | None = None) -> PseudoTerminal:
    """The UI on a pseudo-terminal; ``code`` runs something else around ``run_app``."""
    plain = "from pathlib import Path; from tui.app import run_app; from tui.socket_client import SocketClient\n"
    ran = code or f"{plain}run_app(SocketClient(Path({str(path)!r})), detach=False)"
    known = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    return PseudoTerminal([sys.executable, "-c", ran], size=(120, 40), environ=os.environ | known | dict(environ or {}))


def test_a_lost_terminal_ends_the_ui_and_quietly(box: Path) -> None:
    with shown(box) as terminal:
        terminal.wait_for("press-line-3", deadline_s=DEADLINE_S)
        terminal.hang_up()
        assert terminal.wait(DEADLINE_S) == 0


def test_sighup_ends_the_ui_and_leaves_the_terminal_as_it_was(box: Path) -> None:
    with shown(box) as terminal:
        terminal.wait_for("press-line-3", deadline_s=DEADLINE_S)
        os.kill(terminal.pid, signal.SIGHUP)
        terminal.read(DEADLINE_S, lambda: terminal.wait(0) is not None)
        assert terminal.wait(DEADLINE_S) == 0
        assert b"\x1b[?1049l" in terminal.raw
        assert "Traceback" not in terminal.text


def test_in_the_service_s_process_a_lost_terminal_is_not_the_end(box: Path, tmp_path: Path) -> None:
    done = tmp_path / "done"
    code = f"""
import os, signal
from pathlib import Path
from tui.app import run_app
from tui.socket_client import SocketClient
run_app(SocketClient(Path({str(box)!r})), detach=True)
print("said to nobody")
os.kill(os.getpid(), signal.SIGHUP)
Path({str(done)!r}).write_text("went on")
"""
    with shown(box, code=code) as terminal:
        terminal.wait_for("press-line-3", deadline_s=DEADLINE_S)
        terminal.hang_up()
        assert terminal.wait(DEADLINE_S) == 0
        assert wait_for(done.read_text, what="the rest of the process") == "went on"


def test_sigterm_closes_the_ui_and_then_reaches_who_handled_it(box: Path, tmp_path: Path) -> None:
    done = tmp_path / "done"
    code = f"""
import signal
from pathlib import Path
from tui.app import run_app
from tui.socket_client import SocketClient
signal.signal(signal.SIGTERM, lambda *_: Path({str(done)!r}).write_text("told"))
run_app(SocketClient(Path({str(box)!r})), detach=True)
"""
    with shown(box, code=code) as terminal:
        terminal.wait_for("press-line-3", deadline_s=DEADLINE_S)
        os.kill(terminal.pid, signal.SIGTERM)
        terminal.read(DEADLINE_S, lambda: terminal.wait(0) is not None)
        assert terminal.wait(DEADLINE_S) == 0
        assert done.read_text() == "told"


def test_no_color_sends_no_colour(box: Path) -> None:
    with shown(box, environ={"NO_COLOR": "1"}) as terminal:
        terminal.wait_for("press-line-3", deadline_s=DEADLINE_S)
        terminal.wait_for("chiller_power", deadline_s=DEADLINE_S)
        assert _COLOUR.search(terminal.raw) is None


def test_colour_is_sent_where_it_is_wanted(box: Path) -> None:
    with shown(box) as terminal:
        terminal.wait_for("chiller_power", deadline_s=DEADLINE_S)
        assert _COLOUR.search(terminal.raw) is not None
