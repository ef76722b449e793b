"""A person's command, in one transaction: it enters the line at ``reconcile`` and takes the rest of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bridge.cases.act import act
from bridge.cases.commands import AnyCommand
from bridge.cases.model import Attempt, Case
from bridge.errors import CommandRefused, StaleVersion
from bridge.store.port import Store, Tx
from bridge.sync.known import load_roots, record
from bridge.sync.line import Line
from bridge.sync.restored import let_go
from bridge.sync.timers import catch_up


class CaseUnknown(CommandRefused):
    """There is no case with that id."""


def execute(
    store: Store,
    lines: Mapping[str, Line],
    case_id: str,
    command: AnyCommand,
    *,
    by: str,
    expected_version: int | None,
    now: datetime,
    new_id: str,
) -> Case:
    """
    Carry out a command and return the case after it.

    Args:
        expected_version: The version the person saw; ``None`` for a command of the program itself.
        new_id: An unused id, for an outreach attempt.

    Raises:
        CaseUnknown: There is no such case.
        StaleVersion: The case changed since the person saw it; nothing was done.
        CommandRefused: The command does not fit the case as it is; nothing was done.
    """
    with store.transaction() as tx:
        case, line = _case_and_line(tx, lines, case_id)
        tx.lock(line.name)
        seen = tx.case(case_id) or case
        _check_version(seen, expected_version)
        catch_up(tx, line, now)
        known = load_roots(tx, line.name, {case.root})
        case = known.cases.get(case.root, seen)
        outcome = act(case, command, by, known, line.rules, now, new_id, attempts_elsewhere(tx, case))
        record(tx, line, outcome, now)
        let_go(tx, line.name, [case_id], now)
    return next((after for _, after in outcome.pairs if after.id == case_id), case)


def attempts_elsewhere(tx: Tx, case: Case) -> list[Attempt]:
    """Return the attempts to reach the case's patient that were made on other cases."""
    if case.patient_ref is None:
        return []
    others = tx.cases_of_people(case.connection, [case.patient_ref])
    return [one for other in others if _is_another(other, case) for one in other.outreach]


def _is_another(other: Case, case: Case) -> bool:
    return other.id != case.id and other.patient_ref == case.patient_ref


def preview(
    store: Store,
    lines: Mapping[str, Line],
    case_id: str,
    command: AnyCommand,
    *,
    by: str,
    expected_version: int | None,
    now: datetime,
) -> Case:
    """Return the case as it would be after a command that is not carried out; raises as ``execute`` does."""
    with store.reading() as tx:
        case, line = _case_and_line(tx, lines, case_id)
        _check_version(case, expected_version)
        known = load_roots(tx, line.name, {case.root})
        outcome = act(case, command, by, known, line.rules, now, "preview", attempts_elsewhere(tx, case))
    return next((after for _, after in outcome.pairs if after.id == case_id), case)


def _case_and_line(tx: Tx, lines: Mapping[str, Line], case_id: str) -> tuple[Case, Line]:
    case = tx.case(case_id)
    if case is None:
        raise CaseUnknown(f"There is no case {case_id}.")
    line = lines.get(case.connection)
    if line is None:
        raise CommandRefused(f"The connection {case.connection} is not configured any longer.")
    return case, line


def _check_version(case: Case, expected: int | None) -> None:
    if expected is not None and case.version != expected:
        raise StaleVersion(f"The case is at version {case.version}, not {expected}; look at it again.")
