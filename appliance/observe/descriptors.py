"""How many descriptors there are, and how many clients may take: without some left over, a crowd of them would keep the store from opening
a file.
"""

from __future__ import annotations

import resource
from typing import Final

KEPT_MAX: Final = 64
KEPT_MIN: Final = 16


def client_descriptor_max() -> int:
    """A client's connection whose descriptor would be this or higher is turned away.

    The kernel gives the lowest free number, so this keeps a quarter of the process's limit (16 to 64) for files, workers and the store.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return 1 << 30
    return limit - max(KEPT_MIN, min(KEPT_MAX, limit // 4))


def raise_descriptor_limit() -> None:
    """As many open files as this process may have: the soft limit of a login is meant for smaller programs."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
