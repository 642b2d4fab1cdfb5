"""Fetches the result of a background query over the socket, in bounded memory."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

from appliance.cli.local import connect, post_json, refusal
from appliance.errors import UsageRefused

READ_BYTES = 1 << 18


def fetch(data_dir: Path, run_id: int, output: Path | None) -> None:
    """Writes the result to a file, which appears when it is whole, or to standard output. Raises ``NotRunning``, ``UsageRefused``."""
    connection = connect(data_dir, timeout_s=None)
    try:
        connection.request("GET", f"/api/jobs/runs/{run_id}/result")
        answer = connection.getresponse()
        if answer.status != 200:
            raise refusal(answer.status, answer.read(), answer.headers.get("Retry-After"), refused=UsageRefused)
        if output is None:
            _copy(answer, sys.stdout.buffer)
            return
        part = output.with_name(f".{output.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                _copy(answer, file)
            part.replace(output)
        except OSError as e:
            raise UsageRefused(f"{output}: can't be written: {e.strerror or e}") from e
        finally:
            part.unlink(missing_ok=True)
    finally:
        connection.close()


def queue_query(data_dir: Path, asked: dict[str, object]) -> int:
    """Queues a query in the background; the id of its run. Raises ``NotRunning``, or the service's refusal."""
    return int(post_json(data_dir, "/api/jobs/query", asked, refused=UsageRefused)["id"])


def _copy(source: IO[bytes], to: IO[bytes]) -> None:
    while piece := source.read(READ_BYTES):
        to.write(piece)
    to.flush()
