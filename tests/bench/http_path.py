"""What HTTP itself costs: the real server and parser with a door that takes everything at once, or with the real one.

python -m tests.bench.http_path [null|real] [--lines 500000] [--each 5000] [--connections 2]

Prints the loader's line and the server's CPU for each request and record. The server runs in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

from appliance.config import HttpOptions
from appliance.records import Receipt, Submission
from tests.bench import load_http, tsbs
from tests.http.serving import Serving, TestDoor


class NullDoor(TestDoor):
    """Takes everything and keeps nothing."""

    async def submit(self, submission: Submission) -> Receipt:
        return Receipt(submission.rows, submission.rejects)


class PlainDoor(TestDoor):
    """The real door, without the notes that tests take."""

    async def submit(self, submission: Submission) -> Receipt:
        return await self._door.submit(submission)


def serve(pipe: Connection, kind: str) -> None:
    """The server's process: says its port, then its CPU seconds each time it is asked."""
    with tempfile.TemporaryDirectory() as folder:
        serving = Serving(Path(folder) / "data", http_options=HttpOptions(listen="127.0.0.1:0", body_bytes_max=256 * 1024 * 1024))
        serving.door = NullDoor(serving.box) if kind == "null" else PlainDoor(serving.box)
        with serving:
            pipe.send(serving.port)
            while pipe.recv():
                used = resource.getrusage(resource.RUSAGE_SELF)
                pipe.send(used.ru_utime + used.ru_stime)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.http_path")
    parser.add_argument("door", choices=("null", "real"), nargs="?", default="null")
    parser.add_argument("--lines", type=int, default=500_000)
    parser.add_argument("--each", type=int, default=5_000)
    parser.add_argument("--connections", type=int, default=2)
    given = parser.parse_args()
    bodies = tsbs.bodies(lines_total=given.lines, lines_each=given.each)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, given.door))
    process.start()
    url = f"http://127.0.0.1:{ours.recv()}/write?db=bench"
    load_http.load(url, bodies[:2], lines_each=given.each)
    ours.send(True)
    before = ours.recv()
    found = load_http.load(url, bodies, lines_each=given.each, connections=given.connections)
    ours.send(True)
    cpu_s = ours.recv() - before
    ours.send(False)
    process.join()
    print(
        f"door={given.door} {found} cpu_ms_per_request={cpu_s * 1e3 / len(bodies):.2f} cpu_us_per_record={cpu_s * 1e6 / found.records:.2f}"
    )


if __name__ == "__main__":
    main()
