"""Models, issued files and taken files: another version is used, what is false goes aside, what was taken is taken again."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from appliance.door.commit import Committer
from appliance.hot.models import ModelRow, mark_damaged, models, use_model
from appliance.reconcile.derived.files import put_aside, wrong_with
from appliance.reconcile.derived.inbox import Known, Through, absent, digest_of, excused, known_of, past_of, read_file
from appliance.reconcile.derived.mend_records import reading
from appliance.reconcile.derived.mend_views import ask
from appliance.reconcile.derived.models import is_usable, named_last, usable_before
from appliance.reconcile.finding import Finding
from appliance.reconcile.look import Hands, Unmendable
from appliance.records import Batch, FileProgress, Format, Submission

BY: Final = "the appliance"


def mend_model(finding: Finding, hands: Hands) -> str:
    """A version whose file is not what was made is given up; the accepted one before it is used, and a new one is asked for."""
    rows, row = _rows(finding, hands)
    if row is None or (reason := _wrong(hands, row)) is None:
        return "the file is what was made, or the version is gone"
    instead = next((r.version for r in usable_before(rows, row.version) if _wrong(hands, r) is None), None)
    moved = put_aside(hands.box.folder, row.path)
    hands.box.writer.call(partial(_give_up, row=row, reason=reason, instead=instead)).result()
    kept = "" if moved is None else f"; its file is kept as {moved}"
    if not row.active:
        return f"it is given up{kept}"
    ask(hands, row.name)
    used = "no other is there" if instead is None else f"version {instead} is used"
    return f"it is given up, {used}, and a new one is asked for{kept}"


def mend_use(finding: Finding, hands: Hands) -> str:
    """The version that the evidence names last is used, if its file is what was made."""
    rows, row = _rows(finding, hands)
    with reading(hands) as reader:
        said = named_last(reader)
    name = str(finding.facts["name"])
    if name not in said:
        raise Unmendable("the chain of evidence names no version")
    wanted = said[name]
    row = next((r for r in rows if r.version == wanted), None)
    if wanted is not None and (row is None or not is_usable(row) or _wrong(hands, row) is not None):
        raise Unmendable(f"version {wanted} can't be used")
    hands.box.writer.call(partial(_use, name=name, row=row)).result()
    return f"version {wanted} is in use" if wanted is not None else "none is in use"


def mend_issued(finding: Finding, hands: Hands) -> str:
    """What is not what was issued goes aside."""
    moved = put_aside(hands.box.folder, finding.where)
    raise Unmendable("nothing proves what it said" + ("" if moved is None else f"; the changed file is kept as {moved}"))


def mend_inbox(finding: Finding, hands: Hands) -> str:
    """The records of a taken file that are not there go through the door; those that are there stay as they are."""
    path = hands.box.folder / finding.where
    with reading(hands) as reader:
        known = [k for k in known_of(reader, path) if finding.key in ("", k.stream)]
    done = sum(_take(hands, finding, each) for each in known) if known else _take(hands, finding, None)
    return f"{done} records were taken again"


def _take(hands: Hands, finding: Finding, known: Known | None) -> int:
    """One content for one stream: first all of it is looked at, then what is missing is submitted."""
    box, path = hands.box, hands.box.folder / finding.where
    with reading(hands) as reader:
        away = excused(reader, box.state)
    past = past_of(box.folder, box.state, partial(reading, hands))
    seen = {"rows": 0}

    def missing(submission: Submission) -> list[Batch]:
        found = []
        for batch in submission.batches:
            stream = box.state.get(batch.stream)
            left = absent(batch, stream, past, away.get(batch.stream.lower(), ()))
            if stream is not None and stream.identity is None and left is not None and left[0].num_rows < batch.rows:
                raise Unmendable(f"records of {batch.stream} can't be told apart, and some of them are there")
            if left is not None:
                found.append(Batch(batch.stream, batch.tags, left[0]))
        return found

    def look(submission: Submission) -> int:
        seen["rows"] += sum(b.rows for b in missing(submission))
        return submission.rows

    def submit(submission: Submission) -> int:
        rejects = submission.rejects if known is None else ()
        box.door.submit_blocking(Submission(submission.source, submission.format, tuple(missing(submission)), rejects))
        return submission.rows

    taken = read_file(path, known, Through(box.config, box.state, look))
    if taken.outcome == "taken":
        taken = read_file(path, known, Through(box.config, box.state, submit))
    if taken.outcome != "taken":
        raise Unmendable(f"the file can't be read any more: {taken.reason}")
    stream = taken.stream if known is None else known.stream
    progress = FileProgress(digest_of(path), path.name, taken.size, taken.size, done=True, stream=stream)
    box.door.submit_blocking(Submission(f"drop:{path.name}", taken.format or Format.CSV, progress=progress))
    return seen["rows"]


def _rows(finding: Finding, hands: Hands) -> tuple[list[ModelRow], ModelRow | None]:
    with reading(hands) as reader:
        rows = models(reader, str(finding.facts["name"]))
    return rows, next((r for r in rows if r.version == finding.facts.get("version")), None)


def _wrong(hands: Hands, row: ModelRow) -> str | None:
    return wrong_with(hands.box.folder, row.path, size=None, sha256=row.sha256, deep=True)


def _give_up(committer: Committer, row: ModelRow, reason: str, instead: int | None) -> None:
    db, now_us = committer.store.connection, committer.clock.now_us()
    with committer.store.transaction():
        mark_damaged(db, row.name, row.version, reason, now_us=now_us)
        if row.active:
            use_model(db, row.name, instead, now_us=now_us)
            committer.store.chain.add("model", {**_entry(row, reason), "instead": instead})


def _use(committer: Committer, name: str, row: ModelRow | None) -> None:
    with committer.store.transaction():
        use_model(committer.store.connection, name, None if row is None else row.version, now_us=committer.clock.now_us())
        if row is not None:
            committer.store.chain.add("model", _entry(row, "as the evidence says"))


def _entry(row: ModelRow, why: str) -> dict[str, Any]:
    return {"model": row.name, "version": row.version, "sha256": row.sha256, "why": why, "who": BY}
