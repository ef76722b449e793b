"""
Work of which a restored database knows nothing and for which a Task of ours stands on the EHR.

It was asked for after the backup was made. Mostly it is there to be read, and has its case again. What was withdrawn,
deleted or made part of other work before anybody could read it again opens none, and its Task would stay as it is for
ever. So the case is made anew as the Task tells it, and everything else comes as it ever does: what the EHR says of the
work is news of that case, and what nobody can read there is looked at by the next sweep. So it is where the work is
another patient's today than that of our Task, which has to be taken back.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from bridge.cases.book import Book, cause_of
from bridge.cases.changes import Cause, CauseKind
from bridge.cases.patients import is_same_person
from bridge.cases.reconcile import rederive, revisit
from bridge.cases.rules import case_id
from bridge.cases.snapshot import Snapshot
from bridge.cases.sources import SourceRow
from bridge.store.port import Tx
from bridge.sync.known import load_roots, record
from bridge.sync.line import Line
from bridge.sync.restored import RESTORED
from bridge.tasks.elements import Json
from bridge.tasks.found_again import work_told
from bridge.tasks.transitions import FINAL


def take_up(tx: Tx, line: Line, task: Json, named: str, now: datetime) -> bool:
    """
    Make the case anew for which a Task of ours stands, where there is none; return whether that was done.

    It is where the Task is open, and where it names another patient than its work does today: what is over is left as
    it is otherwise.

    Args:
        named: Id of the case that the Task was written for.
    """
    told = work_told(task) if task.get("status") != "entered-in-error" else None
    if told is None or case_id(line.name, told.ref) != named or tx.case(named) is not None:
        return False
    stands = tx.sources(line.name, [told.ref]).get(told.ref)
    if task.get("status") in FINAL and not _is_somebody_elses(tx, line, stands, told):
        return False
    asked = SourceRow(
        connection=line.name,
        ref=told.ref,
        root=told.ref,
        snapshot=_as_it_was(stands, told),
        opened=True,
        began_at=min(told.authored_at or now, now) if stands is None else stands.began_at,
    )
    cause = Cause(CauseKind.RULE, RESTORED)
    made = rederive(told.ref, [asked], cause, Book(load_roots(tx, line.name, {told.ref}), line.rules, now))
    if not made.pairs:
        return False
    tx.save_sources([asked if stands is None else replace(stands, root=told.ref, opened=True)])
    # Nothing is to be told of it: that was done when it was new.
    tx.save_cases([case for _, case in made.pairs], made.changes, made.wakes)
    if stands is not None:
        _go_on(tx, line, stands, now)
    return True


def _is_somebody_elses(tx: Tx, line: Line, stands: SourceRow | None, told: Snapshot) -> bool:
    """Whether work is of another person today than our Task says."""
    now = stands.snapshot.patient if stands is not None else None
    if now is None or now.ref is None or told.patient is None or told.patient.ref is None:
        return False
    people = load_roots(tx, line.name, [told.ref], arriving=[told]).people
    return not is_same_person(told.patient.ref, now.ref, people)


def _as_it_was(stands: SourceRow | None, told: Snapshot) -> Snapshot:
    """Return the work as the Task tells it, in the words that the EHR has for it where it gives any."""
    if stands is None:
        return told
    asked = {"status": told.status, "effect": told.effect, "patient": told.patient}
    return replace(stands.snapshot, version=told.version, updated_at=None, parent=None, status_reason=None, **asked)


def _go_on(tx: Tx, line: Line, stands: SourceRow, now: datetime) -> None:
    """Bring what the EHR says of the work today into its case."""
    known = load_roots(tx, line.name, {stands.ref, stands.root})
    gone = Cause(CauseKind.SOURCE, f"{stands.ref}/_history/deleted")
    cause = cause_of(stands.snapshot) if stands.gone_at is None else gone
    record(tx, line, revisit([stands.ref], known, line.rules, cause, now), now)
