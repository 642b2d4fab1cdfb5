"""The models of a running box: stored as files, registered and activated in one transaction, swapped into the rules.

Owned by the service; any thread may call, what changes something waits for the writer. Steps for tests that stop there:
``model.published`` (the file is there, nobody knows it), ``model.written``, ``model.durable``.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from appliance.alerting.models import Loaded, baseline_of_model, before, load_models, name_of, read_model
from appliance.batching import notices
from appliance.batching.notices import HandOver, Notice, nobody
from appliance.box import Box
from appliance.clock import Clock
from appliance.cold.batch.training.judging import Judged, summary
from appliance.cold.batch.training.model import FOLDER, Model, ModelUnusable, encode, model_path
from appliance.cold.files import Publisher, remove
from appliance.door.commit import Committer
from appliance.errors import UsageRefused
from appliance.hot.alerts.tables import durable
from appliance.hot.models import ACCEPTED, DAMAGED, REFUSED, ModelRow, add_model, forget_models, mark_damaged, models, use_model
from appliance.hot.stream.baselines import Baselines
from appliance.names import folder_name

log = logging.getLogger(__name__)
BY_ITSELF: Final = "the appliance"


class ModelStore:
    """See the module."""

    def __init__(self, box: Box, baselines: Baselines, *, clock: Clock, step: Callable[[str], None], hand_over: HandOver = nobody) -> None:
        self._box = box
        self._baselines = baselines
        self._clock = clock
        self._step = step
        self._hand_over = hand_over
        self.on_swap: list[Callable[[Model], None]] = []
        """Told of each version that has come into use, in the thread that put it there; must return at once."""

    def load(self) -> tuple[str, ...]:
        """At the start: models in use become baselines. What can't be used is said and not used; the version before is."""
        found = load_models(self._box.folder, self.rows())
        for each in found.unusable:
            log.error("%s", each)
        if found.unusable:
            self._box.writer.call(lambda c: self._note_unusable(c, found)).result()
        self._baselines.tables = found.baselines()
        return tuple(str(each) for each in found.unusable)

    def rows(self, name: str | None = None) -> list[ModelRow]:
        """What is registered, by name, the newest first."""
        reader = self._box.reader()
        try:
            return models(reader, name)
        finally:
            reader.close()

    def active(self, name: str) -> Model | None:
        """The version in use; None: none, or its file can't be used."""
        row = next((r for r in self.rows(name) if r.active), None)
        try:
            return None if row is None else read_model(self._box.folder, row)
        except ModelUnusable as e:
            log.warning("model %r: version %s %s", name, row.version if row else 0, e)
            return None

    def add(self, model: Model, judged: Judged, *, keep: int, notify: Sequence[str] = ()) -> Model:
        """Stores a new version under the next number; when it was accepted, it is in use from now on. Durable when it returns.

        The channels ``notify`` are told of one that was refused.
        """
        version = max((r.version for r in self.rows(model.name)), default=0) + 1
        model = replace(model, version=version)
        text = encode(model)
        path = self._publish(model, text)
        self._step("model.published")
        now_us = self._clock.now_us()
        row = ModelRow(
            name=model.name,
            version=version,
            path=path,
            sha256=hashlib.sha256(text).hexdigest(),
            method=model.method,
            stream=model.stream,
            by=model.by,
            column=model.column,
            made_us=model.made_us,
            error=model.error,
            naive_error=model.quality.get("naive_error"),
            coverage=model.quality.get("coverage"),
            state=ACCEPTED if judged.accepted else REFUSED,
            reason=judged.reason,
            active=judged.accepted,
            changed_us=now_us,
        )
        surplus = self._surplus(row, keep)

        told = [] if judged.accepted else [_refused(model, judged, channel, now_us) for channel in notify]

        def run(committer: Committer) -> list[int]:
            db = committer.store.connection
            with durable(db), committer.store.transaction():
                add_model(db, row)
                forget_models(db, row.name, [r.version for r in surplus])
                ids = notices.put(db, told)
                if row.active:
                    committer.store.chain.add("model", _entry(row, "trained", BY_ITSELF))
                self._step("model.written")
            self._step("model.durable")
            return ids

        self._hand_over(self._box.writer.call(run).result())
        if row.active:
            self._swap(model)
        remove(self._box.folder, [r.path for r in surplus])
        return model

    def activate(self, name: str, version: int | None, author: str) -> str:
        """Puts another version into use; None: the accepted one before the one in use. What was done, in a line.

        Raises ``UsageRefused``.
        """
        rows = self.rows(name)
        if not rows:
            names = ", ".join(sorted({r.name for r in self.rows()})) or "none"
            raise UsageRefused(f"there is no model {name!r}; there are: {names}")
        row = _chosen(rows, version)
        try:
            model = read_model(self._box.folder, row)
        except ModelUnusable as e:
            raise UsageRefused(f"version {row.version} of {name!r} {e}") from e
        why = "rolled back" if version is None else "activated"

        def run(committer: Committer) -> None:
            with committer.store.transaction():
                use_model(committer.store.connection, name, row.version, now_us=self._clock.now_us())
                committer.store.chain.add("model", _entry(row, why, author))
                self._step("model.written")
            self._step("model.durable")

        self._box.writer.call(run).result()
        self._swap(model)
        was = next((r.version for r in rows if r.active), None)
        return f"model {name!r}: version {row.version} is in use" + ("" if was in (None, row.version) else f" in place of {was}")

    def _note_unusable(self, committer: Committer, found: Loaded) -> None:
        now_us = self._clock.now_us()
        db = committer.store.connection
        with committer.store.transaction():
            for each in found.unusable:
                mark_damaged(db, each.row.name, each.row.version, each.reason, now_us=now_us)
                use_model(db, each.row.name, each.instead, now_us=now_us)
                committer.store.chain.add("model", {**_entry(each.row, each.reason, BY_ITSELF), "instead": each.instead})

    def _publish(self, model: Model, text: bytes) -> str:
        path = model_path(model.name, model.version)
        name = path.rpartition("/")[2]

        def fill(tmp: Path) -> tuple[str, None]:
            tmp.write_bytes(text)
            return name, None

        Publisher(self._box.folder, owner="model").publish(f"{FOLDER}/{folder_name(model.name)}", fill)
        return path

    def _surplus(self, new: ModelRow, keep: int) -> list[ModelRow]:
        """Versions beyond the newest ``keep``; the one in use stays."""
        older = self.rows(new.name)[keep - 1 :]
        return [r for r in older if new.active or not r.active]

    def _swap(self, model: Model) -> None:
        self._baselines.swap(name_of(model), baseline_of_model(model))
        for hear in self.on_swap:
            hear(model)


def _chosen(rows: list[ModelRow], version: int | None) -> ModelRow:
    """The version that is meant. Raises ``UsageRefused``."""
    name = rows[0].name
    if version is None:
        active = next((r.version for r in rows if r.active), rows[0].version + 1)
        earlier = before(rows, active)
        if not earlier:
            raise UsageRefused(f"there is no accepted version of {name!r} before {active}; see: appliance models")
        return earlier[0]
    found = next((r for r in rows if r.version == version), None)
    if found is None or found.state == DAMAGED:
        there = ", ".join(str(r.version) for r in rows if r.state != DAMAGED)
        raise UsageRefused(f"there is no usable version {version} of {name!r}; there are: {there}")
    return found


def _refused(model: Model, judged: Judged, channel: str, now_us: int) -> Notice:
    about = f"training {model.name}"
    return Notice(
        channel, f"model {model.name}: a new version was refused", summary(model, judged), about, f"version {model.version}", now_us
    )


def _entry(row: ModelRow, why: str, who: str) -> dict[str, object]:
    return {"model": row.name, "version": row.version, "sha256": row.sha256, "why": why, "who": who}
