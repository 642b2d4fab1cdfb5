"""Many files hashed at once, in threads: SHA-256 leaves the interpreter free."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from appliance.cold.batch.audit.replay import Fact
from appliance.cold.files import locate
from appliance.cold.segments import hash_file
from appliance.errors import StoreDamaged

WHOLE: Final = "whole"
THREADS_MAX: Final = 4


def look_at(
    root: Path, facts: Sequence[Fact], *, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Iterator[tuple[Fact, str]]:
    """Each file with ``whole``, or with what is wrong with it, in the order of ``facts``. ``progress`` gets bytes done and in all."""
    total, done = sum(f.bytes for f in facts), 0
    threads = min(THREADS_MAX, len(os.sched_getaffinity(0)))
    with ThreadPoolExecutor(threads, thread_name_prefix="hash") as pool:
        for fact, found in zip(facts, pool.map(lambda f: _look(root, f), facts), strict=True):
            done += fact.bytes
            progress(done, total)
            yield fact, found


def _look(root: Path, fact: Fact) -> str:
    try:
        sha256, size = hash_file(locate(root, fact.path))
    except FileNotFoundError:
        return "is missing"
    except StoreDamaged as e:
        return str(e)
    except OSError as e:
        return f"can't be read: {e.strerror}"
    if size != fact.bytes:
        return f"has {size} bytes instead of {fact.bytes}"
    return WHOLE if sha256 == fact.sha256 else f"has the SHA-256 {sha256} instead of {fact.sha256}"
