"""The pages for people say everything there is, and nothing that is gone. ``make fmt`` writes what is missing."""

from __future__ import annotations

from difflib import unified_diff

from tests.structure import write_docs
from tests.structure.write_docs import MAP, README


def _behind(text: str, written: str) -> list[str]:
    """The lines in which a page is behind the code."""
    lines = unified_diff(text.splitlines(), written.splitlines(), "as it is", "make fmt", lineterm="", n=0)
    return [line for line in lines if not line.startswith("@@")]


def test_the_readme_lists_every_option_as_it_is() -> None:
    readme = README.read_text("utf-8")
    assert not _behind(readme, write_docs.readme_written(readme))


def test_every_module_is_on_the_map_and_nothing_that_is_gone() -> None:
    text = MAP.read_text("utf-8")
    assert not _behind(text, write_docs.map_written(text))


def test_every_folder_with_modules_has_a_heading_on_the_map() -> None:
    assert write_docs.folders_on(MAP.read_text("utf-8")) == write_docs.folders_there()
