"""Why a case is as it is: everything that is known about it, in order of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

import msgspec

from bridge.cases.changes import CaseOpened, Change, PatientKnown, PatientMerged
from bridge.cases.model import Case, CasePatient
from bridge.cases.rules import case_id
from bridge.store.port import Store
from bridge.store.rows import OutboxRow
from bridge.sync.line import Line


@dataclass(frozen=True)
class Step:
    """One thing that happened: ``kind`` is received, decided or written."""

    at: datetime
    kind: str
    what: str
    why: str

    def as_dict(self) -> dict[str, str]:
        """Return the step as plain values."""
        return {"at": self.at.isoformat(), "kind": self.kind, "what": self.what, "why": self.why}


def find_case(store: Store, lines: Mapping[str, Line], named: str) -> Case | None:
    """Return the case with that id, or with that root (``ServiceRequest/12``) on any connection."""
    with store.reading() as tx:
        found = tx.case(named)
        for connection in lines if found is None and "/" in named else ():
            found = found or tx.case(case_id(connection, named))
    return found


def explain_case(store: Store, case: Case) -> list[Step]:
    """Return every version received, every change with its cause and rule, every write and its answer."""
    with store.reading() as tx:
        changes = tx.history(case.id)
        writes = tx.outbox(case_ids=[case.id], limit=1000)
        refs = sorted({line.ref for line in case.sources})
        received = [row for ref in refs for row in tx.inbox(connection=case.connection, ref=ref, limit=1000)]
    steps = [
        Step(
            row.received_at,
            "received",
            f"{row.ref} version {row.version}, by {row.path}",
            f"{row.state.value}{f': {row.reason}' if row.reason else ''}",
        )
        for row in received
    ]
    steps += [Step(change.at, "decided", _fact(change), _cause(change)) for change in changes]
    steps += [_write(row) for row in writes]
    return sorted(steps, key=lambda step: (step.at, _ORDER[step.kind]))


_ORDER = {"received": 0, "decided": 1, "written": 2}


def show(case: Case, steps: Sequence[Step], zone: tzinfo | None) -> str:
    """Return the explanation as text, times in *zone*."""
    due = f", due {case.due_at.astimezone(zone):%Y-%m-%d %H:%M %Z}" if case.due_at else ""
    lines = [
        f"Case {case.id}: {case.lane}, {case.status.value}, version {case.version}",
        f"  began with {case.root}; owner {case.owner.display}",
        f"  next: {case.next_action.text if case.next_action else 'nothing'}{due}",
        "",
    ]
    for step in steps:
        lines.append(f"{step.at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}  {step.kind:8}  {step.what}")
        lines.append(f"{'':>25}{'':8}  {_LEADS_ON[step.kind]} {step.why}")
    return "\n".join(lines)


_LEADS_ON = {"received": "and was", "decided": "because of", "written": "for"}
_UNTOLD = frozenset({"type", "local", "sources"})


def _fact(change: Change) -> str:
    fact = change.fact
    name = str(msgspec.inspect.type_info(type(fact)).tag)  # type: ignore[attr-defined]
    if isinstance(fact, CaseOpened):
        return f"{name}: {fact.case.lane}, {fact.case.status.value}, owner {fact.case.owner.display}"
    if isinstance(fact, PatientKnown):
        return f"{name}: {_patient_in_words(fact.patient)}"
    if isinstance(fact, PatientMerged):
        return f"{name}: {fact.was} was replaced by {fact.patient.ref}"
    said: dict[str, Any] = msgspec.to_builtins(fact)
    parts = [f"{key} {_brief(value)}" for key, value in said.items() if key not in _UNTOLD and value not in ([], ())]
    return f"{name}: {', '.join(parts)}" if parts else name


def _patient_in_words(patient: CasePatient | None) -> str:
    if patient is None:
        return "none"
    return patient.ref or "named, but no record is referred to"


def _brief(value: Any) -> str:
    """Return a value in a few words; whom or what it names rather than all of it."""
    if isinstance(value, dict):
        for key in ("display", "text", "category", "reason", "outcome", "ref"):
            if value.get(key):
                return str(value[key])
        return "set"
    if isinstance(value, list | tuple):
        return "; ".join(map(_brief, value))
    return str(value) if value is not None else "none"


def _cause(change: Change) -> str:
    cause = change.cause
    rule = f", rule {cause.rule}" if cause.rule else ""
    return f"{cause.kind.value} {cause.what}{rule}"


def _write(row: OutboxRow) -> Step:
    where = f" as {row.written}" if row.written else ""
    version = f" version {row.written_version}" if row.written_version else ""
    tries = f" after {row.attempts} attempts" if row.attempts > 1 else ""
    return Step(
        row.settled_at or row.created_at,
        "written",
        f"{row.intent.kind.value}: {row.state.value}{where}{version}{tries}",
        f"case version {row.intent.case_version}{f': {row.reason}' if row.reason else ''}",
    )
