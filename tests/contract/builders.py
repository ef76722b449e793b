"""Values for store tests; everything that does not matter has a default."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.cases.changes import CaseOpened, Cause, CauseKind, Change, Fact, NoteAdded
from bridge.cases.intents import Intent, IntentKind, IntentState, Message
from bridge.cases.model import Case, CaseNote, CasePatient, Owner
from bridge.cases.people import Person
from bridge.cases.snapshot import Effect, Party, Priority, Snapshot
from bridge.cases.sources import SourceRow
from bridge.cases.terms import OwnerKind, Status
from bridge.store.port import Store
from bridge.store.rows import InboxRow, InboxState, OutboxRow, Settlement

NOW = datetime(2026, 3, 2, 9, 30, 0, 123456, tzinfo=UTC)
EHR = "clinic"


def minutes(count: float) -> datetime:
    """The instant *count* minutes after ``NOW``."""
    return NOW + timedelta(minutes=count)


def a_version(ref: str = "Task/1", version: str = "1", **fields: Any) -> InboxRow:
    values: dict[str, Any] = {
        "connection": EHR,
        "type": ref.partition("/")[0],
        "updated_at": NOW,
        "received_at": NOW,
        "path": "poll",
        "state": InboxState.APPLIED,
        "raw": b'{"resourceType":"Task"}',
    }
    return InboxRow(ref=ref, version=version, **(values | fields))


def parked(ref: str = "Task/1", version: str = "1", **fields: Any) -> InboxRow:
    why = {"state": InboxState.PARKED, "code": "unknown-status", "reason": "Task.status is not known"}
    return a_version(ref, version, **(why | fields))


def a_source(ref: str = "Task/1", root: str | None = None, **fields: Any) -> SourceRow:
    snapshot = Snapshot(
        ref=ref,
        type=ref.partition("/")[0],
        version="1",
        updated_at=NOW,
        status="requested",
        effect=Effect.ASKED,
        patient=Party(type="Patient", ref="Patient/1"),
        title="Referral",
    )
    values: dict[str, Any] = {"connection": EHR, "snapshot": snapshot, "opened": True, "began_at": NOW}
    return SourceRow(ref=ref, root=root or ref, **(values | fields))


def a_case(case_id: str = "c1", **fields: Any) -> Case:
    values: dict[str, Any] = {
        "connection": EHR,
        "tenant": "default",
        "root": f"Task/{case_id}",
        "lane": "referral",
        "status": Status.NEEDS_OUTREACH,
        "priority": Priority.ROUTINE,
        "patient": CasePatient(ref="Patient/1", display="Ada Quill"),
        "title": "Cardiology referral",
        "requester": None,
        "sources": (),
        "owner": Owner(kind=OwnerKind.PERSON, id="lee", display="Lee"),
        "backup": None,
        "next_action": None,
        "due_at": minutes(60),
        "blocker": None,
        "opened_at": NOW,
        "updated_at": NOW,
    }
    return Case(id=case_id, **(values | fields))


def a_change(case: Case, seq: int = 1, fact: Fact | None = None) -> Change:
    happened = fact or (CaseOpened(case) if seq == 1 else NoteAdded(CaseNote(at=NOW, by="lee", text="ok")))
    cause = Cause(CauseKind.SOURCE, "Task/1/_history/1")
    return Change(case_id=case.id, seq=seq, version=case.version, at=NOW, cause=cause, fact=happened)


def a_level(case_id: str = "c1", version: int = 1, slot: str = "task", **fields: Any) -> Intent:
    """An intent of which the newest of a slot counts."""
    values: dict[str, Any] = {"connection": EHR, "kind": IntentKind.COORDINATION_TASK}
    key = f"{case_id}/{slot}/{version}"
    return Intent(case_id=case_id, slot=slot, key=key, case_version=version, **(values | fields))


def a_message(case_id: str = "c1", number: int = 1, **fields: Any) -> Intent:
    """An intent that says what was true at its moment; each is sent."""
    values: dict[str, Any] = {
        "connection": EHR,
        "kind": IntentKind.OUTREACH_RECORD,
        "case_version": 1,
        "message": Message(at=NOW, text="Left a message.", attempt_id=f"a{number}"),
    }
    return Intent(case_id=case_id, slot=f"outreach/{number}", key=f"{case_id}/{number}", **(values | fields))


def a_person(ref: str = "Patient/1", **fields: Any) -> Person:
    return Person(ref=ref, type=ref.partition("/")[0], version="1", **({"display": "Ada Quill"} | fields))


def settlement(row: OutboxRow, state: IntentState, **fields: Any) -> Settlement:
    return Settlement(id=row.id, token=row.token, state=state, **({"at": NOW} | fields))


def with_cases(store: Store, *cases: Case) -> None:
    """Store new cases with their first change."""
    with store.transaction() as tx:
        tx.save_cases(cases, [a_change(case) for case in cases])


def with_intents(store: Store, *intents: Intent, at: datetime = NOW) -> None:
    """Store the cases that the intents are about, then the intents."""
    missing = dict.fromkeys(intent.case_id for intent in intents)
    with store.transaction() as tx:
        cases = [a_case(case_id) for case_id in missing if tx.case(case_id) is None]
        tx.save_cases(cases, [a_change(case) for case in cases])
        tx.add_intents(intents, at)


def states(store: Store) -> list[tuple[str, IntentState]]:
    """Every intent's key and state, in the order they were queued."""
    with store.reading() as tx:
        return [(row.intent.key, row.state) for row in tx.outbox(limit=1000)]


def claim(store: Store, *, at: datetime = NOW, limit: int = 10, until: datetime | None = None) -> list[OutboxRow]:
    """Claim what is due, for ten minutes."""
    with store.transaction() as tx:
        return tx.claim(EHR, at, until or at + timedelta(minutes=10), limit)
