"""F19: our database is restored from yesterday's backup while the EHR moved on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bridge.cases.commands import Assign, Close, Escalate, LogOutreach, Reopen
from bridge.cases.intents import IntentState
from bridge.cases.terms import AttemptOutcome, Channel, ClosureReason
from bridge.errors import HeldBack
from bridge.tasks.identity import CASE_SYSTEM
from tests.faults.beside import FileWorld
from tests.faults.disaster import OWN_OR_NOT, Disaster
from tests.unit.sync.world import a_task, order, patient, visit


@pytest.mark.parametrize("own_ids", [True, False], ids=["own id", "conditional"])
def test_a_restored_backup_doubles_nothing_and_catches_up(own_ids: bool, tmp_path: Path) -> None:
    world = FileWorld(tmp_path)
    world.fill(3)
    world.ehr.options.update_as_create = own_ids
    world.sync()
    world.act("ServiceRequest/o0", LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER))
    world.bridge.read()
    with closing(sqlite3.connect(world.file)) as conn, closing(sqlite3.connect(tmp_path / "backup")) as backup:
        conn.backup(backup)
    world.sync()
    world.act("ServiceRequest/o1", Close(reason=ClosureReason.DECLINED))
    world.ehr.put(order("o2", status="revoked"))
    world.ehr.put(order("o9"))
    world.sync()
    messages = len(world.ours("Communication", "urn:bridge:message"))
    world.store.close()

    for rest in ("", "-wal", "-shm"):
        (tmp_path / f"bridge.sqlite3{rest}").unlink(missing_ok=True)
    (tmp_path / "backup").rename(world.file)
    world.reopen()
    world.sync(minutes=60)
    world.sync(minutes=60)

    tasks = world.ours("Task", "urn:bridge:case")
    names = [one["value"] for task in tasks for one in task["identifier"]]
    assert len(names) == len(set(names))
    attempts = [one for one in world.ours("Communication", "urn:bridge:message") if one["status"] == "not-done"]
    assert len(attempts) == 1
    assert len(world.ours("Communication", "urn:bridge:message")) <= messages + 1
    assert {row.state for row in world.outbox()} <= {
        IntentState.CONFIRMED,
        IntentState.SUPERSEDED,
        IntentState.NOT_WRITABLE,
    }
    assert {case.root for case in world.cases()} == {f"ServiceRequest/o{number}" for number in (0, 1, 2, 9)}
    assert world.sound()
    world.store.close()


@OWN_OR_NOT
def test_an_attempt_that_is_on_the_ehr_is_on_its_case_again(own_ids: bool, tmp_path: Path) -> None:
    world = Disaster(tmp_path, own_ids)
    world.act("ServiceRequest/o0", LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER), new_id="a7")
    world.sync(minutes=120)
    before, case = world.said(), world.case("ServiceRequest/o0")

    world.restore()
    world.sync()

    (attempt,) = world.case("ServiceRequest/o0").outreach
    assert (attempt.id, attempt.channel, attempt.outcome) == ("a7", Channel.PHONE, AttemptOutcome.NO_ANSWER)
    assert world.case("ServiceRequest/o0").status is case.status
    assert world.said().keys() == before.keys()
    assert (world.restored().attempts, world.restored().messages) == (1, 0)
    world.store.close()


@OWN_OR_NOT
def test_what_was_told_by_a_version_that_nobody_can_read_any_more_is_not_told_again(
    own_ids: bool, tmp_path: Path
) -> None:
    """The message names the version of the visit that it was about; since then the visit has another one."""
    world = Disaster(tmp_path, own_ids)
    world.ehr.put(visit(basedOn=[{"reference": "ServiceRequest/o2"}]))
    world.sync()
    world.ehr.put(visit(basedOn=[{"reference": "ServiceRequest/o2"}], comment="bring the letter"))
    world.sync(minutes=110)
    before = world.said()
    told = [ref for ref in before if ref.startswith("Communication/")]

    world.restore()
    world.sync()

    assert len(told) == 1
    assert world.said().keys() == before.keys()
    assert world.restored().taken_over == 1
    assert all(row.state is not IntentState.QUEUED for row in world.outbox())
    world.store.close()


@OWN_OR_NOT
def test_what_a_person_decided_is_kept_in_words(own_ids: bool, tmp_path: Path) -> None:
    world = Disaster(tmp_path, own_ids)
    world.act("ServiceRequest/o3", Escalate(why="it is getting worse", to="ann"))
    world.sync(minutes=120)

    world.restore()
    world.sync()

    case = world.case("ServiceRequest/o3")
    (differing,) = world.restored().differing
    assert (differing.case_id, differing.held) == (case.id, False)
    assert "the EHR says escalated" in differing.words
    assert "restored from a backup" in case.notes[-1].text
    assert "Escalated" in case.notes[-1].text
    world.store.close()


@OWN_OR_NOT
def test_what_the_clinic_did_since_is_read_and_makes_no_note(own_ids: bool, tmp_path: Path) -> None:
    world = Disaster(tmp_path, own_ids)
    world.ehr.put(order("o9"))
    world.sync(minutes=100)
    world.ehr.put(order("o2", status="revoked"))
    world.clinic.delete("ServiceRequest/o4").raise_for_status()
    world.sync(minutes=20)
    before = world.said()

    world.restore()
    world.sync()
    world.sync(minutes=60)

    assert world.said() == before
    found = world.restored()
    assert found.ready_at is not None
    assert (found.differing, found.problems) == ((), ())
    assert found.changes >= 2
    assert found.tasks >= 2
    assert world.sound()
    world.store.close()


def test_nothing_is_written_until_all_is_read_again(tmp_path: Path) -> None:
    world = Disaster(tmp_path, own_ids=False)
    world.ehr.put(order("o9"))
    world.sync(minutes=120)
    world.ehr.put(order("o10"))
    world.restore()
    world.requests.clear()

    with pytest.raises(HeldBack, match="nothing is written before"):
        world.bridge.deliver()

    assert world.writes == []
    assert world.restored().ready_at is None
    world.clock.advance(minutes=6)
    world.bridge.deliver()
    assert world.restored().ready_at == world.clock()
    assert len(world.ours("Task", "urn:bridge:case")) == 8
    world.store.close()


def test_an_ehr_that_is_away_after_a_restore_is_written_to_when_it_is_back(tmp_path: Path) -> None:
    world = Disaster(tmp_path, own_ids=True)
    world.sync(minutes=120)
    world.ehr.put(order("o10"))
    world.restore()
    world.away = True

    report = world.bridge.sync_once()

    assert report.problems
    assert world.restored().ready_at is None
    world.away = False
    world.sync()
    assert world.restored().ready_at is not None
    world.store.close()


@OWN_OR_NOT
def test_what_was_told_and_taken_back_since_is_told_again(own_ids: bool, tmp_path: Path) -> None:
    """A visit was told, and then that it does not take place: that it does after all is news."""
    world = Disaster(tmp_path, own_ids)
    world.ehr.put(visit(basedOn=[{"reference": "ServiceRequest/o2"}]))
    world.sync(minutes=30)
    world.ehr.put(visit(basedOn=[{"reference": "ServiceRequest/o2"}], status="cancelled"))
    world.sync(minutes=90)
    before = world.told()
    world.ehr.put(visit(basedOn=[{"reference": "ServiceRequest/o2"}]))
    world.restore()
    world.sync()

    assert len(before) == 2
    assert len(world.told()) == 3
    world.store.close()


@OWN_OR_NOT
def test_what_was_told_in_the_record_of_another_patient_is_taken_back(own_ids: bool, tmp_path: Path) -> None:
    """The order was corrected while Bridge was down, and the message in between is known to nobody."""
    world = Disaster(tmp_path, own_ids)
    world.act("ServiceRequest/o1", LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER), new_id="a7")
    world.act("ServiceRequest/o2", Close(reason=ClosureReason.DECLINED, outcome="does not want to"))
    world.ehr.put(order("o9"))
    world.sync(minutes=60)
    world.act("ServiceRequest/o9", Close(reason=ClosureReason.DECLINED, outcome="does not want to"))
    world.sync(minutes=60)
    world.ehr.put(patient("p2"))
    for own_id in ("o1", "o2", "o9"):
        world.ehr.put(order(own_id, subject={"reference": "Patient/p2"}))

    world.restore()
    for _ in range(3):
        world.sync()

    ours = [one for one in world.ours("Communication", "urn:bridge:message") if one["status"] != "entered-in-error"]
    assert len(world.ours("Communication", "urn:bridge:message")) >= 3
    assert {one["subject"]["reference"] for one in ours} <= {"Patient/p2"}
    world.store.close()


def test_what_was_told_of_work_that_is_over_is_taken_back_when_it_becomes_another_patients(tmp_path: Path) -> None:
    """The restored database knows it only as over, and has said nothing of it."""
    world = Disaster(tmp_path, own_ids=True)
    world.ehr.put(order("o9"))
    world.sync(minutes=60)
    world.act("ServiceRequest/o9", Close(reason=ClosureReason.DECLINED, outcome="does not want to"))
    world.sync(minutes=50)
    (told,) = world.told()
    world.clinic.delete(f"Task/{world.task('ServiceRequest/o9')['id']}").raise_for_status()
    world.ehr.put(order("o9", status="revoked"))
    asks = a_task("t9", focus={"reference": "ServiceRequest/o9"}, status="cancelled")
    world.ehr.put({**asks, "status": "requested"})
    world.restore()
    world.sync()
    assert not world.case("ServiceRequest/o9").is_open
    assert world.told() == [told]

    world.ehr.put(patient("p2"))
    world.ehr.put(order("o9", status="revoked", subject={"reference": "Patient/p2"}))
    world.ehr.put({**asks, "for": {"reference": "Patient/p2"}})
    world.sync()
    world.sync()

    assert world.told() == []
    assert not any(one.get("focus") == {"reference": "ServiceRequest/o9"} for one in world.ours("Task", CASE_SYSTEM))
    world.store.close()


def test_what_one_restore_found_is_known_to_the_next(tmp_path: Path) -> None:
    """A backup of a restored database is put back in its turn, days later."""
    world = Disaster(tmp_path, own_ids=True)
    closing = Close(reason=ClosureReason.DECLINED, outcome="does not want to")
    world.act("ServiceRequest/o1", closing)
    world.sync(minutes=120)
    world.restore()
    world.sync()
    for _ in range(5):
        world.sync(minutes=24 * 60)
    before = world.said()
    world.back_up()

    world.restore()
    world.ehr.put(order("o1", priority="urgent"))
    world.sync()

    assert world.restored().held
    assert world.said() == before
    world.act("ServiceRequest/o1", closing)
    world.sync()
    assert world.said().keys() == before.keys()
    world.store.close()


def test_a_restore_that_was_not_done_with_its_ehr_is_caught_up_with_by_the_next(tmp_path: Path) -> None:
    """The backup was made after a restore and before its end: it had read the EHR anew, and does not know it yet."""
    world = Disaster(tmp_path, own_ids=True)
    world.act("ServiceRequest/o1", Close(reason=ClosureReason.DECLINED, outcome="does not want to"))
    for _ in range(4):
        world.sync(minutes=24 * 60)
    before = world.said()
    known_until = world.restored_after().known_until
    world.clock.advance(minutes=10)
    for stream in world.line.types:
        world.bridge.read_stream(stream)
    world.back_up()

    world.restore()

    assert world.restored().known_until == known_until
    world.sync()
    assert world.restored().held
    assert world.said() == before
    world.store.close()


@OWN_OR_NOT
def test_a_task_of_a_life_that_the_backup_does_not_know_is_the_one_that_goes_on(own_ids: bool, tmp_path: Path) -> None:
    """The case was closed and reopened before anything was written: it has no Task of its first life."""
    world = Disaster(tmp_path, own_ids)
    world.ehr.put(order("o9"))
    world.bridge.read()
    world.back_up()
    world.act("ServiceRequest/o9", Close(reason=ClosureReason.DECLINED))
    world.act("ServiceRequest/o9", Reopen(why="again"))
    world.sync(minutes=120)
    before = world.said()

    world.restore()
    world.ehr.put(order("o9", priority="urgent"))
    world.sync()

    assert world.task("ServiceRequest/o9")["identifier"][0]["value"].endswith("-2")
    assert world.task("ServiceRequest/o9")["priority"] == "urgent"
    assert world.said().keys() == before.keys()
    world.store.close()


@OWN_OR_NOT
def test_what_bridge_took_back_itself_keeps_no_case_from_having_a_task(own_ids: bool, tmp_path: Path) -> None:
    """Nobody ended it in the EHR, though its patient's record was merged into the right one since."""
    world = Disaster(tmp_path, own_ids)
    world.ehr.put(order("o9"))
    world.sync()
    world.ehr.put(patient("p2"))
    world.ehr.put(order("o9", subject={"reference": "Patient/p2"}))
    world.sync(minutes=110)
    link = {"other": {"reference": "Patient/p2"}, "type": "replaced-by"}
    world.ehr.put({**patient("p1"), "active": False, "link": [link]})
    for task in world.ours("Task", "urn:bridge:case"):
        if task["for"]["reference"] == "Patient/p2":
            world.clinic.delete(f"Task/{task['id']}").raise_for_status()

    world.restore()
    world.sync()
    world.sync()

    live = [
        one for one in world.ours("Task", "urn:bridge:case") if one.get("focus") == {"reference": "ServiceRequest/o9"}
    ]
    assert [one["for"]["reference"] for one in live] == ["Patient/p2"]
    assert all(row.code != "ended-in-ehr" for row in world.outbox())
    world.store.close()


def test_what_was_told_is_found_where_nothing_can_be_searched_for_by_its_date(tmp_path: Path) -> None:
    world = Disaster(tmp_path, own_ids=False)
    closing = Close(reason=ClosureReason.DECLINED, outcome="does not want to")
    world.act("ServiceRequest/o1", closing)
    world.sync(minutes=120)
    before = world.said()
    world.refuses = lambda sent: (
        "_lastUpdated" in sent.url.params
        and ("identifier" in sent.url.params or sent.url.path.endswith("Communication"))
    )
    world.restore()
    world.sync()

    assert world.restored().held
    world.act("ServiceRequest/o1", closing)
    world.sync()

    assert world.said().keys() == before.keys()
    world.store.close()


@OWN_OR_NOT
def test_a_task_is_brought_up_to_date_though_nothing_else_is_due_for_its_case(own_ids: bool, tmp_path: Path) -> None:
    world = Disaster(tmp_path, own_ids)
    world.act("ServiceRequest/o3", Assign(owner="ann"))
    world.sync(minutes=120)
    assert world.task("ServiceRequest/o3")["businessStatus"]["coding"][0]["code"] == "needs-outreach"

    world.restore()
    world.sync()

    case = world.case("ServiceRequest/o3")
    assert world.task("ServiceRequest/o3")["businessStatus"]["coding"][0]["code"] == case.status.value == "new"
    assert world.sound()
    world.store.close()
