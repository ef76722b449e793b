"""Cases and snapshots with everything that does not matter filled in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bridge.cases.model import Case, CasePatient, NextAction, Owner
from bridge.cases.snapshot import Party, Priority, Snapshot
from bridge.cases.status_table import EFFECTS
from bridge.cases.terms import Action, OwnerKind, Status

AT = datetime(2026, 6, 1, 14, tzinfo=UTC)


def a_case(**changes: Any) -> Case:
    """Return an open referral."""
    fields: dict[str, Any] = {
        "id": "c0ffee",
        "connection": "main",
        "tenant": "default",
        "root": "ServiceRequest/1",
        "lane": "referral",
        "status": Status.NEW,
        "priority": Priority.ROUTINE,
        "patient": CasePatient("Patient/p1", "Pat Example"),
        "title": "Referral to cardiology",
        "requester": Party("Practitioner", "Practitioner/house", None, "Dr House"),
        "sources": (),
        "owner": Owner(OwnerKind.ROLE, "referral-coordinator", "Referral coordinators"),
        "backup": Owner(OwnerKind.ROLE, "supervisor", "Supervisor"),
        "next_action": NextAction(Action.SCHEDULE, "Schedule the visit"),
        "due_at": datetime(2026, 6, 3, 21, tzinfo=UTC),
        "blocker": None,
        "opened_at": datetime(2026, 5, 29, 9, tzinfo=UTC),
        "updated_at": AT,
    }
    return Case(**{**fields, **changes})


def a_task_snapshot(status: str, **changes: Any) -> Snapshot:
    """Return a Task in *status* that asks for the referral to be done."""
    fields: dict[str, Any] = {
        "ref": "Task/t1",
        "type": "Task",
        "version": "1",
        "updated_at": AT,
        "status": status,
        "effect": EFFECTS["Task"][status],
        "parent": "ServiceRequest/1",
        "title": "Task",
    }
    return Snapshot(**{**fields, **changes})
