"""F19 at its worst: the database is lost and there is no backup; a new one is marked as older than its EHR."""

from __future__ import annotations

from pathlib import Path

from bridge.backup import mark
from bridge.cases.commands import Close, LogOutreach
from bridge.cases.terms import AttemptOutcome, Channel, ClosureReason, Status
from bridge.store.migrations import migrate
from tests.faults.disaster import OWN_OR_NOT, Disaster
from tests.unit.sync.world import order, visit


@OWN_OR_NOT
def test_a_new_database_that_is_marked_doubles_nothing(own_ids: bool, tmp_path: Path) -> None:
    world = Disaster(tmp_path, own_ids)
    world.ehr.put(visit("v1", basedOn=[{"reference": "ServiceRequest/o1"}]))
    world.act("ServiceRequest/o0", LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER), new_id="a7")
    world.act("ServiceRequest/o2", Close(reason=ClosureReason.DECLINED))
    world.sync()
    world.ehr.put(visit("v1", basedOn=[{"reference": "ServiceRequest/o1"}], comment="Bring the list of medicines"))
    world.ehr.put(order("o3", status="revoked"))
    world.sync(minutes=120)
    before, told = world.said(), world.told()

    world.store.close()
    for rest in ("", "-wal", "-shm"):
        (tmp_path / f"bridge.sqlite3{rest}").unlink(missing_ok=True)
    url = f"sqlite:///{world.file}"
    migrate(url)
    mark(url, ["main"], world.clock())
    world.reopen()
    world.sync()
    world.sync()

    assert world.said().keys() == before.keys()
    assert sorted(world.told()) == sorted(told)
    assert world.case("ServiceRequest/o1").status is Status.SCHEDULED
    assert [one.id for one in world.case("ServiceRequest/o0").outreach] == ["a7"]
    (held,) = [one for one in world.restored().differing if one.held]
    assert held.case_id == world.case("ServiceRequest/o2").id
    world.store.close()
