"""Writes what the pages for people take from the code: ``python -m tests.structure.write_docs`` (``make fmt`` does it too).

The README's table of options comes from ``appliance.options``, the map's line for each module from the module's docstring. What
stands around them is written by hand.
"""

from __future__ import annotations

import ast
import re

from appliance.option_docs import options_markdown
from tests.structure.sources import ROOT, sources

README = ROOT / "README.md"
MAP = ROOT / "appliance" / "ARCHITECTURE.md"
BEGIN = "<!-- options: make fmt writes this table -->\n"
END = "<!-- end of options -->\n"

_SECTION = re.compile(r"^(### `([^`]+)/`\n)(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_LINES = re.compile(r"(?:^\* `\w+\.py`: .*\n)+", re.MULTILINE)


def readme_written(readme: str) -> str:
    """The README with the table of options as it is now."""
    before, rest = readme.split(BEGIN, 1)
    return before + BEGIN + options_markdown() + END + rest.split(END, 1)[1]


def map_written(text: str) -> str:
    """The map with a line for each module under the heading of its folder; a section without any loses its lines."""
    lines = _module_lines()

    def section(found: re.Match[str]) -> str:
        prose = _LINES.sub("", found[3]).strip()
        listed = "".join(f"{line}\n" for line in lines.get(found[2], []))
        return f"{found[1]}\n{prose}\n\n" + (f"{listed}\n" if listed else "")

    return _SECTION.sub(section, text)


def folders_on(text: str) -> set[str]:
    """The folders that have a heading on the map."""
    return {found[2] for found in _SECTION.finditer(text)}


def folders_there() -> set[str]:
    """The folders that hold modules."""
    return set(_module_lines())


def _module_lines() -> dict[str, list[str]]:
    lines: dict[str, list[str]] = {}
    for source in sources("appliance", "tui"):
        folder, _, name = source.path.rpartition("/")
        if name != "__init__.py":
            first = " ".join((ast.get_docstring(source.tree) or "").split("\n\n")[0].split())
            lines.setdefault(folder, []).append(f"* `{name}`: {first}")
    return lines


def main() -> None:
    README.write_text(readme_written(README.read_text("utf-8")), "utf-8")
    MAP.write_text(map_written(MAP.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
