"""All checks and all repairs, and how a pass goes through them: pure of schedules, processes and storage of findings."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.errors import ApplianceError
from appliance.reconcile import cold_mending, cold_side, hot_mending, hot_side, manifest_side
from appliance.reconcile.derived import registry as derived
from appliance.reconcile.finding import Finding, State
from appliance.reconcile.look import Check, Hands, Look, RepairFunction, Skipped, Unmendable

log = logging.getLogger(__name__)

CHECKS: Final[tuple[Check, ...]] = (*hot_side.CHECKS, *manifest_side.CHECKS, *cold_side.CHECKS, *derived.CHECKS)
"""In the order in which they run. Modules of checks offer a tuple ``CHECKS`` of their own, which is joined here."""
BY_FILE: Final = frozenset(kind for check in CHECKS if check.by_file for kind in check.kinds)
"""Kinds of which a finding is only over when its file was read."""
REPAIRS: Final[Mapping[str, RepairFunction]] = {**hot_mending.REPAIRS, **cold_mending.REPAIRS, **derived.REPAIRS}
"""By kind of finding, joined as ``CHECKS``; a kind that is not here can't be mended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a pass came to."""

    findings: tuple[Finding, ...]
    whole: frozenset[str]
    """Kinds that were looked for everywhere: what is known of them and was not found is gone."""
    by_file: frozenset[str]
    """Kinds of which only findings of the files in ``paths`` are gone when they were not found."""
    paths: frozenset[str]

    def ends(self, kind: str, where: str) -> bool:
        """Whether a known finding that this pass did not see is over."""
        return kind in self.whole or (kind in self.by_file and where in self.paths)


@dataclass(frozen=True, slots=True)
class Repaired:
    """What came of one finding."""

    finding: Finding
    state: State
    """``repaired`` or ``unmendable``."""
    did: str


def run_checks(look: Look, checks: Iterable[Check]) -> Result:
    """Goes through those of ``checks`` that belong to the look's scope and have what they need. Raises what keeps it from looking."""
    findings: dict[tuple[str, str, str], Finding] = {}
    whole: set[str] = set()
    by_file: set[str] = set()
    for check in checks:
        if look.scope not in check.scopes or not _has_needs(look, check):
            continue
        try:
            for finding in check.run(look):
                assert finding.kind in check.kinds, f"{check.name} has found {finding.kind!r}, which it does not name"
                findings.setdefault(finding.name, finding)
        except Skipped:
            continue
        if check.by_file:
            by_file |= check.kinds
        elif look.scope not in check.by_turns and look.since_us is None and not (check.by_part and look.only is not None):
            whole |= check.kinds
    return Result(
        findings=tuple(findings.values()), whole=frozenset(whole - BY_FILE), by_file=frozenset(by_file), paths=frozenset(look.seen.paths)
    )


def mend(findings: Sequence[Finding], hands: Hands, repairs: Mapping[str, RepairFunction] | None = None) -> list[Repaired]:
    """Each finding in turn; what fails is said and keeps no other from being mended."""
    known = REPAIRS if repairs is None else repairs
    done = []
    for finding in findings:
        repair = known.get(finding.kind)
        if repair is None:
            done.append(Repaired(finding, "unmendable", "nothing that is left proves what it should be"))
            continue
        try:
            done.append(Repaired(finding, "repaired", repair(finding, hands)))
        except Unmendable as e:
            done.append(Repaired(finding, "unmendable", str(e)))
        except ApplianceError as e:
            log.warning("%s %s was not mended: %s", finding.kind, finding.where, e)
            done.append(Repaired(finding, "unmendable", f"the repair failed: {e}"))
    return done


def _has_needs(look: Look, check: Check) -> bool:
    return check.needs == "folder" or (look.memory is not None if check.needs == "memory" else look.query is not None)
