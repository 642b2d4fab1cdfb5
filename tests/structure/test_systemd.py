"""The unit is one that systemd takes without a word, and its sandbox stays shut."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.structure.sources import ROOT

UNIT = ROOT / "systemd" / "appliance.service"
EXPOSURE_TENTHS_MAX = 15

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)


def _settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text("utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@needs_systemd
def test_the_sandbox_stays_shut() -> None:
    done = _analyze("security", "--offline=true", f"--threshold={EXPOSURE_TENTHS_MAX}", "--no-pager", str(UNIT))
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


@needs_systemd
def test_systemd_has_nothing_to_say_about_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "appliance.service"
    unit.write_text(UNIT.read_text("utf-8").replace("/opt/edge-appliance/.venv/bin/python3", sys.executable), "utf-8")
    done = _analyze("verify", "--man=no", str(unit))
    said = [line for line in done.stderr.splitlines() if "appliance" in line]
    assert (done.returncode, said) == (0, [])


def test_it_is_ready_after_recovery_and_killed_when_it_hangs() -> None:
    settings = _settings()
    assert settings["Type"] == ["notify"]  # notify-reload becomes simple on systemd 252
    assert settings["WatchdogSignal"] == ["SIGABRT"]
    assert "-X faulthandler -m appliance run" in settings["ExecStart"][0]
    assert settings["StateDirectory"] == ["appliance"]
    assert {"WatchdogSec", "StartLimitIntervalSec", "StartLimitBurst", "ExecReload", "RestartPreventExitStatus"} <= settings.keys()


def test_comments_stand_on_lines_of_their_own() -> None:
    assert not [line for line in UNIT.read_text("utf-8").splitlines() if "=" in line and not line.startswith("#") and " #" in line]
