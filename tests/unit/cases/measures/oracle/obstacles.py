"""Blockers, suggestions and escalations, by brute force."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from bridge.cases.changes import (
    CauseKind,
    Change,
    Escalated,
    SuggestionAnswered,
)
from bridge.cases.model import Case
from tests.unit.cases.measures.oracle.told import Life, Row, Step, Told


def suggestions_accepted(told: Told) -> Iterator[Row]:
    for step in told.steps:
        for change in step.changes:
            fact = change.fact
            by_person = change.cause.kind is CauseKind.PERSON
            if isinstance(fact, SuggestionAnswered) and by_person and told.within(step.at):
                yield "+" if fact.answer.accepted else "-", step.standing, 0, fact.answer.rule


def _blockers(told: Told) -> Iterator[tuple[Case, str, bool]]:
    runs = told.runs(lambda case: case.blocker.category.value if case.blocker else None)
    for index, (life, kind, begin, _, _, standing) in enumerate(runs):
        if told.works(life) and told.within(begin):
            yield standing, kind, kind in {earlier[1] for earlier in runs[:index]}


def blockers(told: Told) -> Iterator[Row]:
    for standing, kind, _ in _blockers(told):
        yield "+", standing, 1, kind


def blockers_again(told: Told) -> Iterator[Row]:
    for standing, kind, again in _blockers(told):
        yield "+" if again else "-", standing, 0, kind


def _by_escalation(told: Told) -> list[list[tuple[Step, Change, Any]]]:
    """What was written of each escalation, from its first step on."""
    found: dict[tuple[str, datetime | None], list[tuple[Step, Change, Any]]] = defaultdict(list)
    for step in told.steps:
        for change in step.changes:
            if isinstance(change.fact, Escalated):
                now = change.fact.escalation
                found[now.trigger.value, now.begun_at].append((step, change, now))
    return list(found.values())


def escalations(told: Told) -> Iterator[Row]:
    for written in _by_escalation(told):
        for index, (step, change, now) in enumerate(written):
            is_step = index == 0 or written[index - 1][2].since != now.since
            if is_step and told.within(change.at) and change.cause.rule != "merged":
                yield "+", step.standing, 1, f"level {now.level}"


def escalations_by_trigger(told: Told) -> Iterator[Row]:
    for written in _by_escalation(told):
        step, change, now = written[0]
        if told.within(change.at) and change.cause.rule != "merged":
            yield "+", step.standing, 1, now.trigger.value


def escalation_answer(told: Told) -> Iterator[Row]:
    if told.last.merged_into is not None:
        return
    for written in _by_escalation(told):
        asked: tuple[Step, Change, Any] | None = None
        for index, (step, change, now) in enumerate(written):
            was = written[index - 1][2] if index else None
            if (was is None or was.since != now.since) and (was is None or _is_over(was)):
                if asked is not None:
                    yield from _unanswered(told, asked)
                asked = (step, change, now)
            if asked is not None and _is_over(now):
                if told.within(step.at) and not _error(_life_of(told, asked)):
                    yield "+", asked[0].standing, told.seconds(asked[2].since, step.at), now.trigger.value
                asked = None
        if asked is not None:
            yield from _unanswered(told, asked)


def _unanswered(told: Told, asked: tuple[Step, Change, Any]) -> Iterator[Row]:
    if not _error(_life_of(told, asked)):
        yield "?", asked[0].standing, 0, asked[2].trigger.value


def _life_of(told: Told, asked: tuple[Step, Change, Any]) -> Life:
    number = told._round_of(asked[1], asked[0])
    return next(life for life in told.lives if life.steps[0].round == number)


def _is_over(escalation: Any) -> bool:
    return escalation.acknowledged_at is not None or escalation.resolved_at is not None


def _error(life: Life) -> bool:
    return bool(life.closings) and life.closings[-1][1].reason.value in ("entered-in-error", "duplicate")
