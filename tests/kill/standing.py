"""What stands in a workplace and on its server in the end, in a form in which two runs can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bridge.cases.intents import IntentState
from bridge.cases.model import Case
from bridge.store.rows import InboxState
from tests.hapi.line import Ehr, Workplace
from tests.hapi.plain import Json


@dataclass(frozen=True)
class CaseView:
    """What a coordinator goes by."""

    status: str
    owner: str
    next_action: str | None
    due_at: datetime | None
    blocker: str | None
    closure: str | None
    merged_into: str | None
    sources: frozenset[str]


@dataclass(frozen=True)
class Standing:
    """
    The end state of one run.

    Attributes:
        cases: By root, those merged into others too.
        tasks: Our coordination Tasks by case id, without what each server and run gives of its own.
        messages: Our Communications by their intents' keys, likewise.
        work: The clinic's own resources, among them the Tasks that ask us, likewise.
        unfinished: Intents that did not end well, in words.
        parked: Versions that could not be read, in words.
    """

    cases: Mapping[str, CaseView]
    tasks: Mapping[str, Json]
    messages: Mapping[str, Json]
    work: Mapping[str, Json]
    unfinished: tuple[str, ...]
    parked: tuple[str, ...]


def standing(workplace: Workplace, ehr: Ehr) -> Standing:
    """Look at everything. Two resources of one identifier, or two cases of one root, fail."""
    tasks = ehr.our_tasks()
    by_ref = {f"Task/{task['id']}": value for value, task in tasks.items()}
    outbox = workplace.outbox()
    return Standing(
        cases={root: _view(case) for root, case in workplace.cases(merged=True).items()},
        tasks={value: _comparable(task, by_ref) for value, task in tasks.items()},
        messages={key: _comparable(message, by_ref) for key, message in ehr.our_messages().items()},
        work={ref: _comparable(resource, by_ref) for ref, resource in ehr.work().items()},
        unfinished=tuple(
            f"{row.intent.key} {row.state.value}: {row.reason}"
            for row in outbox
            if row.state not in (IntentState.CONFIRMED, IntentState.SUPERSEDED)
        ),
        parked=tuple(f"{row.ref}: {row.reason}" for row in workplace.inbox() if row.state is InboxState.PARKED),
    )


def _view(case: Case) -> CaseView:
    return CaseView(
        status=case.status.value,
        owner=case.owner.id,
        next_action=case.next_action.text if case.next_action else None,
        due_at=case.due_at,
        blocker=f"{case.blocker.category.value}: {case.blocker.text}" if case.blocker else None,
        closure=f"{case.closure.reason.value}: {case.closure.outcome}" if case.closure else None,
        merged_into=case.merged_into,
        sources=frozenset(line.ref for line in case.sources),
    )


def _comparable(resource: Json, by_ref: Mapping[str, str]) -> Json:
    """Leave out what the server gives and when it was written; name our Tasks by our identifier."""
    left_out = {"id", "meta", "lastModified", "sent"}
    return {name: _renamed(value, by_ref) for name, value in resource.items() if name not in left_out}


def _renamed(value: Any, by_ref: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _renamed(one, by_ref) for name, one in value.items()}
    if isinstance(value, list):
        return [_renamed(one, by_ref) for one in value]
    return by_ref.get(value, value) if isinstance(value, str) else value
