"""
A case's history, told as what can be measured: rounds, stretches of time, and events.

Theory of operation. The changes of one version of the case were decided together, so they take effect together:
a stretch of time (in one status, with one owner, under one blocker, with one due time) ends and the next begins
with a version. A round is one life of the case, from being opened or reopened to being closed; stretches run
only while a round is open. What is told of an event, which lane, priority and owner it belongs to, is what stood
just before its version, because a closing may hand a case back to a queue; at the opening it is what stood after.

Two clocks are kept apart. ``recorded_at`` is when Bridge wrote a change down; it decides to which period an event
belongs, so that every event belongs to exactly one and a period that is over never changes. The other instants
are when things happened as far as anybody says: an attempt may be logged an hour later, a closing read a day later.

Nothing recorded at or after the given instant is told: a story is what was known then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from bridge.cases import changes as facts_of
from bridge.cases.changes import CauseKind, Change
from bridge.cases.loops import is_document
from bridge.cases.measures.rounds import (
    Answered,
    Blocked,
    Closing,
    Raised,
    Response,
    Round,
    Standing,
    Story,
    Stretch,
    Tried,
    Visit,
    Word,
)
from bridge.cases.model import Closure, Escalation, NextAction, Owner
from bridge.cases.terms import BlockerCategory, OwnerKind, Status, Trigger

NAMED_IN_EHR = "named-in-ehr"
_OWNER_TYPES = ("Practitioner/", "PractitionerRole/", "Organization/", "CareTeam/", "HealthcareService/")


def story_of(history: Iterable[Change], until: datetime, words: Iterable[Word] = ()) -> Story | None:
    """
    Return what a history tells as of *until*, or ``None`` where it had not begun.

    Args:
        words: What the requester was told, which is in the outbox and not in the history.
    """
    return next(stories_of(history, [(datetime.min.replace(tzinfo=UTC), until)], words))


def stories_of(
    history: Iterable[Change], spans: Iterable[tuple[datetime, datetime]], words: Iterable[Word] = ()
) -> Iterator[Story | None]:
    """
    Yield what a history tells as of the end of each of these spans, which follow each other, in one pass.

    ``None`` where it had not begun, or where the case was closed and nothing was recorded since the span began. Look at
    each story before asking for the next: what they have in common is shared.
    """
    words = list(words)
    versions = [list(together) for _, together in groupby(history, key=lambda change: change.version)]
    teller, number = _Teller(versions[0][0].case_id if versions else ""), 0
    for since, until in spans:
        while number < len(versions) and versions[number][0].at < until:
            teller.tell(versions[number][0].version, versions[number])
            number += 1
        idle = number == 0 or (not teller.is_open and versions[number - 1][-1].at < since)
        yield None if idle else teller.as_of(until, [word for word in words if word.at < until])


_TRACKS = ("statuses", "owners", "blockers", "dues", "steps")


class _Teller:
    def __init__(self, case_id: str) -> None:
        self._case_id = case_id
        self._rounds: list[Round] = []
        self._before = self._after = Standing("", "", "")
        self._status = self._stage = Status.NEW
        self._blocker: BlockerCategory | None = None
        self._due_at: datetime | None = None
        self._step: NextAction | None = None
        self._escalations: dict[tuple[Trigger, datetime | None], Escalation] = {}
        self._merged = False
        self._running: dict[str, tuple[Any, datetime]] = {}
        self._blockers_ended: set[BlockerCategory] = set()
        self._waited = self._was_open = False

    def tell(self, version: int, changes: Sequence[Change]) -> None:
        """Let the changes of one version take effect."""
        self._before, self._waited = self._after, self._stage is Status.WAITING_ON_PATIENT
        if not self._rounds:
            self._before = _stood_after(changes)
        self._was_open = bool(self._rounds) and self._rounds[-1].is_open
        for change in changes:
            tell = _TELL.get(type(change.fact))
            if tell is not None:
                tell(self, change.fact, change)
            if change.cause.kind is CauseKind.PERSON:
                self._acted(change)
        self._move_on(version, changes[-1].at)

    @property
    def is_open(self) -> bool:
        """Whether somebody still has to do something by what was told so far."""
        return bool(self._rounds) and self._rounds[-1].is_open

    def as_of(self, until: datetime, words: Sequence[Word]) -> Story:
        """Return the story so far, with what is running cut off there; it may go on."""
        last = self._rounds[-1]
        cut: dict[str, Any] = {
            track: [*getattr(last, track), Stretch(value, began_at, max(began_at, until), self._after)]
            for track, (value, began_at) in self._running.items()
        }
        rounds = [*self._rounds[:-1], replace(last, **cut)] if cut else self._rounds
        return Story(self._case_id, rounds, self._after, self._merged, words)

    # Rounds -------------------------------------------------------------------------------------------------
    def opened(self, fact: facts_of.CaseOpened, change: Change) -> None:
        case = fact.case
        self._after = Standing(case.lane, case.priority.value, owner_label(case.owner))
        self._status, self._stage = case.status, case.stage
        self._step, self._due_at = case.next_action, case.due_at
        self._blocker = case.blocker.category if case.blocker is not None else None
        self._rounds.append(Round(case.opened_at, change.version))
        if case.closure is not None:
            self._close(case.closure, change)

    def reopened(self, _: facts_of.CaseReopened, change: Change) -> None:
        for track in list(self._running):
            self._end(track, change.at, self._before)
        self._rounds.append(Round(change.at, change.version))

    def closed(self, fact: facts_of.CaseClosed, change: Change) -> None:
        self._close(fact.closure, change)

    def _close(self, closure: Closure, change: Change) -> None:
        """A closing while the case is closed replaces the one before, unless it only repeats it."""
        current = self._rounds[-1]
        was = current.closing
        reported_at = change.at if any(map(is_document, closure.evidence)) else None
        if was is not None and was.reason is closure.reason:
            current.closing = was._replace(reported_at=reported_at and (was.reported_at or reported_at))
            return
        standing = self._before if was is None else was.standing
        current.closing = Closing(closure.reason, closure.at, change.at, standing, change.version, reported_at)
        current.unseen = current.unseen or (was is None and current.opened_in == change.version)

    def merged(self, fact: facts_of.CaseMerged, _: Change) -> None:
        self._merged = fact.into is not None

    # What stands --------------------------------------------------------------------------------------------
    def status(self, fact: facts_of.StatusChanged, _: Change) -> None:
        self._status, self._stage = fact.status, fact.beneath or fact.status

    def lane(self, fact: facts_of.LaneChanged, _: Change) -> None:
        self._after = self._after._replace(lane=fact.lane)

    def known_better(self, fact: facts_of.FactsChanged, _: Change) -> None:
        self._after = self._after._replace(priority=fact.priority.value)
        self._rounds[0].begun_at = fact.opened_at

    def owner(self, fact: facts_of.OwnerAssigned, _: Change) -> None:
        self._after = self._after._replace(owner=owner_label(fact.owner))

    def next(self, fact: facts_of.NextActionSet, _: Change) -> None:
        self._step, self._due_at = fact.next_action, fact.due_at

    def blocker_raised(self, fact: facts_of.BlockerRaised, _: Change) -> None:
        self._blocker = fact.blocker.category

    def suggestion_answered(self, fact: facts_of.SuggestionAnswered, change: Change) -> None:
        """An answer that came along when another case was merged into this one was given there."""
        if change.cause.kind is CauseKind.PERSON:
            said = Answered(fact.answer.rule, fact.answer.accepted, change.at, self._before)
            self._rounds[-1].answers.append(said)

    def blocker_cleared(self, _: facts_of.BlockerCleared, __: Change) -> None:
        self._blocker = None

    def _move_on(self, version: int, at: datetime) -> None:
        current = self._rounds[-1]
        is_open = current.closing is None
        blocker = self._blocker if is_open else None
        if blocker is not None and self._running.get("blockers", (None,))[0] is not blocker:
            again = blocker in self._blockers_ended
            current.blocked.append(Blocked(blocker, at, self._before, again))
        values = (self._status, self._after.owner, blocker, self._due_at, self._step)
        for track, value in zip(_TRACKS, values, strict=True):
            self._turn(track, value if is_open else None, at)
        if current.opened_in == version:
            current.first_due_at = self._due_at if is_open else None

    def _turn(self, track: str, value: Any, at: datetime) -> None:
        if track in self._running:
            if self._running[track][0] == value:
                return
            self._end(track, at, self._before)
        if value is not None:
            self._running[track] = (value, at)

    def _end(self, track: str, at: datetime, standing: Standing) -> None:
        value, began_at = self._running.pop(track)
        if track == "blockers":
            self._blockers_ended.add(value)
        getattr(self._rounds[-1], track).append(Stretch(value, began_at, max(began_at, at), standing))

    # What people did ----------------------------------------------------------------------------------------
    def attempt(self, fact: facts_of.OutreachLogged, change: Change) -> None:
        tried = Tried(fact.attempt, change.at, self._before, _is_copy(change))
        self._rounds[-1].attempts.append(tried)
        self._respond(fact.attempt.at, change)

    def _acted(self, change: Change) -> None:
        """Whatever a person does is a response, but reopening a case is none to its being open again."""
        if self._rounds[-1].opened_in != change.version:
            self._respond(change.at, change)

    def _respond(self, at: datetime, change: Change) -> None:
        """What is done after the end of a round is no response to it."""
        current = self._rounds[-1]
        if current.opened_in != change.version and not self._was_open:
            return
        if current.response is None:
            current.response = Response(at, change.at, self._before)
        elif at < current.response.at:
            current.response = current.response._replace(at=at)

    def visit(self, fact: facts_of.VisitHappened, change: Change) -> None:
        seen = Visit(
            fact.event, fact.ref, fact.at, change.at, self._before, change.seq, change.version, replied=self._waited
        )
        self._rounds[-1].visits.append(seen)

    def escalated(self, fact: facts_of.Escalated, change: Change) -> None:
        now = fact.escalation
        key = (now.trigger, now.begun_at)
        was = self._escalations.get(key)
        if was is None or now.since != was.since:
            asks = was is None or _is_answered(was)
            found = Raised(*key, now.level, now.since, change.at, self._before, _is_copy(change), asks)
            self._rounds[-1].raised.append(found)
        if _is_answered(now):
            self._answered(key, change.at)
        self._escalations[key] = now

    def _answered(self, key: tuple[Trigger, datetime | None], at: datetime) -> None:
        """Answer the last question that this escalation asked, in whichever round that was."""
        for each in reversed(self._rounds):
            for index, raised in reversed(list(enumerate(each.raised))):
                if raised.asks and (raised.trigger, raised.begun_at) == key:
                    each.raised[index] = raised._replace(answered_at=raised.answered_at or at)
                    return


_TELL: dict[type, Callable[[_Teller, Any, Change], None]] = {
    facts_of.CaseOpened: _Teller.opened,
    facts_of.CaseReopened: _Teller.reopened,
    facts_of.CaseClosed: _Teller.closed,
    facts_of.CaseMerged: _Teller.merged,
    facts_of.StatusChanged: _Teller.status,
    facts_of.LaneChanged: _Teller.lane,
    facts_of.FactsChanged: _Teller.known_better,
    facts_of.OwnerAssigned: _Teller.owner,
    facts_of.NextActionSet: _Teller.next,
    facts_of.BlockerRaised: _Teller.blocker_raised,
    facts_of.BlockerCleared: _Teller.blocker_cleared,
    facts_of.SuggestionAnswered: _Teller.suggestion_answered,
    facts_of.OutreachLogged: _Teller.attempt,
    facts_of.VisitHappened: _Teller.visit,
    facts_of.Escalated: _Teller.escalated,
}


def _stood_after(opening: Iterable[Change]) -> Standing:
    """Return how the case stood after its first version, which may take over what people did on another case."""
    lane, priority, owner = "", "", ""
    for change in opening:
        match change.fact:
            case facts_of.CaseOpened(case=case):
                lane, priority, owner = case.lane, case.priority.value, owner_label(case.owner)
            case facts_of.LaneChanged(lane=name):
                lane = name
            case facts_of.FactsChanged(priority=stated):
                priority = stated.value
            case facts_of.OwnerAssigned(owner=assigned):
                owner = owner_label(assigned)
    return Standing(lane, priority, owner)


def owner_label(owner: Owner) -> str:
    """Return how an owner is told in a measure: never by words of the EHR, which might name a patient."""
    if owner.kind is OwnerKind.EHR and not owner.id.startswith(_OWNER_TYPES):
        return NAMED_IN_EHR
    return owner.id


def _is_answered(escalation: Escalation) -> bool:
    return escalation.acknowledged_at is not None or escalation.resolved_at is not None


def _is_copy(change: Change) -> bool:
    """Whether a change only hands over what happened on a case that was merged into this one (``merging``)."""
    return change.cause.rule == "merged"
