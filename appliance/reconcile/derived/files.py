"""Files that a table of ``hot.sqlite`` names with size and hash: whether they are what was written, and out of the way with what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from appliance.cold.files import locate, move_aside
from appliance.cold.lake import DAMAGED
from appliance.cold.segments import hash_file
from appliance.errors import StoreDamaged

MISSING: Final = "is missing"


def wrong_with(root: Path, path: str, *, size: int | None, sha256: str, deep: bool) -> str | None:
    """None, or in some words what a file is: missing, of another size, of another content. ``deep`` reads all of it."""
    try:
        place = locate(root, path)
        facts = place.stat()
        if not place.is_file():
            return "is no regular file"
        if size is not None and facts.st_size != size:
            return f"has {facts.st_size} bytes instead of {size}"
        if deep and (digest := hash_file(place)[0]) != sha256:
            return f"has the SHA-256 {digest[:12]}… instead of {sha256[:12]}…"
    except FileNotFoundError:
        return MISSING
    except StoreDamaged as e:
        return str(e)
    except OSError as e:
        return f"can't be read: {e.strerror}"
    return None


def put_aside(root: Path, path: str) -> str | None:
    """Moves a file to ``damaged/`` under its own path, as ``move_aside`` does."""
    return move_aside(root, path, f"{DAMAGED}/{path}")
