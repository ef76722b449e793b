"""
A staged fault for every alert: what goes wrong, and what its section in docs/operations.md says to do about it.

Each scenario plays on a world and returns the step at which its alert must fire, and then ends with what was mended;
at the last step it must be silent again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import httpx

from bridge.store.rows import InboxState
from tests.monitoring.staged import GIB, Staged
from tests.unit.sync.world import order

Play = Callable[[Staged], int]


@dataclass(frozen=True)
class Scenario:
    """How an alert is made to fire and to clear."""

    alert: str
    play: Play
    minutes: int = 1
    """From one scrape to the next."""
    faults: tuple[str, ...] = ()
    """What the simulated EHR does all the time."""


def _down(world: Staged) -> int:
    world.pass_steps(3)
    world.answering = False
    fired = world.pass_steps(5)
    world.answering = True  # start it again
    world.pass_steps(3)
    return fired


def _replica_down(world: Staged) -> int:
    world.other = True
    world.pass_steps(3)
    world.other = False
    fired = world.pass_steps(13)
    world.other = True  # start it again
    world.pass_steps(3)
    return fired


def _database_down(world: Staged) -> int:
    world.pass_steps(3)
    world.store.down = True  # type: ignore[attr-defined]
    fired = world.pass_steps(4)
    world.store.down = False  # type: ignore[attr-defined]
    world.pass_steps(3)
    return fired


def _not_saving(world: Staged) -> int:
    world.pass_steps(3)
    world.store.full = True  # type: ignore[attr-defined]
    fired = world.pass_steps(5)
    world.store.full = False  # type: ignore[attr-defined]
    world.pass_steps(3)
    return fired


def _stale(world: Staged) -> int:
    """The loops of the only worker are gone, while the web view answers."""
    world.pass_steps(3)
    fired = world.pass_steps(24, working=False)
    world.pass_steps(3)
    return fired


def _never_read(world: Staged) -> int:
    """From the first day on the EHR does not answer one type, and all others as ever: nothing of it is ever read."""
    world.answers = _silent_about_tasks
    fired = world.pass_steps(24)
    world.answers = lambda _: None
    world.pass_steps(12)
    return fired


def _silent_about_tasks(sent: httpx.Request) -> httpx.Response | None:
    if sent.url.path.endswith("/Task"):
        raise httpx.ReadTimeout("no answer", request=sent)
    return None


def _read_failing(world: Staged) -> int:
    """The EHR took the permission to read one type away."""
    world.pass_steps(3)
    world.refuses = lambda sent: "Appointment" in sent.url.path
    fired = world.pass_steps(20)
    world.refuses = lambda _: False  # the administrator gives it back
    world.pass_steps(12)
    return fired


def _one_type_breaks(world: Staged) -> int:
    """The EHR answers every search of one type with 500, and all others as ever: it is not away."""
    world.pass_steps(3)
    world.answers = lambda sent: httpx.Response(500, request=sent) if sent.url.path.endswith("/Task") else None
    fired = world.pass_steps(25)
    world.answers = lambda _: None
    world.pass_steps(12)
    return fired


def _away(world: Staged) -> int:
    world.pass_steps(3)
    world.away = True
    fired = world.pass_steps(12)
    world.away = False
    world.pass_steps(4)
    return fired


def _credentials(world: Staged) -> int:
    world.pass_steps(3)
    world.lost = 401
    fired = world.pass_steps(8)
    world.lost = 0  # a new secret
    world.pass_steps(4)
    return fired


def _outbox_stuck(world: Staged) -> int:
    """The EHR answers every write with 500: nothing is refused, nothing is done."""
    world.pass_steps(3)
    world.answers = lambda sent: httpx.Response(500, request=sent) if sent.method == "PUT" else None
    world.ehr.put(order("o2"))
    fired = world.pass_steps(10)
    world.answers = lambda _: None  # it is tried again by itself
    world.pass_steps(14)
    return fired


def _parked_growing(world: Staged) -> int:
    """A form of the site's says more in an order than Bridge may pass over."""
    world.pass_steps(3)
    world.ehr.put(order("bad", modifierExtension=[{"url": "http://clinic.example/negated", "valueBoolean": True}]))
    fired = world.pass_steps(9)
    world.ehr.put(order("bad"))  # they mend the form
    world.pass_steps(1)
    _replay(world)
    world.pass_steps(3)
    return fired


def _parked_forgotten(world: Staged) -> int:
    world.pass_steps(1)
    world.refuses = lambda sent: sent.method == "PUT"
    world.ehr.put(order("o2"))
    fired = world.pass_steps(28)
    world.refuses = lambda _: False
    _replay(world)
    world.pass_steps(3)
    return fired


def _replay(world: Staged) -> None:
    """Do what the connections page and ``bridge replay`` do."""
    with world.store.reading() as tx:
        inbox = [row.id for row in tx.inbox(state=InboxState.PARKED) if row.id is not None]
        outbox = [row.id for row in tx.outbox() if row.state == "parked"]
    for box, ids in (("inbox", inbox), ("outbox", outbox)):
        if ids:
            world.web.post(f"/api/v1/{box}/replay", json={"ids": ids}).raise_for_status()


def _notifications_silent(world: Staged) -> int:
    """The EHR switched its Subscriptions off."""
    world.pass_steps(8)
    assert world.registry is not None
    write = world.registry._write
    world.registry._write = lambda request, own_id: httpx.Response(  # type: ignore[method-assign]
        403, request=request
    )
    world.registry.activate("error")
    fired = world.pass_steps(30)
    world.registry._write = write  # type: ignore[method-assign]
    world.registry.activate()
    world.pass_steps(15)
    return fired


def _notifications_refused(world: Staged) -> int:
    """Somebody changed the secret on one side only."""
    world.pass_steps(3)
    for _ in range(4):
        for _ in range(3):
            assert world.web.post("/hooks/main/an-old-secret-of-long-ago", json={}).status_code == 404
        world.pass_steps(1)
    fired = world.tape.steps
    world.pass_steps(18)
    return fired


def _hints_waiting(world: Staged) -> int:
    """A notification came for what cannot be read."""
    world.pass_steps(3)
    world.answers = lambda sent: httpx.Response(500, request=sent) if "Task" in sent.url.path else None
    with world.store.transaction() as tx:
        tx.note_hints("main", ["Task/t1"], world.now(), 1)
    fired = world.pass_steps(20, working=False)
    world.answers = lambda _: None
    world.pass_steps(4)
    return fired


def _sweep_repairing(world: Staged) -> int:
    """The EHR changes a resource without moving its date, so that no poll can find it."""
    world.pass_steps(8)
    world.ehr.put(order(status="on-hold"))
    fired = world.pass_steps(8)
    world.pass_steps(34)
    return fired


def _proof_late(world: Staged) -> int:
    """The sweep cannot look at one type any more."""
    world.pass_steps(2)
    return _never_proven(world)


def _never_proven(world: Staged) -> int:
    """From the first sweep on one type cannot be looked at."""
    world.refuses = lambda sent: "_id" in sent.url.params and "ServiceRequest" in sent.url.path
    fired = world.pass_steps(20)
    world.refuses = lambda _: False
    world.pass_steps(8)
    return fired


def _pause_forgotten(world: Staged) -> int:
    world.pass_steps(1)
    world.pause("Task")
    fired = world.pass_steps(27)
    world.resume("Task")
    world.pass_steps(2)
    return fired


def _disk(world: Staged) -> int:
    world.pass_steps(3)
    world.free = GIB // 2
    fired = world.pass_steps(8)
    world.free = 40 * GIB  # make room
    world.pass_steps(3)
    return fired


def _clock(world: Staged) -> int:
    world.pass_steps(3)
    world.skew = timedelta(minutes=4)
    fired = world.pass_steps(9)
    world.skew = timedelta(0)  # time is kept again
    world.pass_steps(4)
    return fired


def _faults(world: Staged) -> int:
    """A fault of ours: what comes back makes code of ours raise."""
    world.pass_steps(3)

    def raises(sent: httpx.Request) -> httpx.Response | None:
        if sent.method == "PUT":
            raise ValueError("Ada Quill")
        return None

    world.answers = raises
    world.ehr.put(order("o2"))
    fired = world.pass_steps(3)
    world.answers = lambda _: None  # the release that mends it
    _replay(world)
    world.pass_steps(34)
    return fired


SCENARIOS = (
    Scenario("BridgeDown", _down),
    Scenario("BridgeReplicaDown", _replica_down),
    Scenario("BridgeDatabaseDown", _database_down),
    Scenario("BridgeDatabaseNotSaving", _not_saving),
    Scenario("BridgeDataStale", _stale),
    Scenario("BridgeDataStale", _never_read),
    Scenario("BridgeReadFailing", _read_failing),
    Scenario("BridgeReadFailing", _one_type_breaks),
    Scenario("BridgeEhrAway", _away),
    Scenario("BridgeCredentialsRefused", _credentials),
    Scenario("BridgeOutboxStuck", _outbox_stuck, 10),
    Scenario("BridgeParkedGrowing", _parked_growing),
    Scenario("BridgeParkedForgotten", _parked_forgotten, 60),
    Scenario("BridgeNotificationsSilent", _notifications_silent),
    Scenario("BridgeNotificationsRefused", _notifications_refused),
    Scenario("BridgeHintsWaiting", _hints_waiting),
    Scenario("BridgeSweepRepairing", _sweep_repairing, 5, ("still-timestamps",)),
    Scenario("BridgeProofLate", _proof_late, 10),
    Scenario("BridgeProofLate", _never_proven, 10),
    Scenario("BridgePauseForgotten", _pause_forgotten, 60),
    Scenario("BridgeDiskFilling", _disk),
    Scenario("BridgeClockSkew", _clock),
    Scenario("BridgeFaults", _faults),
)
