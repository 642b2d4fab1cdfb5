"""Every check of derived things, and every repair, for the engine to join with its own."""

from __future__ import annotations

from typing import Final

from appliance.reconcile.derived import (
    alerts,
    chain,
    deletions,
    inbox,
    issued,
    latest,
    mend_alerts,
    mend_files,
    mend_records,
    mend_views,
    models,
    twins,
    view_answers,
    views,
)
from appliance.reconcile.look import WHOLE, Check, Repairs, Scope

_HOT: Final[frozenset[Scope]] = frozenset({"hot"})
_OFTEN: Final[frozenset[Scope]] = frozenset({"newest", *WHOLE})
_COMPUTED: Final[frozenset[Scope]] = frozenset({"newest", "full"})
_BY_TURNS: Final[frozenset[Scope]] = frozenset({"newest"})

CHECKS: Final[tuple[Check, ...]] = (
    Check(name="marks in memory", run=views.check_memory, kinds=frozenset({views.MARK_FORGOTTEN}), scopes=_HOT, needs="memory"),
    Check(name="twins in memory", run=twins.check_memory, kinds=frozenset({twins.FORGOTTEN}), scopes=_HOT, needs="memory"),
    Check(
        name="files of views",
        run=views.check_files,
        kinds=frozenset({views.FILE_MISSING, views.FILE_CHANGED}),
        scopes=_OFTEN,
        by_turns=_BY_TURNS,
        in_process=True,
    ),
    Check(
        name="marks of views",
        run=views.check_marks,
        kinds=frozenset({views.MARK_MISSING}),
        scopes=_OFTEN,
        by_turns=_BY_TURNS,
        needs="query",
        in_process=True,
    ),
    Check(
        name="answers of views",
        run=view_answers.check_answers,
        kinds=frozenset({view_answers.DIFFERS}),
        scopes=_COMPUTED,
        by_turns=_BY_TURNS,
        needs="query",
        by_part=True,
        in_process=True,
    ),
    Check(
        name="twins",
        run=twins.check_twins,
        kinds=frozenset({twins.UNMARKED}),
        scopes=_COMPUTED,
        by_turns=_BY_TURNS,
        needs="query",
        by_part=True,
        in_process=True,
    ),
    Check(
        name="last values",
        run=latest.check_records,
        kinds=frozenset({latest.DIFFERS}),
        scopes=_COMPUTED,
        by_turns=_BY_TURNS,
        needs="query",
        by_part=True,
        in_process=True,
    ),
    Check(name="stored last values", run=latest.check_stored, kinds=frozenset({latest.STORED_DIFFERS}), scopes=_OFTEN, needs="memory"),
    Check(name="models", run=models.check_files, kinds=frozenset({models.FILE_MISSING, models.FILE_CHANGED}), scopes=_OFTEN),
    Check(name="models in use", run=models.check_use, kinds=frozenset({models.NOT_IN_USE}), in_process=True),
    Check(
        name="reports",
        run=issued.check_reports,
        kinds=frozenset({issued.REPORT_MISSING, issued.REPORT_CHANGED}),
        scopes=_OFTEN,
        by_turns=_BY_TURNS,
        in_process=True,
    ),
    Check(
        name="tables of jobs",
        run=issued.check_tables,
        kinds=frozenset({issued.TABLE_MISSING, issued.TABLE_CHANGED}),
        scopes=_OFTEN,
        by_turns=_BY_TURNS,
        in_process=True,
    ),
    Check(
        name="taken files",
        run=inbox.check_inbox,
        kinds=frozenset({inbox.NOT_TAKEN, inbox.RECORDS_MISSING}),
        scopes=_OFTEN,
        by_turns=frozenset({"newest", "all"}),
        in_process=True,
    ),
    Check(
        name="alerts",
        run=alerts.check_alerts,
        kinds=frozenset(
            {
                alerts.NO_TRANSITION,
                alerts.FIRE_UNWRITTEN,
                alerts.MESSAGE_MISSING,
                alerts.ALERT_MISSING,
                alerts.ALERT_DIFFERS,
                alerts.PLACE_AHEAD,
                alerts.ITEM_LOST,
                alerts.TRANSITION_MISSING,
            }
        ),
        scopes=_OFTEN,
    ),
    Check(
        name="chain of evidence", run=chain.check_chain, kinds=frozenset({chain.BROKEN}), scopes=_OFTEN, by_turns=_BY_TURNS, in_process=True
    ),
    Check(
        name="deletions in the evidence",
        run=chain.check_deletions,
        kinds=frozenset({chain.DELETION_MISSING, chain.DELETION_CHANGED}),
        in_process=True,
    ),
    Check(
        name="deleted records",
        run=deletions.check_hidden,
        kinds=frozenset({deletions.SHOWS}),
        scopes=_COMPUTED,
        by_turns=_BY_TURNS,
        needs="query",
        in_process=True,
    ),
)
REPAIRS: Final[Repairs] = {
    views.FILE_MISSING: mend_views.mend_file,
    views.FILE_CHANGED: mend_views.mend_file,
    views.MARK_MISSING: mend_views.mend_buckets,
    views.MARK_FORGOTTEN: mend_views.mend_marks,
    view_answers.DIFFERS: mend_views.mend_buckets,
    twins.UNMARKED: mend_records.mend_twins,
    twins.FORGOTTEN: mend_records.mend_twins,
    latest.DIFFERS: mend_records.mend_latest,
    latest.STORED_DIFFERS: mend_records.mend_stored,
    models.FILE_MISSING: mend_files.mend_model,
    models.FILE_CHANGED: mend_files.mend_model,
    models.NOT_IN_USE: mend_files.mend_use,
    issued.REPORT_CHANGED: mend_files.mend_issued,
    issued.TABLE_CHANGED: mend_files.mend_issued,
    inbox.NOT_TAKEN: mend_files.mend_inbox,
    inbox.RECORDS_MISSING: mend_files.mend_inbox,
    alerts.NO_TRANSITION: mend_alerts.mend_message,
    alerts.FIRE_UNWRITTEN: mend_alerts.mend_transition,
    alerts.MESSAGE_MISSING: mend_alerts.mend_told,
    alerts.PLACE_AHEAD: mend_alerts.mend_place,
    chain.DELETION_MISSING: mend_records.mend_deletion,
    chain.DELETION_CHANGED: mend_records.mend_deletion,
    deletions.SHOWS: mend_records.mend_hidden,
}
