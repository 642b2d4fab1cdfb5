"""InfluxDB 1.6 and VictoriaMetrics from Debian's packages, started beside ours where they are installed; on loopback."""

from __future__ import annotations

import http.client
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.ports import free_port
from tests.running import wait_for

INFLUX_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
max-series-per-database = 0
max-values-per-tag = 0
{more}
[http]
bind-address = "127.0.0.1:{port}"
log-enabled = false
max-body-size = 0
[monitor]
store-enabled = false
[logging]
level = "error"
"""


@contextmanager
def influxdb(folder: Path, *, more: str = "") -> Iterator[str | None]:
    """The URL of a write endpoint; None where ``influxd`` is not installed. ``more``: settings of its section ``[data]``."""
    if shutil.which("influxd") is None:
        yield None
        return
    port, rpc = free_port(), free_port()
    config = folder / "influxdb.conf"
    config.write_text(INFLUX_CONFIG.format(folder=folder, port=port, rpc=rpc, more=more))
    with _started(["influxd", "-config", str(config)], folder, port, "/ping"):
        _request(port, "POST", "/query?q=CREATE%20DATABASE%20x")
        yield f"http://127.0.0.1:{port}/write?db=x"


@contextmanager
def victoria_metrics(folder: Path) -> Iterator[str | None]:
    """The URL of a write endpoint; None where it is not installed."""
    if shutil.which("victoria-metrics") is None:
        yield None
        return
    port = free_port()
    command = [
        "victoria-metrics",
        f"-storageDataPath={folder}/vm",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=100y",
        "-loggerLevel=ERROR",
    ]
    with _started(command, folder, port, "/health"):
        yield f"http://127.0.0.1:{port}/write?db=x"


@contextmanager
def _started(command: list[str], folder: Path, port: int, probe: str) -> Iterator[None]:
    with (folder / "peer.log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for(lambda: _answers(port, probe), what=f"{command[0]} to answer")
        yield
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int, probe: str) -> bool:
    with suppress(OSError, http.client.HTTPException):
        return _request(port, "GET", probe) < 300
    return False


def _request(port: int, method: str, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()
