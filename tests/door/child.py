"""A process with a box of its own, for tests that kill it or take its room away.

python -m tests.door.child FOLDER load        sends records for ever and prints ``stream first last`` after each receipt
python -m tests.door.child FOLDER full        the same with a limit on the size of its files; lifts it when told so on stdin
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from appliance.box import Box
from appliance.errors import RetryLater
from tests.door.batches import at, batch, open_box, submission

CONFIG = "[limits]\ndisk_free_min = 1\nseries_max = 50\n[hot]\ncommit_every = '1ms'\nring_max = '200KiB'\n"
SMALL = 700_000


def make_box(folder: Path) -> Box:
    """The same options in the child and in the test that looks at what is left."""
    return open_box(folder, CONFIG)


def send(box: Box, i: int) -> str:
    """The i-th submission: two streams, repeats, late ones, and at times a new column."""
    more = {f"new{i // 50}": [i, None]} if i % 50 == 0 else {}
    one = batch("one", [at(i), at(i - 7 * (i % 5 == 0))], tags={"t": [f"v{i % 9}", f"v{i % 7}"]}, x=[i, i + 0.5], **more)
    two = batch("two", [at(i)] * 40, tags={"t": [f"v{k}" for k in range(40)]}, n=list(range(i, i + 40)), note=[f"text {i}"] * 40)
    receipt = box.door.submit_blocking(submission(one, two), 60)
    return " ".join(f"{name} {first} {last}" for name, (first, last) in sorted(receipt.sequences.items()))


def load(box: Box) -> None:
    """Until it is killed."""
    i = 0
    while True:
        print(send(box, i), flush=True)
        i += 1


def full(box: Box) -> None:
    """Until refused, then waits for a word, makes room and goes on."""
    i = 0
    try:
        while True:
            print(send(box, i), flush=True)
            i += 1
    except RetryLater as e:
        print(f"refused {e}", flush=True)
    before = box.state
    for _ in range(3):
        try:
            send(box, i)
        except RetryLater:
            continue
        print("not refused again", flush=True)
    print("same" if box.state is before and box.writer.failed is None else "changed", flush=True)
    sys.stdin.readline()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for k in range(5):
        print(send(box, i + k), flush=True)
    box.close()
    print("closed", flush=True)


def main() -> None:
    folder, what = Path(sys.argv[1]), sys.argv[2]
    box = make_box(folder)
    print("open", flush=True)
    if what == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, resource.RLIM_INFINITY))
        full(box)
    else:
        load(box)


if __name__ == "__main__":
    main()
