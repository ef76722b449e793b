"""A database with something in every table: what a release leaves behind for the next one."""

from __future__ import annotations

from datetime import timedelta

from bridge.cases.commands import ClearBlocker, Close, LogOutreach, Note, RaiseBlocker
from bridge.cases.model import AttemptOutcome, BlockerCategory, Channel, ClosureReason
from bridge.store.rows import Budget, Pause, Restored, Subscribed
from tests.unit.sync.world import World, a_task, order, patient, visit

NO_ANSWER = LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER)
BLOCKED = RaiseBlocker(category=BlockerCategory.TRANSPORT, text="no car")


def fill(world: World) -> None:
    """Let a clinic and its coordinators work for some days, and leave something undone in every queue."""
    _clinic(world)
    _coordinators(world)
    _left_undone(world)
    _of_its_own(world)


def _clinic(world: World) -> None:
    world.ehr.put(patient())
    for number in range(6):
        world.ehr.put(order(f"o{number}", note=[{"text": f"please {number}"}]))
    world.sync()
    world.ehr.put(a_task("t1", focus={"reference": "ServiceRequest/o1"}))
    world.ehr.put(visit("v2", basedOn=[{"reference": "ServiceRequest/o2"}]))
    world.ehr.put({**order("o5"), "status": "revoked"})
    world.ehr.put(a_task("bad", modifierExtension=[{"url": "http://ehr.example/not", "valueBoolean": True}]))
    world.ehr.put(a_task("alone", focus={"reference": "ServiceRequest/unknown"}))
    world.sync()
    world.ehr.put(a_task("alone", focus={"reference": "ServiceRequest/o3"}))
    world.sync()


def _coordinators(world: World) -> None:
    world.act("ServiceRequest/o0", NO_ANSWER, new_id="attempt-1")
    for command in (BLOCKED, ClearBlocker(), BLOCKED):
        world.act("ServiceRequest/o1", command)
    world.act("ServiceRequest/o3", Note(text="calls back on Friday"))
    world.act("ServiceRequest/o4", Close(reason=ClosureReason.DECLINED, outcome="went elsewhere"))
    world.sync()


def _left_undone(world: World) -> None:
    world.refuses = lambda sent: sent.method == "PUT"
    world.ehr.put(order("o1", status="on-hold"))
    world.bridge.read()
    world.bridge.deliver()
    world.refuses = lambda _: False
    world.act("ServiceRequest/o0", NO_ANSWER, new_id="attempt-2")
    world.ehr.put(order("o3", status="on-hold"))
    now = world.clock()
    with world.store.transaction() as tx:
        tx.note_hints("main", ["ServiceRequest/o3"], now, 1)
        tx.want_people("main", ["Patient/p9"], now)
    with world.store.transaction() as tx:
        assert len(tx.claim("main", now, now + timedelta(hours=1), 1)) == 1


def _of_its_own(world: World) -> None:
    now = world.clock()
    later = now + timedelta(minutes=5)
    subscribed = Subscribed(connection="main", key="bridge-1", flavor="classic", about="Task", types=("Task",))
    with world.store.transaction() as tx:
        tx.save_subscribed([subscribed])
        tx.save_budget(Budget(connection="main", next_at=now, asked_until=now))
        tx.workers("replica-1", now, now - timedelta(minutes=1))
        tx.pause(Pause(connection="main", type="Appointment", by="ann", at=now))
        tx.count_late("main", {("Task", "poll"): 2})
        tx.win_tick("review", now, later)
        tx.take_turn("sweep main", now, later)
        tx.save_restored(Restored(connection="main", restored_at=now, known_until=now, ready_at=now))
