"""llama.cpp's own server on loopback, in a process of its own.

usage (by ``llama`` alone): python -m tests.wording.llama MODEL PORT KEY
"""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from tests.ports import free_port
from tests.running import ROOT, wait_for

IS_THERE: Final = find_spec("xllamacpp") is not None
WHY_NOT: Final = "xllamacpp, which is llama.cpp's server, has no wheel for this machine, or requirements-dev.txt is newer than .venv"


@contextlib.contextmanager
def llama(model: Path, *, key: str = "") -> Iterator[int]:
    """The port of a server of this model that is ready; it ends with the block, or with this process."""
    port = free_port()
    command = [sys.executable, "-m", "tests.wording.llama", str(model), str(port), key]
    with model.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log)
    try:
        wait_for(lambda: process.poll() is not None or _is_ready(port), what="llama.cpp's server to be ready")
        assert process.poll() is None, model.with_suffix(".log").read_text(errors="replace")[-3000:]
        yield port
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    return False


def main(model: str, port: str, key: str) -> None:
    """Serves until standard input ends."""
    xllamacpp: Any = import_module("xllamacpp")  # as Any: it has no types
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx = 32_768  # a token is a character here, where a real vocabulary has three to four in one
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.cpuparams.n_threads = 1
    params.warmup = False
    if key:
        params.api_keys = [key]
    server = xllamacpp.Server(params)
    sys.stdin.buffer.read()
    del server
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
