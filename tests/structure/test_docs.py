"""The pages for people say everything there is, and nothing that is gone."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from appliance.option_docs import options_markdown
from tests.structure.options_table import table_of
from tests.structure.sources import ROOT, sources

_HEADING = re.compile(r"^###+ `([^`]+/)`", re.MULTILINE)
_MODULE = re.compile(r"`([a-z_]+\.py)`")


def test_the_readme_lists_every_option_as_it_is() -> None:
    table = table_of((ROOT / "README.md").read_text("utf-8"))
    assert table == options_markdown(), "python -m tests.structure.options_table writes it"


def _map() -> dict[str, set[str]]:
    """Folder -> the modules that the map names under its heading."""
    text = (ROOT / "appliance" / "ARCHITECTURE.md").read_text("utf-8")
    parts = _HEADING.split(text)
    named: dict[str, set[str]] = {}
    for folder, body in zip(parts[1::2], parts[2::2], strict=True):
        section = re.split(r"^##? ", body, maxsplit=1, flags=re.MULTILINE)[0]
        named.setdefault(folder, set()).update(_MODULE.findall(section))
    return named


def _modules() -> dict[str, set[str]]:
    there: dict[str, set[str]] = {}
    for source in sources("appliance", "tui"):
        path = PurePosixPath(source.path)
        if path.name != "__init__.py":
            there.setdefault(f"{path.parent}/", set()).add(path.name)
    return there


def test_every_module_is_on_the_map() -> None:
    named = _map()
    missing = sorted(f"{folder}{name}" for folder, names in _modules().items() for name in names - named.get(folder, set()))
    assert not missing, f"not in appliance/ARCHITECTURE.md under a heading of their folder: {missing}"


def test_the_map_shows_nothing_that_is_gone() -> None:
    there = _modules()
    gone = sorted(f"{folder}{name}" for folder, names in _map().items() for name in names - there.get(folder, set()))
    assert not gone, f"in appliance/ARCHITECTURE.md, but not there: {gone}"
