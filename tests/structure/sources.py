"""The project's own Python files, read once: what the structure tests look at."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Source:
    """One file."""

    path: str
    """From the root, with ``/``."""

    @cached_property
    def text(self) -> str:
        return (ROOT / self.path).read_text("utf-8")

    @property
    def tree(self) -> ast.Module:
        """Parsed each time: the trees of all files together take hundreds of megabytes."""
        return ast.parse(self.text, self.path)

    @cached_property
    def uses(self) -> tuple[tuple[str, int], ...]:
        """``uses`` of its tree."""
        return tuple(uses(self.tree))


def sources(*folders: str) -> list[Source]:
    """Every Python file under ``folders``, in the order of their names."""
    return [_source(str(path.relative_to(ROOT))) for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


@cache
def _source(path: str) -> Source:
    return Source(path)


def functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Each function with its dotted name within the file, outer ones first."""
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:
        prefix, node = waiting.pop()
        for child in ast.iter_child_nodes(node):
            name = prefix
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{prefix}{child.name}."
                if not isinstance(child, ast.ClassDef):
                    yield name[:-1], child
            waiting.append((name, child))


def uses(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Dotted origin and line of every name from an import that the file uses: ``from time import time as t; t()`` is ``time.time``."""
    origins: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                origins[alias.asname or alias.name.partition(".")[0]] = alias.name if alias.asname else alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                origins[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        dotted = _dotted(node)
        if dotted is not None:
            first, dot, rest = dotted.partition(".")
            if first in origins:
                yield f"{origins[first]}{dot}{rest}", node.lineno  # type: ignore[attr-defined]  # names and attributes have lines


def _dotted(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value)
        return None if inner is None else f"{inner}.{node.attr}"
    return None
