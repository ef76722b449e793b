"""F19, after the restore: what people closed since the backup waits for one of them, and is told once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.cases.commands import Close, LogOutreach, Reopen
from bridge.cases.intents import IntentKind, IntentState
from bridge.cases.terms import AttemptOutcome, Channel, ClosureReason
from bridge.sync.replay import replay_outbox
from tests.faults.disaster import OWN_OR_NOT, Disaster
from tests.unit.sync.world import order


@OWN_OR_NOT
@pytest.mark.parametrize("reason", [ClosureReason.ENTERED_IN_ERROR, ClosureReason.DUPLICATE])
def test_what_somebody_found_to_be_no_work_gets_no_other_task(
    own_ids: bool, reason: ClosureReason, tmp_path: Path
) -> None:
    world = Disaster(tmp_path, own_ids)
    world.act("ServiceRequest/o1", Close(reason=reason))
    world.sync(minutes=120)
    before = world.said()

    world.restore()
    for _ in range(3):
        world.sync(minutes=60)

    (differing,) = world.restored().differing
    assert (differing.case_id, differing.held) == (world.case("ServiceRequest/o1").id, True)
    assert world.said() == before
    world.store.close()


@OWN_OR_NOT
def test_a_closing_is_not_overwritten_until_somebody_has_looked(own_ids: bool, tmp_path: Path) -> None:
    world = Disaster(tmp_path, own_ids)
    world.act("ServiceRequest/o1", Close(reason=ClosureReason.DECLINED, outcome="does not want to"))
    world.sync(minutes=120)
    before = world.said()

    world.restore()
    for _ in range(3):
        world.sync(minutes=60)

    case = world.case("ServiceRequest/o1")
    (differing,) = world.restored().differing
    assert case.is_open
    assert (differing.case_id, differing.held) == (case.id, True)
    assert "does not want to" not in differing.words
    assert "does not want to" in case.notes[-1].text
    assert {row.code for row in world.outbox() if row.state is IntentState.PARKED} <= {"restored"}
    assert world.said() == before

    world.act("ServiceRequest/o1", Close(reason=ClosureReason.DECLINED, outcome="does not want to"))
    world.sync()

    assert not world.restored().held
    tasks = [one for one in world.said() if one.startswith("Task/")]
    assert tasks == [one for one in before if one.startswith("Task/")]
    assert all(row.state is not IntentState.PARKED for row in world.outbox())
    world.store.close()


@OWN_OR_NOT
def test_an_attempt_that_waited_with_its_case_is_recorded_once_somebody_has_looked(
    own_ids: bool, tmp_path: Path
) -> None:
    world = Disaster(tmp_path, own_ids)
    again = Close(reason=ClosureReason.DECLINED, outcome="does not want to")
    world.act("ServiceRequest/o1", again)
    world.sync(minutes=120)
    world.restore()
    world.act("ServiceRequest/o1", LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.DECLINED), new_id="a2")
    world.sync()
    assert [row.code for row in world.outbox() if row.intent.kind is IntentKind.OUTREACH_RECORD] == ["restored"]

    world.act("ServiceRequest/o1", again)
    world.sync()

    ours = world.ours("Communication", "urn:bridge:message")
    assert [one["status"] for one in ours if one["identifier"][0]["value"] == "outreach/a2"] == ["not-done"]
    assert all(row.state is not IntentState.PARKED for row in world.outbox())
    world.store.close()


def test_a_replay_goes_on_with_a_case_that_the_ehr_calls_closed(tmp_path: Path) -> None:
    world = Disaster(tmp_path, own_ids=True)
    world.act("ServiceRequest/o1", Close(reason=ClosureReason.DECLINED, outcome="does not want to"))
    world.sync(minutes=120)
    world.restore()
    world.ehr.put(order("o1", priority="urgent"))
    world.sync()
    parked = [row.id for row in world.outbox() if row.code == "restored" and row.id is not None]

    assert replay_outbox(world.store, parked, world.clock()) == len(parked) > 0
    world.sync()

    case = world.case("ServiceRequest/o1")
    live = [task for task in world.ours("Task", "urn:bridge:case") if task["status"] in ("ready", "in-progress")]
    assert f"{case.id}-2" in {task["identifier"][0]["value"] for task in live}
    world.store.close()


@OWN_OR_NOT
def test_a_closing_that_a_person_enters_again_is_not_told_again(own_ids: bool, tmp_path: Path) -> None:
    """What was told of it is on the EHR, under a key that names a moment which nobody knows any more."""
    world = Disaster(tmp_path, own_ids)
    closing = Close(reason=ClosureReason.DECLINED, outcome="does not want to\u200e ")
    world.act("ServiceRequest/o1", closing)
    world.sync(minutes=120)
    before = world.told()
    world.restore()
    world.sync()

    world.act("ServiceRequest/o1", closing)
    world.sync()

    told = [row for row in world.outbox() if row.intent.kind is IntentKind.STATUS_MESSAGE]
    assert len(before) == 1
    assert world.told() == before
    assert [(row.state, row.written) for row in told] == [(IntentState.CONFIRMED, before[0])]
    assert "restored" in (told[0].reason or "")

    world.act("ServiceRequest/o1", Reopen(why="again"))
    world.sync()
    world.act("ServiceRequest/o1", closing)
    world.sync()
    assert len(world.told()) == 2
    world.store.close()


def test_another_closing_than_the_one_that_was_told_is_told(tmp_path: Path) -> None:
    world = Disaster(tmp_path, own_ids=True)
    world.act("ServiceRequest/o1", Close(reason=ClosureReason.DECLINED, outcome="does not want to"))
    world.sync(minutes=120)
    world.restore()
    world.sync()

    world.act("ServiceRequest/o1", Close(reason=ClosureReason.DECLINED, outcome="went elsewhere"))
    world.sync()

    assert len(world.told()) == 2
    world.store.close()


def test_a_closing_is_told_again_where_somebody_went_on_with_the_case_before(tmp_path: Path) -> None:
    world = Disaster(tmp_path, own_ids=True)
    closing = Close(reason=ClosureReason.DECLINED, outcome="does not want to")
    world.act("ServiceRequest/o1", closing)
    world.sync(minutes=120)
    world.restore()
    world.ehr.put(order("o1", priority="urgent"))
    world.sync()
    parked = [row.id for row in world.outbox() if row.code == "restored" and row.id is not None]
    replay_outbox(world.store, parked, world.clock())
    world.sync()

    world.act("ServiceRequest/o1", closing)
    world.sync()

    assert len(world.told()) == 2
    world.store.close()
