"""The views as the writer knows them: what a refresh, a new definition and a removal write, and what becomes true after it.

Owned by the writer's thread, like the ``Committer`` that it belongs to. Each method is one transaction with named steps.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from appliance.derived import Used, View, ViewFile, ViewVersion
from appliance.hot import view_store
from appliance.hot.ledger import Ledger
from appliance.hot.store import HotStore
from appliance.names import folder_name
from appliance.records import fold
from appliance.spans import FIRST, LAST, Span

FOLDER = "views"


class ViewBook:
    """See the module. ``views`` are as of the last transaction, without the ledger's newest stamps: ``picture`` has those."""

    def __init__(
        self,
        store: HotStore,
        ledger: Ledger,
        views: Mapping[str, View],
        *,
        durably: Callable[[str], AbstractContextManager[None]],
        done: Callable[[], None],
    ) -> None:
        """``durably`` opens a transaction with named steps; ``done`` is told when memory has followed it."""
        self._store = store
        self._ledger = ledger
        self._durably = durably
        self._done = done
        self.views = dict(views)

    def picture(self) -> dict[str, View]:
        """The views with the ledger's entries of now."""
        return {key: replace(v, active=self._now(v.active), building=self._now(v.building)) for key, v in self.views.items()}

    def note(self, name: str, reason: str | None) -> None:
        """The config names this view; ``reason``: why it can't be used or refreshed."""
        known = self.views.get(fold(name))
        if known is not None and known.reason == reason and known.name == name:
            return
        with self._transaction("views.note") as db:
            view_store.set_view(db, name, reason)
        self._put(replace(known or View(name), name=name, reason=reason))
        self._done()

    def define(self, version: ViewVersion, *, keep_sealed: bool) -> ViewVersion:
        """A new definition: the first one of a view answers at once, a later one is built beside the one that answers.

        ``version`` comes without id, number, folder and entry in the ledger (``used`` names stream and bucket). With
        ``keep_sealed`` what is sealed of the old version is taken over; else the new one begins after it.
        """
        key = fold(version.definition.name)
        view = self.views.get(key) or View(version.definition.name)
        old = self._now(view.active)
        number = 1 + max((v.number for v in (view.active, view.building) if v is not None), default=self._last_number(key))
        with self._transaction("views.define") as db:
            if view.building is not None:
                self._drop(db, view.building)
            view_store.set_view(db, version.definition.name, None)
            name = f"{key}@{number}"
            used = self._ledger.register(db, kind="view", name=name, stream=version.used.stream, bucket_us=version.definition.bucket_us)
            folder = f"{FOLDER}/{folder_name(version.definition.name)}/{number}"
            version = replace(version, number=number, folder=folder, used=used)
            if old is not None and old.used.sealed_us > FIRST:
                version = self._sealed(db, version, old, keep_sealed=keep_sealed)
            version = view_store.add_version(db, version, state="active" if old is None else "building")
            self._store.set_meta(f"view_number:{key}", str(number))
        view = View(version.definition.name, old or version, None if old is None else version)
        self._put(view)
        self._done()
        return version

    def begin(self, version_id: int, until_us: int) -> None:
        """A refresh that keeps everything below ``until_us`` is about to pin its snapshot."""
        self._ledger.watch(self._version(version_id).used.id, until_us)

    def refresh(
        self, version_id: int, spans: Sequence[Span], files: Sequence[ViewFile], *, snapshot: int, now_us: int, cost_s: float
    ) -> bool:
        """Keeps the answer of ``spans`` as it was at ``State.version`` ``snapshot``: one file, an entry for each of them; none: no rows.

        False, and nothing has changed, when the version is gone meanwhile.
        """
        known = [v for view in self.views.values() for v in (view.active, view.building) if v is not None and v.id == version_id]
        if not known:
            return False
        version = known[0]
        kept = view_store.replaced(version.files, spans)
        with self._transaction("views.refresh") as db:
            self._ledger.use(db, version.used.id, spans, version=snapshot)
            kept = list(view_store.put_files(db, version_id, [*kept, *files]))
            view_store.note_refresh(db, version_id, now_us=now_us, cost_s=cost_s)
        self._replace(replace(version, files=tuple(kept), refreshed_us=now_us, cost_s=cost_s))
        self._done()
        return True

    def switch(self, name: str) -> bool:
        """The version that was built answers from now on, and the old one is gone; False when there is none."""
        view = self.views.get(fold(name))
        if view is None or view.building is None or view.active is None:
            return False
        with self._transaction("views.switch") as db:
            self._drop(db, view.active)
            view_store.activate(db, view.building.id)
        self._put(replace(view, active=view.building, building=None))
        self._done()
        return True

    def remove(self, name: str) -> None:
        """The config names this view no more."""
        view = self.views.get(fold(name))
        if view is None:
            return
        with self._transaction("views.remove") as db:
            for version in (view.active, view.building):
                if version is not None:
                    self._drop(db, version)
            view_store.drop_view(db, name)
        del self.views[fold(name)]
        self._done()

    def lose(self, path: str) -> None:
        """A file is missing or damaged: its buckets are made anew, but for what is sealed, which is lost."""
        hit = [v for view in self.views.values() for v in (view.active, view.building) if v and any(f.path == path for f in v.files)]
        if not hit:
            return
        changed = []
        with self._transaction("views.lose") as db:
            for version in hit:
                for f in (f for f in version.files if f.path == path):
                    self._ledger.touch_entry(db, version.used.id, f.low, f.high)
                kept = view_store.put_files(db, version.id, [f for f in version.files if f.path != path])
                changed.append(replace(version, files=kept))
        for version in changed:
            self._replace(version)
        self._done()

    def doubt(self, version_id: int, spans: Sequence[Span]) -> bool:
        """What is stored of these spans may not be true: its buckets are made anew, but for what is sealed. False: the version is gone."""
        version = next((v for w in self.views.values() for v in (w.active, w.building) if v is not None and v.id == version_id), None)
        if version is None:
            return False
        with self._transaction("views.doubt") as db:
            for low, high in spans:
                self._ledger.touch_entry(db, version.used.id, low, high)
        self._done()
        return True

    def forget_before(self, version_id: int, until_us: int) -> None:
        """The buckets before ``until_us`` are removed, for good."""
        version = self._version(version_id)
        used = self._ledger.get(version.used.id)
        with self._transaction("views.keep") as db:
            files = view_store.put_files(db, version_id, view_store.replaced(version.files, ((FIRST, until_us),)))
            self._ledger.seal_entry(db, used.id, max(used.sealed_us, min(until_us, used.closed_us)))
        self._replace(replace(version, files=files))
        self._done()

    def _sealed(self, db: sqlite3.Connection, version: ViewVersion, old: ViewVersion, *, keep_sealed: bool) -> ViewVersion:
        """A new version with what is sealed of the old one."""
        sealed = old.used.sealed_us
        used = self._ledger.use(db, version.used.id, ((FIRST, sealed),), version=0)
        self._ledger.seal_entry(db, used.id, sealed)
        if not keep_sealed:
            return replace(version, begin_us=sealed)
        files = [replace(f, id=0) for f in view_store.replaced(old.files, ((sealed, LAST),))]
        return replace(version, files=tuple(files), begin_us=old.begin_us)

    def _drop(self, db: sqlite3.Connection, version: ViewVersion) -> None:
        view_store.drop_version(db, version.id)
        self._ledger.drop(db, version.used.id)

    def _last_number(self, key: str) -> int:
        """Numbers are not used again, so that a file's name means one thing for good."""
        return int(self._store.get_meta(f"view_number:{key}") or 0)

    def _version(self, version_id: int) -> ViewVersion:
        return next(v for view in self.views.values() for v in (view.active, view.building) if v is not None and v.id == version_id)

    def _replace(self, version: ViewVersion) -> None:
        view = self.views[fold(version.definition.name)]
        is_active = view.active is not None and view.active.id == version.id
        self._put(replace(view, active=version) if is_active else replace(view, building=version))

    def _put(self, view: View) -> None:
        self.views[fold(view.name)] = view

    def _now(self, version: ViewVersion | None) -> ViewVersion | None:
        if version is None:
            return None
        used: Used = self._ledger.get(version.used.id)
        return version if version.used is used else replace(version, used=used)

    @contextmanager
    def _transaction(self, name: str) -> Iterator[sqlite3.Connection]:
        self._ledger.forget()
        with self._durably(name):
            yield self._store.connection
