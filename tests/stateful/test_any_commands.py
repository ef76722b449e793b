"""
Any sequence of commands, in each of the eleven lanes: the case's rules hold after every one of them, or it is refused
with a reason and nothing has changed.

In between the EHR moves or ends the work, people are away, the patient dies, and time passes with or without anybody
looking. What proves a closing is read from the lanes file a second time, in its own words.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from importlib.resources import files
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.cases import commands as do
from bridge.cases.changes import Change, fold
from bridge.cases.commands import AnyCommand
from bridge.cases.model import Case
from bridge.cases.snapshot import Effect
from bridge.cases.suggesting import offered
from bridge.cases.terms import (
    CLINICAL,
    Action,
    AttemptOutcome,
    Barrier,
    BlockerCategory,
    Channel,
    ClosureReason,
    Concern,
    OwnerKind,
    Status,
)
from bridge.config import Settings
from bridge.errors import CommandRefused
from bridge.store.memory import MemoryStore
from bridge.store.queries import CaseFilter
from bridge.sync.claiming import claim_next
from bridge.sync.command import execute
from bridge.sync.ingest import Intake, ingest
from bridge.sync.people import read_wanted
from bridge.sync.sweep import sweep
from bridge.sync.timers import tick
from bridge.wiring import make_line, read_lanes
from tests.stateful.small_ehr import SmallEhr
from tests.stateful.world import BASE, NOW

TODAY = NOW.date()


def away(first: int, last: int) -> list[dict[str, date]]:
    return [{"first": TODAY + timedelta(days=first), "last": TODAY + timedelta(days=last)}]


SETTINGS = Settings.model_validate(
    {
        "site": {"time_zone": "America/New_York"},
        "connections": {"main": {"base_url": BASE}},
        "owners": {
            "ann": {"kind": "person", "display": "Ann", "backup": "ben", "away": away(2, 9)},
            "ben": {"kind": "person", "display": "Ben", "roles": ["scheduler", "supervisor"]},
            "cleo": {"kind": "person", "display": "Cleo, RN", "licensed": True, "backup": "ann", "away": away(1, 3)},
            "clinician": {"kind": "role", "display": "Clinic", "licensed": True, "backup": "ben", "away": away(3, 20)},
        },
    }
)
LINE = make_line("main", SETTINGS.connections["main"], SETTINGS, read_lanes(SETTINGS))
OWNERS = LINE.rules.owners
STAFF = ("ann", "ben", "cleo", "coordinator")
NAMES = ("ann", "cleo", "scheduler", "supervisor", "clinician", "referral-coordinator", "nobody")
SHIPPED: Mapping[str, Any] = tomllib.loads((files("bridge.cases") / "lanes.toml").read_text())

PATIENT = {"reference": "Patient/a"}
TASK = {"resourceType": "Task", "id": "1", "intent": "order", "status": "requested", "for": PATIENT}
ORDER = {"resourceType": "ServiceRequest", "id": "1", "intent": "order", "status": "active", "subject": PATIENT}
VISIT = {
    "resourceType": "Appointment",
    "id": "1",
    "start": "2026-06-04T14:00:00Z",
    "participant": [{"actor": PATIENT, "status": "accepted"}],
}
SUPPLY = {"dispenseRequest": {"validityPeriod": {"end": "2026-06-03"}}}
BEGINS: dict[str, dict[str, Any]] = {
    "prior-authorization": {**TASK, "code": {"text": "Prior authorization"}},
    "missed-appointment": {**VISIT, "status": "noshow"},
    "appointment-readiness": {**VISIT, "status": "booked"},
    "medication-refill": {**ORDER, "resourceType": "MedicationRequest", **SUPPLY},
    "missed-call": {**TASK, "code": {"text": "Missed call"}},
    "results-follow-up": {**TASK, "code": {"text": "Abnormal result"}},
    "discharge": {**TASK, "code": {"text": "Discharge follow-up"}, "priority": "urgent"},
    "post-visit": {**TASK, "code": {"text": "Post-visit call"}},
    "care-gap": {**TASK, "code": {"text": "Care gap"}},
    "monitoring": {**TASK, "code": {"text": "Remote monitoring"}, "priority": "stat"},
    "referral": ORDER,
}
"""What opens a case of each lane."""
STATUSES = {
    "Task": ("requested", "in-progress", "on-hold", "completed", "cancelled", "failed", "rejected"),
    "ServiceRequest": ("active", "on-hold", "completed", "revoked"),
    "MedicationRequest": ("active", "on-hold", "completed", "stopped"),
    "Appointment": ("booked", "arrived", "fulfilled", "noshow", "cancelled"),
}

words = st.sampled_from(("why", "no car", " ", "later"))
times = st.sampled_from((None, *(NOW + timedelta(hours=hours) for hours in (-30, 2, 60, 400))))
DRAWN: Mapping[type[AnyCommand], st.SearchStrategy[AnyCommand]] = {
    do.Assign: st.builds(do.Assign, owner=st.sampled_from(NAMES)),
    do.Claim: st.just(do.Claim()),
    do.LogOutreach: st.builds(
        do.LogOutreach,
        channel=st.sampled_from(Channel),
        outcome=st.sampled_from((*AttemptOutcome, AttemptOutcome.NO_ANSWER, AttemptOutcome.REACHED)),
        at=times,
        understood=st.sampled_from((None, "when to come")),
        barrier=st.sampled_from((None, Barrier.COST)),
        promised_by=st.sampled_from((None, "patient")),
        promised_for=times,
        concerns=st.sampled_from(((), (), tuple(Concern), *((one,) for one in Concern))),
    ),
    do.RaiseBlocker: st.builds(do.RaiseBlocker, category=st.sampled_from(BlockerCategory), text=words),
    do.ClearBlocker: st.just(do.ClearBlocker()),
    do.AcceptSuggestion: st.builds(do.AcceptSuggestion, key=st.sampled_from(("offered", "none"))),
    do.DismissSuggestion: st.builds(do.DismissSuggestion, key=st.sampled_from(("offered", "none"))),
    do.SetNextAction: st.builds(do.SetNextAction, code=st.sampled_from(Action), due_at=times),
    do.Snooze: st.builds(do.Snooze, until=times.filter(bool), reason=words),
    do.Escalate: st.builds(do.Escalate, why=words, to=st.sampled_from((None, *NAMES))),
    do.AcknowledgeEscalation: st.builds(do.AcknowledgeEscalation, resolved=st.booleans()),
    do.Note: st.builds(do.Note, text=words | st.sampled_from(("Has no ride.", "Needs an interpreter."))),
    do.Close: st.builds(
        do.Close,
        reason=st.sampled_from(ClosureReason),
        outcome=st.sampled_from(("", "seen")),
        evidence=st.sampled_from(((), ("DocumentReference/1",), ("Task/99",))),
    ),
    do.Reopen: st.builds(do.Reopen, why=words),
}
"""How each command is drawn."""


class Desk:
    """One case of a lane, and everybody who may do something to it."""

    def __init__(self, lane: str) -> None:
        self.now, self.lane, self.acts = NOW, SHIPPED["lanes"][lane], 0
        self.ehr, self.store = SmallEhr(), MemoryStore()
        self.ehr.admit({"resourceType": "Patient", "id": "a"})
        self.told = dict(BEGINS[lane])
        self.tell(self.told["status"])
        read_wanted(self.ehr.client(self.now), self.store, LINE, lambda: self.now)
        assert self.case.lane == lane

    # What happens -----------------------------------------------------------------------------------------

    def tell(self, status: str) -> None:
        self.told["status"] = status
        version = self.ehr.write(dict(self.told))
        ingest(Intake("Any", [version], "poll"), self.store, LINE, self.now)

    def die(self) -> None:
        self.ehr.admit({"resourceType": "Patient", "id": "a", "deceasedBoolean": True})
        sweep(self.ehr.client(self.now), self.store, LINE, lambda: self.now)

    def wait(self, minutes: int, *, looked_at: bool) -> None:
        self.now += timedelta(minutes=minutes)
        if looked_at:
            tick(self.store, LINE, self.now)

    def reassign(self, owner: str, by: str) -> None:
        """As the page for many cases does: each for itself."""
        for case in self.cases():
            self.do(do.Assign(owner=owner), by, case)

    def take_the_next(self, role: str, by: str) -> None:
        before, taken = self.everything(), None
        if OWNERS.works(by, role) and role in OWNERS.names():
            taken = claim_next(self.store, {"main": LINE}, role, by=by, now=self.now, new_id="claim")
        else:
            with pytest.raises(CommandRefused, match=f"{by} does not take cases from {role}"):
                claim_next(self.store, {"main": LINE}, role, by=by, now=self.now, new_id="claim")
        if taken is None:
            assert self.everything() == before
        else:
            assert taken.owner.id == by

    def do(self, command: AnyCommand, by: str, case: Case | None = None) -> bool:
        """Carry a command out, or see that it is refused with a reason and changes nothing."""
        before, was = self.everything(), case or self.case
        if isinstance(command, do.AcceptSuggestion | do.DismissSuggestion) and command.key == "offered":
            found = offered(was, (), LINE.rules.lanes[was.lane].blockers)
            command = msgspec.structs.replace(command, key=found[0].key if found else "none")
        self.acts += 1
        try:
            after = execute(
                self.store,
                {"main": LINE},
                was.id,
                command,
                by=by,
                expected_version=was.version,
                now=self.now,
                new_id=f"act-{self.acts}",
            )
        except CommandRefused as refused:
            after, why = None, str(refused)
        if after is None:
            assert len(why.split()) >= 3
            assert why.endswith(".")
            assert self.everything() == before
            return False
        assert after == self.case
        assert after.version > was.version
        assert _CAME_ABOUT[type(command)](self, command, by, after), command
        return True

    # What there is ----------------------------------------------------------------------------------------

    def cases(self) -> list[Case]:
        with self.store.reading() as tx:
            return list(tx.list_cases(CaseFilter(merged=True), limit=10).cases)

    @property
    def case(self) -> Case:
        (case,) = self.cases()
        return case

    def history(self) -> list[Change]:
        with self.store.reading() as tx:
            return tx.history(self.case.id)

    def everything(self) -> tuple[object, ...]:
        with self.store.reading() as tx:
            page = tx.outbox(limit=1000)
            return self.cases(), self.history(), page, tx.sources("main", [f"{kind}/1" for kind in STATUSES])

    # What must hold ---------------------------------------------------------------------------------------

    def holds(self) -> None:
        case, folded = self.case, None
        assert case.is_open == (case.closure is None) == (case.closed_at is None)
        assert case.is_open == (case.next_action is not None) == (case.due_at is not None)
        assert case.owner.id in OWNERS.names()
        assert case.backup is not None
        assert case.backup.id != case.owner.id
        assert case.is_open or (case.blocker is None and not any(one.is_open for one in case.escalations))
        assert (case.status is Status.ESCALATED) == (case.escalation is not None and case.is_open)
        assert case.closure is None or (case.closure.outcome and case.closure.by)
        for one in case.escalations:
            if one.trigger in CLINICAL:
                assert OWNERS.is_licensed(one.to.id)
                assert one.acknowledged_by is None or OWNERS.is_licensed(one.acknowledged_by)
                seen = one.acknowledged_by or (case.patient is not None and case.patient.deceased)
                assert one.is_open or OWNERS.is_licensed(one.resolved_by or "") or seen
        for change in self.history():
            folded = fold(folded, change)
        assert folded == case

    def is_proven(self, command: do.Close, case: Case) -> bool:
        """Whether there is what the lanes file asks for."""
        asks = self.lane.get("evidence", SHIPPED["defaults"]["evidence"]).get(command.reason.value)
        tries = {**SHIPPED["defaults"]["outreach"], **self.lane.get("outreach", {})}["attempts"]
        reached = [one for one in case.outreach if one.outcome is AttemptOutcome.REACHED]
        answered = AttemptOutcome.REACHED, AttemptOutcome.DECLINED
        found = {
            "outcome": bool(command.outcome),
            "visit": any(line.effect is Effect.ATTENDED for line in case.sources),
            "report": "DocumentReference/1" in command.evidence,
            "attempts": sum(one.outcome not in answered for one in case.outreach) >= tries,
            "contact": any(one.understood for one in reached),
        }
        return asks is None or any(found[one] for one in asks)


def _acknowledged(desk: Desk, command: do.AcknowledgeEscalation, by: str, case: Case) -> bool:
    changed = [one for one in case.escalations if by in (one.acknowledged_by, one.resolved_by)]
    return bool(changed) and (not command.resolved or any(one.resolved_by == by for one in changed))


def _attempted(desk: Desk, command: do.LogOutreach, by: str, case: Case) -> bool:
    allowed = {**SHIPPED["defaults"]["outreach"], **desk.lane.get("outreach", {})}["channels"]
    (made,) = [one for one in case.outreach if one.id == f"act-{desk.acts}"]
    asked = {one.trigger.value for one in case.escalations if one.begun_at == made.at}
    return made.by == by and command.channel.value in allowed and {*map(str, command.concerns)} <= asked


def _closed(desk: Desk, command: do.Close, by: str, case: Case) -> bool:
    assert case.closure is not None
    ours = case.closure.by == by and case.closure.reason is command.reason
    return ours and command.evidence != ("Task/99",) and desk.is_proven(command, case)


_CAME_ABOUT: Mapping[type[AnyCommand], Callable[[Desk, Any, str, Case], object]] = {
    do.Assign: lambda desk, command, by, case: case.owner.id == command.owner,
    do.Claim: lambda desk, command, by, case: (case.owner.id, case.owner.kind) == (by, OwnerKind.PERSON),
    do.LogOutreach: _attempted,
    do.RaiseBlocker: lambda desk, command, by, case: case.blocker and case.blocker.category is command.category,
    do.ClearBlocker: lambda desk, command, by, case: case.local.blocker is None or not case.local.blocker.blocker,
    do.AcceptSuggestion: lambda desk, command, by, case: case.blocker and case.answered[-1].accepted,
    do.DismissSuggestion: lambda desk, command, by, case: not case.answered[-1].accepted,
    do.SetNextAction: lambda desk, command, by, case: case.local.next_action and case.local.next_action.by == by,
    do.Snooze: lambda desk, command, by, case: case.local.snoozed_until == command.until,
    do.Escalate: lambda desk, command, by, case: [one for one in case.escalations if one.is_open and one.by == by],
    do.AcknowledgeEscalation: _acknowledged,
    do.Note: lambda desk, command, by, case: case.notes[-1].text == command.text.strip(),
    do.Close: _closed,
    do.Reopen: lambda desk, command, by, case: case.is_open and command.why.strip() in case.notes[-1].text,
}
"""What is so after each command."""


commands = st.tuples(st.just("do"), st.one_of(*DRAWN.values()), st.sampled_from(STAFF))
events = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from((1, 50, 9 * 60, 40 * 60, 12 * 24 * 60)), st.booleans()),
    st.tuples(st.just("tell"), st.integers(0, 9), st.none()),
    st.tuples(st.just("reassign"), st.sampled_from(NAMES), st.sampled_from(STAFF)),
    st.tuples(st.just("claim-next"), st.sampled_from(NAMES), st.sampled_from(STAFF)),
    st.tuples(st.sampled_from(("die", "nothing", "nothing")), st.none(), st.none()),
)


@pytest.mark.parametrize("lane", BEGINS)
@settings(max_examples=25, deadline=None)
@given(plan=st.lists(st.one_of(commands, commands, events), min_size=4, max_size=30))
def test_any_sequence_keeps_the_rules_of_the_case(lane: str, plan: list[tuple[Any, Any, Any]]) -> None:
    desk = Desk(lane)
    desk.holds()
    for what, first, second in plan:
        match what:
            case "do":
                desk.do(first, second)
            case "wait":
                desk.wait(first, looked_at=second)
            case "tell":
                statuses = STATUSES[desk.told["resourceType"]]
                desk.tell(statuses[first % len(statuses)])
            case "reassign":
                desk.reassign(first, second)
            case "claim-next":
                desk.take_the_next(first, second)
            case "die":
                desk.die()
        desk.holds()


@pytest.mark.parametrize("lane", BEGINS)
def test_each_command_can_be_carried_out_in_each_lane(lane: str) -> None:
    desk, reason = Desk(lane), ClosureReason.DECLINED
    worse = do.LogOutreach(
        channel=Channel.PHONE, outcome=AttemptOutcome.REACHED, concerns=(Concern.WORSENING_SYMPTOMS,)
    )
    done: list[tuple[AnyCommand, str]] = [
        (do.Note(text="Has no ride."), "ann"),
        (do.AcceptSuggestion(key="offered"), "ann"),
        (do.ClearBlocker(), "ann"),
        (do.Note(text="Needs an interpreter."), "ann"),
        (do.DismissSuggestion(key="offered"), "ann"),
        (do.Claim(), "ann"),
        (do.Assign(owner="ben"), "ann"),
        (worse, "ann"),
        (do.AcknowledgeEscalation(), "cleo"),
        (do.AcknowledgeEscalation(resolved=True), "cleo"),
        (do.RaiseBlocker(category=BlockerCategory.LANGUAGE, text="Somali"), "ann"),
        (do.SetNextAction(code=Action.REVIEW_CARE_PLAN), "ann"),
        (do.Snooze(until=NOW + timedelta(days=3), reason="asked for"), "ann"),
        (do.Escalate(why="stuck"), "ann"),
        (do.AcknowledgeEscalation(resolved=True), "ben"),
        (do.Close(reason=reason, outcome="does not want it"), "ann"),
        (do.Reopen(why="does after all"), "ann"),
    ]

    for command, by in done:
        desk.now += timedelta(minutes=1)
        assert desk.do(command, by), command
        desk.holds()

    assert {type(command) for command, _ in done} == set(get_args(AnyCommand))


def test_every_command_is_drawn_and_every_lane_is_worked() -> None:
    assert set(DRAWN) == set(_CAME_ABOUT) == set(get_args(AnyCommand))
    assert set(BEGINS) == {lane.name for lane in LINE.rules.lanes.all} == set(SHIPPED["lanes"])
