"""Imports point one way, and what is heavy is imported only where it works."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.structure.sources import ROOT

HEAVY = {"textual", "duckdb", "pyarrow", "numpy", "pandas", "starlette", "uvicorn"}


def loaded_after(code: str) -> set[str]:
    """The top-level packages that a fresh interpreter holds after ``code``."""
    program = f"import sys, json\n{code}\nprint(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_the_import_contracts_hold() -> None:
    program = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_config_is_light() -> None:
    assert not loaded_after("import appliance.config") & HEAVY


def test_the_service_never_holds_duckdb_or_textual() -> None:
    assert not loaded_after("import appliance.service") & {"duckdb", "textual", "pandas"}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["query", "--help"], ["run", "--help"], ["alerts", "ack", "--help"], ["sessions", "--help"]]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    call = f"from appliance.cli.main import main\ntry:\n    sys.argv = ['appliance', *{arguments!r}]; main()"
    code = f"{call}\nexcept SystemExit as end:\n    assert not end.code"
    assert not loaded_after(code) & HEAVY


def test_the_ui_starts_without_the_store() -> None:
    assert not loaded_after("import tui.app") & {"duckdb", "sqlite_utils"}


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for name in ("appliance", "tui") for path in (ROOT / name).rglob("*.py")}
    assert not [str(folder.relative_to(ROOT)) for folder in sorted(folders) if not (folder / "__init__.py").is_file()]
