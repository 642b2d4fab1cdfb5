"""The golden folder of a box with a view, and how it was made, once for each format: ``python -m tests.golden.box FILE.tar.gz``."""

from __future__ import annotations

import sys
import tarfile
import tempfile
from pathlib import Path

from tests.views.house import House

RECORDS: tuple[tuple[float, str | None, int | None], ...] = ((0.1, "a", 1), (0.2, "b", 2), (0.9, "a", 4), (1.1, None, 8), (2.5, "a", 16))
LATE: tuple[tuple[float, str | None, int | None], ...] = ((0.3, "b", 32), (2.5, "a", 64))
"""One more record of a stored bucket, and one that replaces another."""


def main(target: Path) -> None:
    """Some records in the lake and in a view's buckets, some hot, one bucket dirty."""
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder))
        try:
            house.come(RECORDS)
            house.pass_hours(4)
            house.roll()
            house.refresh()
            house.come(LATE)
        finally:
            house.close()
        with tarfile.open(target, "w:gz") as tar:
            for path in sorted(house.folder.rglob("*")):
                if path.is_file() and path.name != "appliance.lock":
                    tar.add(path, str(path.relative_to(house.folder)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
