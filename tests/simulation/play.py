"""One run: things happen in an order that the seed decides, then all faults end, and then everything must hold."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from bridge.cases.intents import IntentState
from bridge.store.rows import OutboxRow, Subscribed
from bridge.sync.connector import Connector
from bridge.sync.hearing import TOO_MANY
from bridge.sync.ladder import PROVEN_FOR
from bridge.sync.people import TRY_AGAIN
from bridge.sync.replay import replay_outbox

from .drawn import LASTING, STEPS
from .oracle import after_rest, always, at_rest, twice
from .process import subscribed, tend
from .world import World

MOST_ROUNDS = 40
ON_SQLITE = 10
"""Every so-many-th run has its database in SQLite."""

FORGETS = 3
"""In every so-many-th run retention comes after every so-many-th step: it draws nothing, and must change nothing."""


@dataclass
class Outcome:
    """What one run came to; ``trace`` tells it step by step."""

    seed: int
    violations: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    disaster: bool = False
    """Whether the database was to be lost."""


def simulate(seed: int, template: Path | None = None, *, disaster: bool = False) -> Outcome:
    """
    Do one run. With a *template* of a database, every ``ON_SQLITE``-th seed runs on SQLite.

    Args:
        disaster: Whether the database is certainly lost, and restored, once or twice.
    """
    on_sqlite = template is not None and seed % ON_SQLITE == 0
    with tempfile.TemporaryDirectory(prefix="bridge-sim-") as folder:
        world = World(seed, Path(folder) if on_sqlite else None, template, disaster=disaster)
        try:
            found = _run(world)
        finally:
            world.close()
    return Outcome(seed, found, world.trace, disaster)


def _run(world: World) -> list[str]:
    world.note(f"seed {world.seed}: {world.drawn.in_words}")
    for number in range(STEPS):
        _step(world)
        if world.seed % FORGETS == 0 and number % FORGETS == 0:
            world.forget()
        _strike(world, number)
        found = always(world)
        if found:
            return found
    found = _rest(world)
    if found:
        return found
    if _requeue(world):
        found = _rest(world)
    return found or at_rest(world) or after_rest(world) or twice(world, _round)


def _step(world: World) -> None:
    rng = world.rng
    world.clock.advance(seconds=rng.choice((0, 1, 5, 20, 60, 300, 301, 1200, 1200, 7200)))
    if rng.random() < 0.03:
        world.clock.advance(days=rng.choice((1, 4)))
    if rng.random() < 0.1:
        world.network.share = rng.choice((0.0, 0.0, 0.0, 0.1, 0.4, 1.0))
    world.ring()
    rings = 2 if world.door is not None else 0
    acts: list[tuple[int, Callable[[], None]]] = [
        (10, world.act),
        (4, world.people.command),
        (1, world.people.operate),
        (2 if rings else 3, world.notify),
        (rings, lambda: _forge(world)),
        (2 * rings, lambda: _work(world, "tends", tend)),
        (4, lambda: _work(world, "reads", Connector.read)),
        (1, lambda: _work(world, "syncs", Connector.sync_once)),
        (3, lambda: _work(world, "answers", Connector.answer)),
        (2, lambda: _work(world, "compares", Connector.compare)),
        (5, lambda: _work(world, "delivers", Connector.deliver)),
        (1, lambda: _work(world, "passes time", Connector.pass_time)),
        (1, lambda: _work(world, "names people", Connector.name_people)),
        (2 if world.drawn.restores else 0, world.back_up),
        (2 if world.drawn.restores else 0, world.restore),
    ]
    rng.choices([act for _, act in acts], [weight for weight, _ in acts])[0]()


def _strike(world: World, number: int) -> None:
    """Let the backup be made, or the database be lost, where that was drawn for after this step."""
    disaster = world.disaster
    if disaster is None:
        return
    if number == disaster.kept_at:
        world.note("a backup is made")
        world.back_up()
    if number in disaster.lost_at:
        world.restore()
    world.people.enter_again()


def _forge(world: World) -> None:
    if world.door is not None and not world.is_down:
        world.note(world.door.forge(world.clinic.changed))


def _work(world: World, what: str, work: Callable[[Connector], object]) -> None:
    replica = world.rng.choice(world.replicas)
    world.working = replica.name
    world.run(replica, what, work)


def _rest(world: World) -> list[str]:
    """Let all faults end, and rounds pass until nothing is left to be done."""
    _end_all_faults(world)
    quiet = 0
    for _ in range(MOST_ROUNDS):
        before = _fingerprint(world)
        world.clock.advance(minutes=6)
        _give_cause_to_ring(world)
        report = _round(world)
        world.note(f"round: {report}")
        if _fingerprint(world) == before and not _waiting(world) and _is_rung_for(world):
            quiet += 1
            if quiet == 2:
                return always(world)
        else:
            quiet = 0
        due = [row.next_at for row in _waiting(world)] + [row.lease_until for row in _waiting(world) if row.lease_until]
        if due and min(due) > world.now():
            world.clock.advance(seconds=(min(due) - world.now()).total_seconds())
    rung = [] if _is_rung_for(world) else list(subscribed(world.replicas[0].bridge))
    return [f"does not come to rest: {[(row.intent.key, row.state, row.reason) for row in _waiting(world)]}, {rung}"]


def _end_all_faults(world: World) -> None:
    world.calm, world.network.share = True, 0.0
    for habit in world.drawn.habits:
        if not habit.startswith(LASTING):
            world.ehr.remove_fault(habit.partition("=")[0])
    world.note("all is well from here on")
    world.clock.advance(minutes=30)  # What is still to become visible does.
    if world.drawn.has("ignore-parameters", "ignore-silently"):
        world.clock.advance(seconds=PROVEN_FOR.total_seconds())  # Until then a lower rung is believed in.
    if world.skew or world.drawn.skew_seconds:
        world.skew = timedelta()
        world.clock.advance(hours=2)  # What waits by a clock that went ahead is due.
    with world.store.reading() as tx:
        unreadable = tx.wanted_people(world.line.name, world.clock() + TRY_AGAIN, 1)
    if unreadable:
        world.clock.advance(seconds=TRY_AGAIN.total_seconds())  # A record that was deleted may be there again.
    world.down_until = min(world.down_until, world.clock())
    world.people.resume()
    if world.door is not None:
        world.door.share = 0.0


def _round(world: World) -> object:
    bridge = world.replicas[0].bridge
    world.ring()
    bridge.answer()
    world.note(f"Subscriptions: {tend(bridge)}")
    return bridge.sync_once()


def _give_cause_to_ring(world: World) -> None:
    """Let something change that each Subscription which was found deaf tells of: it is suspected until it rings."""
    rows = subscribed(world.replicas[0].bridge) if world.door is not None else []
    deaf = [row for row in rows if row.missed_in_row >= TOO_MANY and not _is_mute(world, row)]
    for kind in sorted({row.types[0] for row in deaf if row.types}):
        world.note(f"clinic {world.clinic.touch(kind)}")


def _is_rung_for(world: World) -> bool:
    """
    Whether the EHR calls every Subscription active that Bridge keeps, or there is nothing to be kept.

    Nothing is wrong with one then; but one that never rings stays under suspicion once that was noticed.
    """
    if world.door is None:
        return True
    rows = subscribed(world.replicas[0].bridge)
    return bool(rows) and all(row.state == "active" and (row.problem is None or _is_mute(world, row)) for row in rows)


def _is_mute(world: World, row: Subscribed) -> bool:
    """Whether this EHR never rings for a Subscription that it calls active, as HAPI in R4 for one of a topic."""
    live = world.ehr.hooks.live(row.ref.partition("/")[2]) if row.ref is not None else None
    return live is not None and not world.ehr.hooks.fires(live)


def _rows(world: World) -> list[OutboxRow]:
    with world.store.reading() as tx:
        return tx.outbox(limit=100_000)


def _waiting(world: World) -> list[OutboxRow]:
    return [row for row in _rows(world) if row.state in (IntentState.QUEUED, IntentState.SENDING)]


def _fingerprint(world: World) -> object:
    return (
        [(case.id, case.version) for case in world.cases()],
        sorted(head.versioned for head in world.ehr.ehr.store.heads() if head.type != "Subscription"),
        len(_rows(world)),
    )


def _requeue(world: World) -> int:
    """Try again, as a person would once the EHR is well, what was given up."""
    given_up = (IntentState.PARKED, IntentState.NOT_WRITABLE)
    ids = [row.id for row in _rows(world) if row.state in given_up]
    if any(row.code == "never-updated" for row in _rows(world)):
        world.clock.advance(days=1, minutes=1)  # Before that a replay tries nothing.
    if ids:
        world.note(f"a person replays {len(ids)}")
        world.told.goes_on(world, ids)
        replay_outbox(world.store, ids, world.now())
    return len(ids)
