"""Writes the table of options into the README: ``python -m tests.structure.options_table``."""

from __future__ import annotations

from appliance.option_docs import options_markdown
from tests.structure.sources import ROOT

BEGIN = "<!-- options: python -m tests.structure.options_table writes this table -->\n"
END = "<!-- end of options -->\n"


def table_of(readme: str) -> str:
    """What stands between the marks."""
    return readme.split(BEGIN, 1)[1].split(END, 1)[0]


def main() -> None:
    file = ROOT / "README.md"
    readme = file.read_text("utf-8")
    file.write_text(readme.replace(BEGIN + table_of(readme) + END, BEGIN + options_markdown() + END), "utf-8")


if __name__ == "__main__":
    main()
