"""A clinic's year, made up by a seed: what the EHR says and what people do, through the real reconcile and act."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from bridge.cases import commands as do
from bridge.cases.calendar import Calendar
from bridge.cases.changes import CaseClosed, Change
from bridge.cases.measures.rounds import Word
from bridge.cases.owners import LICENSED_ROLES, OwnerBook, OwnerEntry
from bridge.cases.rules import Rules
from bridge.cases.snapshot import Priority, Snapshot
from bridge.cases.status_table import EFFECTS
from bridge.cases.suggesting import offered
from bridge.cases.terms import Action, AttemptOutcome, Barrier, BlockerCategory, Channel, ClosureReason, OwnerKind
from bridge.errors import CommandRefused
from tests.unit.cases.builders import FULFIL, SHIPPED, Desk, by, patient, said

NEW_YORK = ZoneInfo("America/New_York")
"""Clocks go forward on 8 March and back on 1 November 2026."""
HOLIDAYS = frozenset({date(2026, 1, 1), date(2026, 5, 25), date(2026, 7, 3), date(2026, 11, 26), date(2026, 12, 25)})
OFFICE = Calendar(NEW_YORK, holidays=HOLIDAYS)
YEAR_BEGINS = datetime(2026, 1, 1, 5, tzinfo=UTC)


@cache
def rules() -> Rules:
    """Return the rules of a clinic in New York, with the lanes as they are shipped."""
    people = (
        OwnerEntry("ann", OwnerKind.PERSON, "Ann Weber", ("Practitioner/ann",), backup="bob"),
        OwnerEntry("bob", OwnerKind.PERSON, "Bob Stone", ("Practitioner/bob",)),
    )
    roles = (
        OwnerEntry(name, OwnerKind.ROLE, name, licensed=name in LICENSED_ROLES) for name in sorted(SHIPPED.roles())
    )
    return Rules("main", SHIPPED, OwnerBook((*people, *roles)), OFFICE)


@dataclass
class _Play:
    """One group of resources with its own desk; what is drawn depends on the seed alone."""

    number: int
    dice: random.Random
    desk: Desk = field(default_factory=lambda: Desk(rules()))
    versions: dict[str, int] = field(default_factory=dict)
    states: dict[str, dict[str, Any]] = field(default_factory=dict)

    def ref(self, kind: str, suffix: str = "") -> str:
        return f"{kind}/{self.number}{suffix}"

    def say(self, ref: str, status: str, **changes: Any) -> None:
        """Take in the next version of a resource, with what was said of it before."""
        kind = ref.partition("/")[0]
        self.versions[ref] = version = self.versions.get(ref, 0) + 1
        told = self.states.setdefault(ref, {"authored_at": self.desk.now, "patient": patient(f"p{self.number}")})
        told.update(changes)
        stated = self.desk.now - timedelta(minutes=self.dice.choice((0, 0, 1, 30, 600)))
        self.desk.take(
            Snapshot(
                ref=ref,
                type=kind,
                version=str(version),
                updated_at=stated + timedelta(seconds=version),
                status=status,
                effect=EFFECTS[kind][status],
                **{"title": kind, **told},
            )
        )

    def wait(self) -> None:
        """Let minutes to weeks pass; mostly the clock is looked at in time, sometimes nobody looks."""
        until = self.desk.now + timedelta(seconds=int(60 * self.dice.lognormvariate(6, 2)) + self.dice.randrange(90))
        for root in sorted(self.desk.alive()) if self.dice.random() < 0.8 else ():
            self.desk.wait(until, root)
        self.desk.now = until

    def act(self) -> None:
        """Let somebody do something, to whichever case is alive."""
        roots = sorted(self.desk.alive()) or sorted(self.desk.cases)
        if not roots:
            return
        command = self.dice.choice(_COMMANDS)(self)
        try:
            self.desk.do(command, root=self.dice.choice(roots), by=self.dice.choice(("ann", "bob")))
        except CommandRefused:
            return


_BY_ANY_LANE = (Channel.PHONE, Channel.VOICEMAIL, Channel.PORTAL, Channel.TEXT)
"""Ways that every shipped lane allows."""


def _outreach(play: _Play) -> do.AnyCommand:
    dice, now = play.dice, play.desk.now
    at = now - timedelta(minutes=dice.choice((0, 5, 60, 3000)))
    outcome = dice.choice((*AttemptOutcome, AttemptOutcome.REACHED, AttemptOutcome.NO_ANSWER))
    barrier = dice.choice((None, Barrier.COST))
    return do.LogOutreach(channel=dice.choice(_BY_ANY_LANE), outcome=outcome, at=at, barrier=barrier)


def _close(play: _Play) -> do.AnyCommand:
    reason = play.dice.choice((*ClosureReason, ClosureReason.COMPLETED, ClosureReason.COMPLETED))
    known = [*sorted(play.desk.sources), "DocumentReference/1", "DiagnosticReport/1"]
    evidence = tuple(play.dice.sample(known, k=min(1, play.dice.randrange(3))))
    return do.Close(reason=reason, outcome="so it ended", evidence=evidence)


def _remark(play: _Play) -> do.AnyCommand:
    return do.Note(text=play.dice.choice(("Has no ride.", "Cannot afford it.", "Needs an interpreter.")))


def _answer(play: _Play) -> do.AnyCommand:
    open_ = [one for case in play.desk.alive().values() for one in offered(case, ())]
    key = play.dice.choice(open_).key if open_ else "none"
    return play.dice.choice((do.AcceptSuggestion, do.DismissSuggestion))(key=key)


_COMMANDS: tuple[Callable[[_Play], do.AnyCommand], ...] = (
    _outreach,
    _outreach,
    _outreach,
    _close,
    lambda play: do.Assign(owner=play.dice.choice(("ann", "bob", "scheduler", "clinician"))),
    lambda play: do.RaiseBlocker(
        category=play.dice.choice((*BlockerCategory, *[BlockerCategory.MISSING_DOCUMENTATION] * 6)),
        text=play.dice.choice(("one", "two")),
    ),
    lambda play: do.ClearBlocker(),
    lambda play: do.SetNextAction(
        code=Action.CALL_PATIENT, due_at=play.dice.choice((None, play.desk.now + timedelta(hours=30)))
    ),
    lambda play: do.Snooze(until=play.desk.now + timedelta(days=play.dice.randrange(1, 9)), reason="later"),
    lambda play: do.Escalate(why="stuck"),
    lambda play: do.AcknowledgeEscalation(resolved=play.dice.random() < 0.4),
    lambda play: do.Note(text="a remark"),
    _remark,
    _answer,
    lambda play: do.Reopen(why="not over"),
)


def _referral(play: _Play) -> list[Callable[[], None]]:
    dice, order, visit, task = play.dice, play.ref("ServiceRequest"), play.ref("Appointment"), play.ref("Task")
    first = {"start_at": play.desk.now + timedelta(days=dice.randrange(1, 30)), "parent": order}
    second = play.ref("Appointment", "b")
    later = {"start_at": play.desk.now + timedelta(days=dice.randrange(30, 50)), "parent": order}
    owner = dice.choice((None, by("Practitioner/ann"), by("Practitioner/elsewhere")))
    return [
        lambda: play.say(order, "active", priority=dice.choice(tuple(Priority))),
        lambda: play.say(task, dice.choice(("accepted", "in-progress")), parent=order, codes=(FULFIL,), owner=owner),
        lambda: play.say(visit, dice.choice(("booked", "pending")), waits_for=("patient",), **first),
        lambda: play.say(visit, "booked", waits_for=()),
        lambda: play.say(visit, dice.choice(("noshow", "cancelled", "fulfilled"))),
        lambda: play.say(second, "booked", **later),
        lambda: play.say(second, dice.choice(("noshow", "fulfilled", "cancelled"))),
        lambda: play.say(order, dice.choice(("completed", "revoked", "entered-in-error", "on-hold"))),
        lambda: play.say(order, dice.choice(("active", "completed", "revoked"))),
    ]


def _visit(play: _Play) -> list[Callable[[], None]]:
    dice, visit, task = play.dice, play.ref("Appointment"), play.ref("Task")
    starts = {"start_at": play.desk.now + timedelta(days=dice.randrange(1, 20))}
    return [
        lambda: play.say(
            visit, dice.choice(("proposed", "pending", "waitlist", "booked")), waits_for=("patient",), **starts
        ),
        lambda: play.say(task, "requested", parent=visit, title="Intake forms"),
        lambda: play.say(visit, "booked", waits_for=()),
        lambda: play.say(task, "completed"),
        lambda: play.say(visit, dice.choice(("noshow", "cancelled", "fulfilled", "arrived", "entered-in-error"))),
        lambda: play.say(visit, dice.choice(("booked", "fulfilled", "noshow"))),
    ]


def _medication(play: _Play) -> list[Callable[[], None]]:
    dice, drug, task = play.dice, play.ref("MedicationRequest"), play.ref("Task")
    why = dice.choice((None, said("prior authorization needed")))
    return [
        lambda: play.say(drug, "on-hold", status_reason=why, reasons=(why,) if why else ()),
        lambda: play.say(task, "requested", parent=drug, title="Refill"),
        lambda: play.say(drug, dice.choice(("active", "stopped", "cancelled", "completed"))),
        lambda: play.say(task, dice.choice(("completed", "rejected", "failed", "cancelled"))),
    ]


def _errand(play: _Play) -> list[Callable[[], None]]:
    dice, task = play.dice, play.ref("Task")
    title = dice.choice(("post-visit", "discharge", "missed call", "prior authorization", "refill"))
    return [
        lambda: play.say(task, "requested", title=title, priority=dice.choice(tuple(Priority))),
        lambda: play.say(task, dice.choice(("in-progress", "on-hold"))),
        lambda: play.say(task, dice.choice(("completed", "completed", "rejected", "cancelled", "entered-in-error"))),
        lambda: play.say(task, dice.choice(("requested", "completed"))),
    ]


def _merged(play: _Play) -> list[Callable[[], None]]:
    """Two cases that turn out to be one, and sometimes two again."""
    order, task = play.ref("ServiceRequest"), play.ref("Task")
    return [
        lambda: play.say(task, "requested", title="Paperwork"),
        lambda: play.say(order, "active"),
        lambda: play.say(task, "requested", parent=order),
        lambda: play.say(task, "requested", parent=play.dice.choice((order, None))),
        lambda: play.say(order, "completed"),
    ]


_PLOTS = (_referral, _referral, _visit, _medication, _errand, _errand, _merged)


@cache
def a_year(groups: int = 350, seed: int = 1) -> list[list[Change]]:
    """Return one generated year, made once for all tests of a process."""
    return list(histories(groups, seed))


def histories(groups: int, seed: int = 1) -> Iterator[list[Change]]:
    """Yield the histories of the cases that *groups* pieces of work came to, spread over 2026."""
    dice = random.Random(seed)
    for number in range(groups):
        play = _Play(number, random.Random(dice.randrange(2**32)))
        play.desk.now = YEAR_BEGINS + timedelta(seconds=dice.randrange(-40 * 86_400, 365 * 86_400))
        for step in dice.choice(_PLOTS)(play):
            if play.dice.random() < 0.75 or not play.desk.sources:
                step()
            for _ in range(play.dice.randrange(4)):
                play.wait()
                play.act()
        yield from play.desk.history.values()


@cache
def words_of_a_year(groups: int = 350, seed: int = 1) -> dict[str, tuple[Word, ...]]:
    """Return what the requesters of that year were told: mostly soon, sometimes late, of an older end, or never."""
    dice = random.Random(seed)
    told: dict[str, tuple[Word, ...]] = {}
    for history in a_year(groups, seed):
        ends = [change for change in history if isinstance(change.fact, CaseClosed)]
        waits = [(change, dice.choice((0, 3, 60, 3600, 6 * 86_400, 7 * 86_400, 9 * 86_400, None))) for change in ends]
        words = (Word(end.version, end.at + timedelta(seconds=wait)) for end, wait in waits if wait is not None)
        told[history[0].case_id] = tuple(words)
    return told
