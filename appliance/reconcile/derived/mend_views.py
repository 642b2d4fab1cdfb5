"""Views are mended by making buckets anew out of the records: what is doubted is marked, and the mark alone makes answers true again."""

from __future__ import annotations

import logging
from functools import partial

from appliance.derived import ViewVersion
from appliance.door.derived import commit_marks
from appliance.errors import ApplianceError
from appliance.hot.state import State
from appliance.reconcile.derived.files import MISSING, put_aside, wrong_with
from appliance.reconcile.derived.view_answers import unreadable_of
from appliance.reconcile.derived.views import name_of, versions_of
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Hands, Unmendable
from appliance.spans import Span, without

log = logging.getLogger(__name__)


def mend_file(finding: Finding, hands: Hands) -> str:
    """The file goes aside, and its buckets are made anew, as far as their records are there."""
    holders = [v for v in versions_of(hands.box.state.views.values()) if any(f.path == finding.where for f in v.files)]
    if not holders:
        return "no view names the file any more"
    file = next(f for f in holders[0].files if f.path == finding.where)
    reason = wrong_with(hands.box.folder, file.path, size=file.bytes, sha256=file.sha256, deep=True)
    if reason is None:
        return "the file is what was written"
    is_sealed = all(f.high <= v.used.sealed_us for v in holders for f in v.files if f.path == file.path)
    if is_sealed and reason == MISSING:
        raise Unmendable("the records of its buckets are gone; restore the file from a backup")
    moved = put_aside(hands.box.folder, file.path)
    hands.box.writer.call(lambda c: c.views.lose(file.path)).result()
    _ask(hands, holders)
    kept = "" if moved is None else f"; it is kept as {moved}"
    if is_sealed:
        raise Unmendable(f"the records of its buckets are gone{kept}")
    lost = any(f.low < v.used.sealed_us for v in holders for f in v.files if f.path == file.path and v.used.sealed_us > v.begin_us)
    return f"its buckets are marked and made anew{', but for those whose records are gone' if lost else ''}{kept}"


def mend_buckets(finding: Finding, hands: Hands) -> str:
    """The buckets are marked; not where the records of their time can't be read, because then what is stored is the better answer."""
    version = _version(hands.box.state, int(finding.facts["version"]))
    if version is None:
        return "the view has got another definition meanwhile"
    span: Span = (int(finding.facts["low"]), int(finding.facts["high"]))
    readable = without((span,), unreadable_of(hands.box.folder, hands.box.state, version, (span,)))
    if readable != (span,):
        raise Unmendable("records of that time can't be read: what is stored may be what they gave")
    number = version.id
    hands.box.writer.call(lambda c: c.views.doubt(number, (span,))).result()
    _ask(hands, [version])
    return f"the buckets of {name_of(version)} are marked and made anew"


def mend_marks(finding: Finding, hands: Hands) -> str:
    """The store gets the marks that memory has."""
    if not hands.memory:
        raise Unmendable("memory is gone that knew the mark; a look with all computed anew tells what it was about")
    is_there = hands.box.writer.call(partial(commit_marks, ledger_id=int(finding.facts["ledger"]))).result()
    return "the marks are written again" if is_there else "the view has got another definition meanwhile"


def _version(state: State, version_id: int) -> ViewVersion | None:
    return next((v for v in versions_of(state.views.values()) if v.id == version_id), None)


def _ask(hands: Hands, versions: list[ViewVersion]) -> None:
    for name in dict.fromkeys(v.definition.name for v in versions):
        ask(hands, name)


def ask(hands: Hands, name: str) -> None:
    """Asks for a run that is only sooner than its turn: where it can't be asked for, what was mended is mended all the same."""
    try:
        hands.ask(name)
    except ApplianceError as e:
        log.info("%s was mended, and is made anew at its turn: %s", name, e)
