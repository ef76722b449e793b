"""Cases drawn by a seed: what happens to each, told to the real core and to the second reading alike."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bridge.cases import commands as do
from bridge.cases.changes import Change, Escalated
from bridge.cases.model import Case
from bridge.cases.people import Person
from bridge.cases.rules import Rules
from bridge.cases.snapshot import Priority
from bridge.cases.terms import Action, AttemptOutcome, Barrier, BlockerCategory, Channel, ClosureReason, Concern
from tests.unit.cases.builders import Desk, a_snapshot
from tests.unit.cases.year.almanac import MINUTE, Almanac
from tests.unit.cases.year.behind import Behind
from tests.unit.cases.year.clinic import LANES, PRIORITIES, REFERRAL, ROLES, STAFF, Work
from tests.unit.cases.year.course import WAITS_FOR, Fired
from tests.unit.cases.year.second_reading import Reading


@dataclass
class Play:
    """One case of a year."""

    dice: random.Random
    work: Work
    rules: Rules
    almanac: Almanac
    clock: str
    """``steady`` where it is looked at in time; ``loose`` where it is not, or twice, but before anything else happens;
    ``behind`` a store, where several processes look at it whenever they do."""
    log: list[str] = field(default_factory=list)
    visits: int = 0
    version: int = 1

    def begin(self) -> None:
        dice, work, priority = self.dice, self.work, self.dice.choice(PRIORITIES)
        self.now = datetime(2026, 1, 1, 12, tzinfo=UTC) + dice.randrange(340 * 1440) * MINUTE
        if dice.random() < 0.3:
            self.now = dice.choice(self.almanac.turns) - dice.randrange(4000) * MINUTE
        asked = self.now - dice.choice((0, 0, 3, 90, 3000)) * MINUTE
        self.root, self.status = work.root, work.status
        self.told = {"title": work.title, "authored_at": asked}
        visit = None
        if work.visit is not None:
            ahead = dice.randrange(1, 20000) if work.visit == "booked" else -dice.randrange(3000)
            visit = (work.visit, self.now + ahead * MINUTE)
            self.told["start_at"] = visit[1]
        self.desk = Behind(self.rules) if self.clock == "behind" else Desk(self.rules)
        self.desk.now = self.now
        self.reading = Reading(
            LANES[work.lane], self.almanac, STAFF, priority, asked, self.now, work.blocker, work.expert, visit
        )
        self.log.append(f"{self.now} {work.lane} {priority} asked {asked} visit {visit}")
        self.tell(priority)

    @property
    def case(self) -> Case:
        return self.desk.case(self.root)

    def tell(self, priority: str, status: str | None = None) -> None:
        self.status = status or self.status
        self.desk.take(
            a_snapshot(
                self.root,
                self.status,
                self.version,
                priority=Priority(priority),
                updated_at=self.now,
                parent=None,
                **self.told,
            )
        )
        self.version += 1

    def pass_time(self, minutes: int) -> None:
        """Let time pass; whoever looks at the clock does so before anything else happens."""
        until = self.now + minutes * MINUTE
        if self.clock == "steady":
            self.desk.wait(until, self.root)
        for _ in range(0 if self.clock == "steady" else self.dice.randrange(3)):
            self.desk.now = self.now + self.dice.randrange(minutes + 1) * MINUTE
            self.now = self.desk.now
            minutes = (until - self.now) // MINUTE
            self.look()
        self.now = self.desk.now = until
        if self.clock != "behind":
            self.look()

    def look(self) -> None:
        self.desk.look_again(*self.desk.sources)

    def step(self) -> bool:
        """Let some time pass and something happen; returns whether anything can happen yet."""
        self.pass_time(self._some_time())
        self.reading.settle(self.now)
        names = [name for name, may in _MAY.items() if may(self)]
        if not names:
            return False
        [name] = self.dice.choices(names, [_OFTEN.get(name, 2) for name in names])
        how = _HOW[name](self)
        self.log.append(f"{self.now} {name} {how}")
        self.reading.happens(self.now, name, **how)
        _DO[name](self, **how)
        return True

    def _some_time(self) -> int:
        """Return how many minutes pass: some, many, or those to a moment at which something turns, give or take one."""
        dice, reading = self.dice, self.reading
        if dice.random() < 0.3:
            return dice.randrange(1, 150)
        if dice.random() < 0.4:
            moments = [*self.almanac.moments_after(self.now), *self.almanac.turns]
            moments += [reading.due()] if reading.is_open else []
            moments += [reading.visit[1]] if reading.visit is not None else []
            ahead = [(at - self.now) // MINUTE + dice.choice((-1, 0, 0, 1)) for at in moments]
            if near := [minutes for minutes in ahead if 0 < minutes < 60 * 24 * 20]:
                return dice.choice(near)
        return min(max(1, int(dice.lognormvariate(6.5, 1.7))), 60 * 24 * 30)

    def do(self, command: do.AnyCommand, by: str = "ann") -> None:
        self.desk.do(command, self.root, by)

    def history(self) -> list[Change]:
        """Return everything that was written down about the case."""
        return self.desk.changes(self.case) if isinstance(self.desk, Behind) else self.desk.history[self.case.id]

    def fired(self) -> list[Fired]:
        """Return every step that a rule took, in the order in which they were written down."""
        found, last = [], {}
        for change in self.history():
            if not isinstance(change.fact, Escalated):
                continue
            one = change.fact.escalation
            key = (one.trigger.value, one.begun_at)
            if last.get(key) != one.since and one.by.startswith("rule:"):
                assert one.begun_at is not None
                found.append((one.trigger.value, one.begun_at, one.level, one.to.id, one.since))
            last[key] = one.since
        return found

    def visit(self, status: str) -> None:
        ref = f"Appointment/{self.visits}"
        fields = {
            "parent": self.root,
            "title": "Visit",
            "start_at": self.start,
            "updated_at": self.now,
            "authored_at": self.now,
        }
        self.desk.take(a_snapshot(ref, status, self.version, **fields))
        self.version += 1


# What may happen ----------------------------------------------------------------------------------------------


def _open(play: Play) -> bool:
    return play.reading.is_open


def _alive(play: Play) -> bool:
    return play.reading.is_open and not play.reading.dead


def _is(visit: str | None) -> Callable[[Play], bool]:
    def may(play: Play) -> bool:
        stands, start = play.reading.visit or (None, play.now)
        came = visit != "booked" or play.now > start
        return _alive(play) and play.work is REFERRAL and not play.reading.ended and stands == visit and came

    return may


_OFTEN = {"attempt": 9, "book": 12, "miss": 30, "attend": 4, "nothing": 1}
_MAY: dict[str, Callable[[Play], bool]] = {
    "attempt": _alive,
    "nothing": lambda play: True,
    "assign": _open,
    "claim": lambda play: _open(play) and play.reading.owner not in STAFF.people,
    "decide": _open,
    "snooze": _open,
    "block": lambda play: _alive(play) and play.reading.blocker is None,
    "unblock": lambda play: _alive(play) and play.reading.blocker is not None,
    "prioritize": lambda play: _open(play) and not play.reading.ended,
    "book": lambda play: _is(None)(play) or _is("missed")(play),
    "miss": _is("booked"),
    "attend": _is("booked"),
    "die": lambda play: _alive(play) and not play.reading.ended and play.dice.random() < 0.1,
    "finish": lambda play: _open(play) and not play.work.visit and not play.reading.ended and play.dice.random() < 0.2,
    "close": lambda play: _open(play) and not play.reading.clinical_question() and play.dice.random() < 0.3,
    "reopen": lambda play: play.reading.closed,
    "escalate": _open,
    "acknowledge": lambda play: _open(play) and _is_unanswered(play),
    "resolve": lambda play: _open(play) and play.reading.gravest() is not None,
}


def _is_unanswered(play: Play) -> bool:
    asked = play.reading.gravest()
    return asked is not None and not asked.answered


def _attempt(play: Play) -> dict[str, Any]:
    dice = play.dice
    found: dict[str, Any] = {"outcome": dice.choice([*(one.value for one in AttemptOutcome), "no-answer", "no-answer"])}
    if dice.random() < 0.3:
        found["barrier"] = dice.choice(tuple(Barrier)).value
    if dice.random() < 0.15:
        found["concerns"] = (dice.choice(tuple(Concern)).value,)
    if dice.random() < 0.3:
        since = [one["at"] + MINUTE for one in play.reading.attempts[-1:]]
        found["made"] = min(play.now, max([play.now - dice.randrange(6000) * MINUTE, *since]))
    if found["outcome"] == "reached" and dice.random() < 0.5:
        found["promised_by"] = dice.choice(("patient", "us"))
        found["promised_for"] = play.now + dice.randrange(1, 9000) * MINUTE
    return found


def _decide(play: Play) -> dict[str, Any]:
    due = max(play.now + play.dice.randrange(-500, 6000) * MINUTE, play.reading.opened)
    return {"due": play.dice.choice((None, due))}


def _escalate(play: Play) -> dict[str, Any]:
    return {"to": play.dice.choice([name for name in ("clinician", "carol") if name != play.reading.owner])}


_HOW: dict[str, Callable[[Play], dict[str, Any]]] = {name: lambda play: {} for name in _MAY} | {
    "attempt": _attempt,
    "assign": lambda play: {"to": play.dice.choice((*sorted(STAFF.people), *ROLES))},
    "decide": _decide,
    "snooze": lambda play: {"until": play.now + play.dice.randrange(1, 12000) * MINUTE},
    "block": lambda play: {"category": play.dice.choice(sorted(WAITS_FOR))},
    "prioritize": lambda play: {"priority": play.dice.choice(PRIORITIES)},
    "book": lambda play: {"start": play.now + play.dice.randrange(1, play.dice.choice((400, 20000))) * MINUTE},
    "escalate": _escalate,
}


def _do_attempt(
    play: Play,
    outcome: str,
    concerns: tuple[str, ...] = (),
    barrier: str | None = None,
    made: datetime | None = None,
    **promise: Any,
) -> None:
    play.do(
        do.LogOutreach(
            channel=Channel.PHONE,
            outcome=AttemptOutcome(outcome),
            at=made,
            concerns=tuple(map(Concern, concerns)),
            barrier=Barrier(barrier) if barrier is not None else None,
            **promise,
        )
    )


def _do_decide(play: Play, due: datetime | None) -> None:
    play.do(do.SetNextAction(code=Action.REVIEW_CARE_PLAN, due_at=due))


def _do_book(play: Play, start: datetime) -> None:
    play.visits, play.start = play.visits + 1, start
    play.visit("booked")


def _do_die(play: Play) -> None:
    person = Person(ref="Patient/p1", type="Patient", version="1", deceased=True)
    if isinstance(play.desk, Behind):
        play.desk.dies(person, play.root)
    else:
        play.desk.people[person.ref] = person
        play.look()


_DO: dict[str, Callable[..., None]] = {
    "attempt": _do_attempt,
    "nothing": lambda play: play.do(do.Note(text="still on it")),
    "assign": lambda play, to: play.do(do.Assign(owner=to)),
    "claim": lambda play: play.do(do.Claim()),
    "decide": _do_decide,
    "snooze": lambda play, until: play.do(do.Snooze(until=until, reason="later")),
    "block": lambda play, category: play.do(do.RaiseBlocker(category=BlockerCategory(category), text="why")),
    "unblock": lambda play: play.do(do.ClearBlocker()),
    "prioritize": lambda play, priority: play.tell(priority),
    "book": _do_book,
    "miss": lambda play: play.visit("noshow"),
    "attend": lambda play: play.visit("fulfilled"),
    "die": _do_die,
    "finish": lambda play: play.tell(play.reading.priority, "completed"),
    "close": lambda play: play.do(do.Close(reason=ClosureReason.DECLINED)),
    "reopen": lambda play: play.do(do.Reopen(why="not over")),
    "escalate": lambda play, to: play.do(do.Escalate(why="stuck", to=to)),
    "acknowledge": lambda play: play.do(do.AcknowledgeEscalation(), "carol"),
    "resolve": lambda play: play.do(do.AcknowledgeEscalation(resolved=True), "carol"),
}
