"""Coordinators, who work on cases, and operators, who pause, replay, stop and restore Bridge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from bridge.cases import commands as do
from bridge.cases.intents import IntentState
from bridge.cases.model import Case
from bridge.cases.terms import Action, AttemptOutcome, BlockerCategory, Channel, ClosureReason
from bridge.errors import CommandRefused, StaleVersion
from bridge.store.rows import InboxState, Pause
from bridge.sync.command import execute
from bridge.sync.replay import foresee_inbox, replay_inbox, replay_outbox

from .drawn import TYPES

if TYPE_CHECKING:
    from .world import World


@dataclass
class Truth:
    """What people entered, by case; ``decided`` are cases that a person closed or reopened."""

    notes: dict[str, set[str]] = field(default_factory=dict)
    attempts: dict[str, set[str]] = field(default_factory=dict)
    decided: set[str] = field(default_factory=set)
    shown: dict[str, int] = field(default_factory=dict)
    """The newest version of each resource that Bridge has shown."""


@dataclass
class Local:
    """What is true here, and what of it the copy of the database knows."""

    here: Truth = field(default_factory=Truth)
    kept: Truth | None = None


class People:
    """Everybody who uses Bridge."""

    def __init__(self, world: World) -> None:
        self._world, self._rng, self._names = world, world.rng, 0
        self.entered_since: list[tuple[str, do.AnyCommand]] = []
        """What was entered since the last backup, by case."""
        self._to_enter: list[tuple[str, do.AnyCommand]] = []
        self._memory = Random(f"memory {world.seed}")

    def command(self) -> None:
        """Let a coordinator do something to a case."""
        world, rng = self._world, self._rng
        cases = world.cases()
        if not cases:
            return
        case = rng.choice(cases)
        self._names += 1
        self._enter(case, self._command(f"act-{self._names}"), f"act-{self._names}")

    def _enter(self, case: Case, command: do.AnyCommand, name: str) -> None:
        world = self._world
        try:
            execute(
                world.store,
                {"main": world.line},
                case.id,
                command,
                by="ann",
                expected_version=case.version,
                now=world.now(),
                new_id=name,
            )
        except (CommandRefused, StaleVersion) as error:
            world.note(f"ann may not {type(command).__name__} {case.root}: {error}")
            return
        world.note(f"ann does {type(command).__name__} {name} to {case.root}")
        self.entered_since.append((case.id, command))
        here = world.local.here
        if isinstance(command, do.Close | do.Reopen):
            here.decided.add(case.id)
        if isinstance(command, do.Note):
            here.notes.setdefault(case.id, set()).add(command.text)
        if isinstance(command, do.LogOutreach):
            here.attempts.setdefault(case.id, set()).add(name)

    # After a restore --------------------------------------------------------------------------------------

    def remember(self) -> None:
        """Find that what was entered since the backup is gone: some of it is going to be entered again."""
        disaster = self._world.disaster
        share = disaster.remembers if disaster is not None else 0.0
        self._to_enter = [one for one in self.entered_since if self._memory.random() < share]
        self.entered_since.clear()

    def enter_again(self) -> None:
        """Enter the next of what was lost, sooner or later; attempts are on the EHR, and nobody enters those."""
        if not self._to_enter or self._memory.random() < 0.5:
            return
        case_id, command = self._to_enter.pop(0)
        found = [case for case in self._world.cases() if case.id == case_id]
        if found and not isinstance(command, do.LogOutreach):
            self._names += 1
            self._enter(found[0], command, f"act-{self._names}")

    def _command(self, name: str) -> do.AnyCommand:
        rng = self._rng
        return rng.choice(
            (
                do.Assign(owner=rng.choice(("ann", "supervisor"))),
                do.LogOutreach(channel=rng.choice(list(Channel)), outcome=rng.choice(list(AttemptOutcome))),
                do.LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER),
                do.RaiseBlocker(category=rng.choice(list(BlockerCategory)), text="waits"),
                do.ClearBlocker(),
                do.SetNextAction(code=rng.choice(list(Action))),
                do.Escalate(why="late"),
                do.Note(text=name),
                do.Close(reason=rng.choice(list(ClosureReason)), outcome="seen"),
                do.Reopen(why="again"),
            )
        )

    # Operators --------------------------------------------------------------------------------------------

    def operate(self) -> None:
        """Let an operator do something to Bridge."""
        drawn = self._world.drawn
        acts: list[tuple[int, Callable[[], None]]] = [
            (2, self.replay),
            (4 if drawn.pauses else 0, self.pause),
            (4 if drawn.pauses else 0, self.resume),
            (3 if drawn.restores else 0, self._world.back_up),
            (2 if drawn.restores else 0, self._world.restore),
            (3 if drawn.outages else 0, self.stop),
            (1 if drawn.skew_seconds else 0, self.set_clock),
        ]
        self._rng.choices([act for _, act in acts], [weight for weight, _ in acts])[0]()

    def pause(self) -> None:
        """Pause the connection, or one type of it."""
        world, kind = self._world, self._rng.choice((None, None, *TYPES))
        with world.store.transaction() as tx:
            tx.pause(Pause(connection="main", type=kind, by="ann", at=world.now()))
        world.note(f"ann pauses {kind or 'all'}")

    def resume(self) -> None:
        """Let everything go on that is paused."""
        with self._world.store.transaction() as tx:
            for row in tx.pauses("main"):
                tx.resume("main", row.type)
        self._world.note("ann resumes all")

    def replay(self) -> None:
        """Try again what is parked; saying what that would do changes nothing."""
        world = self._world
        with world.store.reading() as tx:
            parked = [row.id for row in tx.inbox(connection="main", state=InboxState.PARKED, limit=1000)]
            given_up = [
                row.id
                for row in tx.outbox(limit=100_000)
                if row.state in (IntentState.PARKED, IntentState.NOT_WRITABLE)
            ]
        lines = {"main": world.line}
        before = [(case.id, case.version) for case in world.cases()]
        foresee_inbox(world.store, lines, parked, world.now())
        if [(case.id, case.version) for case in world.cases()] != before:
            world.found.append("O5: saying what a replay would do changed something")
        read = replay_inbox(world.store, lines, parked, world.now())
        world.told.goes_on(world, given_up)
        sent = replay_outbox(world.store, given_up, world.now())
        world.note(f"ann replays {len(parked)} versions ({read} can be read now) and {sent} writes")

    def stop(self) -> None:
        """Stop Bridge for hours, or for days; nobody hears notifications meanwhile."""
        world = self._world
        hours = self._rng.choice((2, 10, 30, 73))
        for replica in world.replicas:
            world.restart(replica)
        world.down_until = world.clock() + timedelta(hours=hours)
        world.note(f"Bridge is stopped for {hours} h")

    def set_clock(self) -> None:
        """Set Bridge's clock right, or wrong the other way."""
        world = self._world
        world.skew = self._rng.choice((timedelta(), -world.skew))
        world.note(f"the clock of Bridge is set to {world.skew.total_seconds():+.0f} s")
