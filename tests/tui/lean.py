"""Textual without what no test looks at: frames that no terminal gets, and style sheets that were read before."""

from __future__ import annotations

from typing import Any

import pytest
from textual._compositor import Compositor
from textual.css.stylesheet import Stylesheet

_read: dict[Any, Any] = {}


def make_lean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wants to see the screen draws it whole, which ``Driven`` does whenever it has settled."""
    parse_rules: Any = Stylesheet._parse_rules

    def parsed(self: Any, css: str, **more: Any) -> Any:
        key = (css, *more.items(), *self._variables.items())
        if key not in _read:
            _read[key] = parse_rules(self, css, **more)
        return _read[key]

    monkeypatch.setattr(Stylesheet, "_parse_rules", parsed)
    monkeypatch.setattr(Compositor, "render_update", lambda self, **_more: self._dirty_regions.clear())
