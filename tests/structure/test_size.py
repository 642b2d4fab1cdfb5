"""Files and functions stay small enough to be read as one thing."""

from __future__ import annotations

from tests.structure.sources import functions, sources

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

LONG_FILES: dict[str, str] = {}
"""File -> why it may be longer."""
LONG_FUNCTIONS: dict[str, str] = {}
"""``file:function`` -> why it may be longer."""

EVERYTHING = ("appliance", "tui", "tests")


def test_no_file_outgrows_a_sitting() -> None:
    lines = {source.path: source.text.count("\n") for source in sources(*EVERYTHING)}
    long = {path for path, count in lines.items() if count > FILE_LINES_MAX}
    unsaid = sorted(f"{path}: {lines[path]} lines" for path in long - set(LONG_FILES))
    assert not unsaid, f"above {FILE_LINES_MAX} lines, split by noun: {unsaid}"
    assert set(LONG_FILES) <= long, "no longer long: take it off the list"


def test_no_function_outgrows_a_screen() -> None:
    long = {
        f"{source.path}:{name}": node.end_lineno - node.lineno + 1
        for source in sources(*EVERYTHING)
        for name, node in functions(source.tree)
        if node.end_lineno is not None and node.end_lineno - node.lineno >= FUNCTION_LINES_MAX
    }
    unsaid = sorted(f"{name}: {lines} lines" for name, lines in long.items() if name not in LONG_FUNCTIONS)
    assert not unsaid, f"above {FUNCTION_LINES_MAX} lines: {unsaid}"
    assert set(LONG_FUNCTIONS) <= set(long), "no longer long: take it off the list"
