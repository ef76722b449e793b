"""
What a person's command does: facts about the case, decided against what the EHR says at that moment.

A command becomes facts here; then the case is derived again like after a received page, so that status, next
action and due date follow by the same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec.structs import replace

from bridge.cases import changes as facts_of
from bridge.cases import commands as do
from bridge.cases.book import Book, Known, Outcome
from bridge.cases.calendar import plausible
from bridge.cases.changes import Cause, CauseKind, Fact
from bridge.cases.clinical import check_may_answer
from bridge.cases.consent import check_consent
from bridge.cases.derive import Standing, standing
from bridge.cases.escalating import ASKS_ANEW, unanswered
from bridge.cases.facts import Facts, gather
from bridge.cases.model import (
    Answer,
    Attempt,
    Blocker,
    BlockerOverride,
    Case,
    CaseNote,
    Closure,
    ClosureOverride,
    Escalation,
    NextAction,
    NextActionOverride,
    OwnerOverride,
)
from bridge.cases.outreach import check_channel, disturbs
from bridge.cases.patients import CONTACTS_PATIENT
from bridge.cases.proof import check_evidence, check_proof
from bridge.cases.reconcile import rederive
from bridge.cases.rules import Rules
from bridge.cases.suggesting import Suggestion, offered
from bridge.cases.terms import ACTION_TEXT, CLINICAL, OwnerKind
from bridge.errors import CommandRefused

MOST_EVIDENCE = 20
"""How many pieces of evidence a closing may name: each becomes an output of our Task (rule ours)."""

_ALSO_WHEN_CLOSED = (do.Reopen, do.Note, do.LogOutreach)


def act(
    case: Case,
    command: do.AnyCommand,
    by: str,
    known: Known,
    rules: Rules,
    now: datetime,
    new_id: str,
    elsewhere: Sequence[Attempt] = (),
) -> Outcome:
    """
    Carry out *command* on *case* and return what it changes.

    Args:
        known: The case's group: every source of its root, the case itself and its last history entry.
        new_id: An unused id, for an outreach attempt.
        elsewhere: Attempts to reach the patient that were made on other cases of theirs.

    Raises:
        CommandRefused: The command does not fit the case as it is; the message says what would.
    """
    if case.merged_into is not None:
        raise CommandRefused(f"This case was merged into {case.merged_into}; act on that one.")
    if not case.is_open and not isinstance(command, _ALSO_WHEN_CLOSED):
        raise CommandRefused("This case is closed; reopen it first.")
    _check_times(command)
    rows = [row for row in known.sources.values() if row.root == case.root]
    facts = gather(case.root, rows, rules, case.lane, known.people)
    if facts is None:
        raise CommandRefused(f"The lane {case.lane} is switched off; switch it on in the lanes file first.")
    decision = _Decision(case, facts, standing(facts, rules, now), by, rules, now, new_id, elsewhere)
    book = Book(known, rules, now)
    cause = Cause(CauseKind.PERSON, by)
    for fact in _DO[type(command)](decision, command):
        book.write(case.root, cause, fact)
    return rederive(case.root, rows, cause, book)


def _check_times(command: do.AnyCommand) -> None:
    for name in command.__struct_fields__:
        at = getattr(command, name)
        if isinstance(at, datetime) and plausible(at) is None:
            raise CommandRefused(f"{name} must lie between the years 1900 and 9000.")


class _Decision:
    """A command's surroundings: the case, what the EHR says about it, who decides and when."""

    def __init__(
        self,
        case: Case,
        facts: Facts,
        said: Standing,
        by: str,
        rules: Rules,
        now: datetime,
        new_id: str,
        elsewhere: Sequence[Attempt],
    ) -> None:
        self.case, self.facts, self.said, self.by = case, facts, said, by
        self.rules, self.now, self.new_id, self.elsewhere = rules, now, new_id, elsewhere

    def local(self, **decided: object) -> Fact:
        """Return the fact that some of the standing decisions are now these."""
        return facts_of.LocalDecided(replace(self.case.local, **decided))


def _assign(on: _Decision, command: do.Assign) -> list[Fact]:
    if command.owner not in on.rules.owners.names():
        known = ", ".join(on.rules.owners.names())
        raise CommandRefused(f"There is no owner called {command.owner!r}; the configuration knows {known}.")
    owner = on.rules.owners.owner(command.owner)
    return [on.local(owner=OwnerOverride(over=on.said.owner.id, by=on.by, at=on.now, owner=owner))]


def _claim(on: _Decision, command: do.Claim) -> list[Fact]:
    owner, owners = on.case.owner, on.rules.owners
    if owner.id == on.by:
        raise CommandRefused("You have this case already.")
    if owner.kind is not OwnerKind.ROLE:
        raise CommandRefused(f"{owner.display} has this case.")
    if on.by not in owners.names():
        raise CommandRefused(f"There is no owner called {on.by!r}; add a section [owners.{on.by}] of kind person.")
    if not owners.works(on.by, owner.id):
        raise CommandRefused(f"{on.by} does not take cases from {owner.display}.")
    return [on.local(owner=OwnerOverride(over=on.said.owner.id, by=on.by, at=on.now, owner=owners.owner(on.by)))]


def _log_outreach(on: _Decision, command: do.LogOutreach) -> list[Fact]:
    at = command.at or on.now
    if at > on.now:
        raise CommandRefused("An attempt cannot lie in the future; log it once it was made.")
    check_channel(command.channel, on.facts.lane)
    earlier = (*on.case.outreach, *on.elsewhere)
    check_consent(command.channel, command.refuses, command.agrees, earlier, at)
    _check_lives(on.facts, at, "no attempt to reach them is logged; write a note instead")
    if command.concerns and not on.case.is_open:
        raise CommandRefused("What came up needs an answer, and this case is closed; reopen it first.")
    if command.promised_for is not None and command.promised_for < at:
        raise CommandRefused("promised_for lies before the attempt in which it was promised.")
    attempt = Attempt(
        id=on.new_id,
        at=at,
        channel=command.channel,
        outcome=command.outcome,
        by=on.by,
        understood=command.understood,
        barrier=command.barrier,
        next_action=command.next_action,
        promised_by=command.promised_by,
        promised_for=command.promised_for,
        concerns=command.concerns,
        refuses=command.refuses,
        agrees=command.agrees,
        in_quiet_hours=disturbs(command.channel, at, on.facts.lane, on.rules.calendar),
    )
    return [facts_of.OutreachLogged(attempt)]


def _check_lives(facts: Facts, at: datetime, instead: str) -> None:
    """Refuse what turns to a patient who had died by then; the EHR's record says so, and is where to correct it."""
    person = facts.person
    if person is not None and person.deceased and (person.deceased_at is None or at >= person.deceased_at):
        raise CommandRefused(f"By {person.ref} in the EHR the patient has died: {instead}.")


def _raise_blocker(on: _Decision, command: do.RaiseBlocker) -> list[Fact]:
    lane = on.facts.lane
    if command.category not in lane.blockers:
        allowed = ", ".join(lane.blockers)
        raise CommandRefused(
            f"A case of lane {lane.name} is not held up by {command.category}; it may be by {allowed}."
        )
    blocker = Blocker(command.category, _needed(command.text, "text"), on.now, f"person:{on.by}", command.barrier)
    return [on.local(blocker=BlockerOverride(over=on.said.blocker, by=on.by, at=on.now, blocker=blocker))]


def _clear_blocker(on: _Decision, command: do.ClearBlocker) -> list[Fact]:
    if on.case.blocker is None:
        raise CommandRefused("Nothing holds this case up.")
    stated = on.said.blocker
    cleared = BlockerOverride(over=stated, by=on.by, at=on.now, blocker=None) if stated else None
    return [on.local(blocker=cleared)]


def _accept(on: _Decision, command: do.AcceptSuggestion) -> list[Fact]:
    found = _suggestion(on, command.key)
    blocker = Blocker(found.category, f"“{found.quote}”", on.now, f"person:{on.by}", found.barrier)
    decided = BlockerOverride(over=on.said.blocker, by=on.by, at=on.now, blocker=blocker)
    return [facts_of.SuggestionAnswered(Answer(found.key, found.rule, accepted=True)), on.local(blocker=decided)]


def _dismiss(on: _Decision, command: do.DismissSuggestion) -> list[Fact]:
    found = _suggestion(on, command.key)
    return [facts_of.SuggestionAnswered(Answer(found.key, found.rule, accepted=False))]


def _suggestion(on: _Decision, key: str) -> Suggestion:
    said = (row.snapshot for row in on.facts.rows)
    found = {one.key: one for one in offered(on.case, said, on.facts.lane.blockers)}
    if key not in found:
        raise CommandRefused("Nothing that was written on this case suggests that any longer.")
    return found[key]


def _set_next_action(on: _Decision, command: do.SetNextAction) -> list[Fact]:
    if command.due_at is not None and command.due_at < on.case.opened_at:
        raise CommandRefused("due_at lies before the case began.")
    if command.code in CONTACTS_PATIENT:
        _check_lives(on.facts, on.now, f"{command.code.value} cannot be next; review the case and close it")
    action = NextAction(command.code, command.text or ACTION_TEXT[command.code])
    decided = NextActionOverride(over=on.said.work, by=on.by, at=on.now, next_action=action, due_at=command.due_at)
    return [on.local(next_action=decided, snoozed_until=None, snooze_reason=None, snoozed_over=None)]


def _snooze(on: _Decision, command: do.Snooze) -> list[Fact]:
    if command.until <= on.now:
        raise CommandRefused("A case can only be put off to a time that is still to come.")
    reason = _needed(command.reason, "reason")
    return [on.local(snoozed_until=command.until, snooze_reason=reason, snoozed_over=on.said.work)]


def _escalate(on: _Decision, command: do.Escalate) -> list[Fact]:
    standing = on.case.escalation
    level = standing.level + 1 if standing is not None else 1
    name = command.to or _next_rung(on, standing, level)
    if name not in on.rules.owners.names():
        raise CommandRefused(f"There is no owner called {name!r} to escalate to.")
    if name == on.case.owner.id:
        raise CommandRefused(f"{name} has this case already; name somebody else to step in.")
    if standing is not None and standing.trigger in CLINICAL and not on.rules.owners.is_licensed(name):
        raise CommandRefused(f"{name} is not licensed staff, and this is a clinical question.")
    to = on.rules.owners.owner(name)
    why = _needed(command.why, "why")
    if standing is None or standing.trigger not in ASKS_ANEW:
        # What a rule asked for resolves itself once that is over; what a person asks for does not.
        escalation = Escalation(level=level, to=to, why=why, since=on.now, by=on.by, begun_at=on.now)
    else:
        escalation = replace(
            standing, level=level, to=to, why=why, since=on.now, by=on.by, acknowledged_by=None, acknowledged_at=None
        )
    return [facts_of.Escalated(escalation)]


def _next_rung(on: _Decision, standing: Escalation | None, level: int) -> str:
    """Return whom the lane names next: not who has the case, and for a clinical question licensed staff alone."""
    ladder = [name for name in on.facts.lane.escalates_to if name != on.case.owner.id]
    if standing is not None and standing.trigger in CLINICAL:
        ladder = [name for name in ladder if on.rules.owners.is_licensed(name)]
    if not ladder:
        raise CommandRefused("The lane names nobody else to step in; say who should.")
    return ladder[min(level, len(ladder)) - 1]


def _acknowledge(on: _Decision, command: do.AcknowledgeEscalation) -> list[Fact]:
    escalation = on.case.escalation
    if escalation is None:
        raise CommandRefused("This case is not escalated.")
    if escalation.trigger in CLINICAL:
        check_may_answer(on.by, on.rules.owners)
    if escalation.acknowledged_by is not None and not command.resolved:
        raise CommandRefused(
            f"{escalation.acknowledged_by} has acknowledged this already; resolve it, or write a note."
        )
    seen = replace(
        escalation,
        acknowledged_by=escalation.acknowledged_by or on.by,
        acknowledged_at=escalation.acknowledged_at or on.now,
    )
    if command.resolved:
        seen = replace(seen, resolved_by=on.by, resolved_at=on.now)
    return [facts_of.Escalated(seen)]


def _note(on: _Decision, command: do.Note) -> list[Fact]:
    return [facts_of.NoteAdded(CaseNote(on.now, on.by, _needed(command.text, "text")))]


def _close(on: _Decision, command: do.Close) -> list[Fact]:
    lane, reason, outcome = on.facts.lane, command.reason, command.outcome.strip()
    if unanswered(on.case) and not on.facts.has_died:
        raise CommandRefused("A clinical question is open; somebody licensed has to acknowledge it before the end.")
    evidence = tuple(filter(None, map(str.strip, command.evidence)))
    if reason not in lane.closes_with:
        allowed = ", ".join(lane.closes_with)
        raise CommandRefused(f"A case of lane {lane.name} is not closed as {reason}; it may be {allowed}.")
    if len(evidence) > MOST_EVIDENCE:
        raise CommandRefused(f"Name at most {MOST_EVIDENCE} pieces of evidence; there are {len(evidence)}.")
    for named in evidence:
        check_evidence(named, on.facts)
    check_proof(lane, reason, outcome, evidence, on.case, on.facts)
    closure = Closure(reason=reason, outcome=outcome or reason.value, evidence=evidence, by=on.by, at=on.now)
    decided = ClosureOverride(over=on.said.work, by=on.by, at=on.now, closure=closure)
    return [on.local(closure=decided)]


def _reopen(on: _Decision, command: do.Reopen) -> list[Fact]:
    if on.case.is_open:
        raise CommandRefused("This case is open.")
    stated = on.said.closure
    decided = ClosureOverride(over=stated, by=on.by, at=on.now, closure=None) if stated else None
    remark = CaseNote(on.now, on.by, f"Reopened: {_needed(command.why, 'why')}")
    return [on.local(closure=decided, reopened_at=on.now), facts_of.NoteAdded(remark)]


def _needed(text: str, name: str) -> str:
    if not any(sign.isprintable() and not sign.isspace() for sign in text):
        raise CommandRefused(f"{name} must not be empty.")
    return text.strip()


_DO: dict[type, Callable[..., list[Fact]]] = {
    do.Assign: _assign,
    do.Claim: _claim,
    do.LogOutreach: _log_outreach,
    do.RaiseBlocker: _raise_blocker,
    do.ClearBlocker: _clear_blocker,
    do.AcceptSuggestion: _accept,
    do.DismissSuggestion: _dismiss,
    do.SetNextAction: _set_next_action,
    do.Snooze: _snooze,
    do.Escalate: _escalate,
    do.AcknowledgeEscalation: _acknowledge,
    do.Note: _note,
    do.Close: _close,
    do.Reopen: _reopen,
}
