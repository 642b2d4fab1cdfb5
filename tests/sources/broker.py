"""A real mosquitto on a loopback port of its own, with persistence, that can be stopped and started again."""

from __future__ import annotations

import getpass
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from tests.ports import free_port
from tests.running import wait_for

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
PUBLISH = shutil.which("mosquitto_pub")
MISSING = (
    None if Path(MOSQUITTO).exists() and PUBLISH else "mosquitto and mosquitto_pub are not installed (Debian: mosquitto mosquitto-clients)"
)


class Broker:
    """One broker on one port and folder."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        folder.mkdir()
        self._config = folder / "mosquitto.conf"
        lines = (
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            f"user {getpass.getuser()}",
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 0",
        )
        self._config.write_text("".join(f"{line}\n" for line in lines))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> Broker:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._config), "-v"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(self._listens, what="mosquitto to listen")
        return self

    def stop(self) -> None:
        """In order: it saves its sessions."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)
            self._process = None

    def publish(self, topic: str, *payloads: str, qos: int = 1, retain: bool = False) -> None:
        """One message for each payload; returns when the broker has them."""
        text = "".join(payload + "\n" for payload in payloads).encode()
        command = [str(PUBLISH), "-h", "127.0.0.1", "-p", str(self.port), "-t", topic, "-q", str(qos), "-l", *(["-r"] if retain else [])]
        subprocess.run(command, input=text, check=True, timeout=60)

    def said(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def _listens(self) -> bool:
        with socket.socket() as s:
            s.settimeout(1)
            return s.connect_ex(("127.0.0.1", self.port)) == 0
