"""The files of issued reports: published whole below ``reports/<name>/``, never edited, removed when their time is over.

A file is named ``2026-11-21.r1.html``; with parameters of its own ``2026-11-21.device_d1~….r1.html``. Which of them count says the
table of issued reports: what lies beside them under such a name is left from a run that was cut short, and goes at the next start.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from appliance.batch_options import ReportFormat
from appliance.cold.files import TMP_SUFFIX, Publisher, remove
from appliance.hot.issued import File
from appliance.names import folder_name

FOLDER: Final = "reports"
_OWNER: Final = "report"
_NAME: Final = re.compile(r"\d{4}-(\d\d|W\d\d)(-\d\d)?(\.[a-z0-9_~-]+)?\.r\d+\.(html|md|csv|json)")


class ReportFiles:
    """The folder of reports; one thread at a time writes."""

    def __init__(self, root: Path, *, step: Callable[[str], None]) -> None:
        """``root``: the data folder. Steps, a file each: ``report.written``, ``report.synced``,
        ``report.renamed``, ``report.folder_synced``."""
        self.root = root
        self._publisher = Publisher(root, owner=_OWNER, step=lambda name: step(name.replace("segment.", "report.")))

    def publish(self, name: str, stem: str, forms: Mapping[ReportFormat, str]) -> tuple[File, ...]:
        """One file for each form; all are there for good, or some without the others and then nobody knows them.

        Raises ``RetryLater`` on a full disk, ``StoreDamaged``.
        """
        return tuple(self._publish(name, f"{stem}.{form}", form, text) for form, text in forms.items())

    def _publish(self, name: str, file: str, form: str, text: str) -> File:
        folder = folder_of(name)
        content = text.encode("utf-8", "replace")

        def fill(tmp: Path) -> tuple[str, File]:
            with tmp.open("wb") as out:
                out.write(content)
            return file, File(form, f"{folder}/{file}", len(content), hashlib.sha256(content).hexdigest())

        return self._publisher.publish(folder, fill)

    def read(self, path: str) -> bytes | None:
        """A registered file; None where it is gone."""
        try:
            return (self.root / path).read_bytes()
        except OSError:
            return None

    def remove(self, paths: Iterable[str]) -> None:
        """They are not there afterwards, nor were they before."""
        remove(self.root, paths)

    def tidy(self, names: Iterable[str], registered: frozenset[str]) -> tuple[str, ...]:
        """Removes what runs that were cut short have left below the folders of these reports; the paths."""
        left: list[str] = []
        for name in names:
            folder = folder_of(name)
            try:
                there = os.listdir(self.root / folder)  # noqa: PTH208 - names are all that is looked at
            except OSError:
                continue  # never made, or not to be read now: what it holds is tidied at the next start
            for file in there:
                path = f"{folder}/{file}"
                is_tmp = file.startswith(f"{_OWNER}-") and file.endswith(TMP_SUFFIX)
                if is_tmp or (_NAME.fullmatch(file) is not None and path not in registered):
                    left.append(path)
        self.remove(left)
        return tuple(left)


def folder_of(name: str) -> str:
    """Where the files of a report lie, relative to the data folder."""
    return f"{FOLDER}/{folder_name(name)}"


def stem_of(day: str, parameters: Mapping[str, str], revision: int) -> str:
    """The name of a revision's files without their endings. ``parameters``: those that are not as declared."""
    told = " ".join(f"{name}={value}" for name, value in sorted(parameters.items()))
    return f"{day}{f'.{folder_name(told)}' if told else ''}.r{revision}"
