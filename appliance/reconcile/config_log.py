"""What the config has been, written into the chain of evidence: who put which change in force, and when."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from appliance import __version__
from appliance.box import Box
from appliance.config import Config
from appliance.config_shown import shown_options
from appliance.door.commit import Committer
from appliance.errors import RetryLater

log = logging.getLogger(__name__)
META: Final = "config"
"""The row of ``meta`` that has the options as they were last in force, as JSON."""


def note_start(box: Box, config: Config, *, author: str) -> None:
    """The process has started: an entry, and another one where the config is not what it was."""
    facts = {"version": __version__, "was_clean": box.was_clean, "lost_log": box.lost_wal}

    def run(committer: Committer) -> None:
        with committer.store.transaction():
            committer.store.chain.add("start", facts)
            _note(committer, config, why="start", author=author)

    _done(box, run)


def note_reload(box: Box, config: Config, *, author: str) -> None:
    """A reload has put a config in force."""

    def run(committer: Committer) -> None:
        with committer.store.transaction():
            _note(committer, config, why="reload", author=author)

    _done(box, run)


def note_stop(box: Box) -> None:
    """The process ends in order."""

    def run(committer: Committer) -> None:
        with committer.store.transaction():
            committer.store.chain.add("stop", {})

    _done(box, run)


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, list[str | None]]:
    """What differs: option -> value before and after; None: it was not there. Pure."""
    names = sorted(old.keys() | new.keys())
    return {name: [old.get(name), new.get(name)] for name in names if old.get(name) != new.get(name)}


def set_options(config: Config) -> dict[str, str]:
    """The options that are not at their defaults; secrets are hidden."""
    return {name: value for name, value, origin in shown_options(config) if origin != "default"}


def _done(box: Box, run: Callable[[Committer], None]) -> None:
    """Waits for it. A full disk keeps nobody from starting, reloading or ending: what could not be noted is said in the log."""
    try:
        box.writer.call(run).result()
    except RetryLater as e:
        log.warning("the evidence lacks an entry: %s", e)


def _note(committer: Committer, config: Config, *, why: str, author: str) -> None:
    stored = committer.store.get_meta(META)
    old: dict[str, str] = {} if stored is None else json.loads(stored)
    new = set_options(config)
    found = changes(old, new)
    if not found and stored is not None:
        return
    committer.store.set_meta(META, json.dumps(new))
    body: dict[str, Any] = {"why": why, "who": author, "file": None if config.file is None else str(config.file)}
    committer.store.chain.add("config", {**body, "sha256": _hash_of(config.file), "changed": found})


def _hash_of(file: Path | None) -> str | None:
    """Of the file as it lies; None where there is none (any more)."""
    try:
        return None if file is None else hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None
