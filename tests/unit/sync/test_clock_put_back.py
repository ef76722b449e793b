"""An EHR whose clock was ahead and is put back dates what is newer before what it showed until then."""

from __future__ import annotations

from bridge.cases.commands import Close
from bridge.cases.terms import ClosureReason, Status
from bridge.fhir.client import Endpoint, FhirClient
from bridge.store.rows import InboxRow
from bridge.sync.ingest import Intake, ingest
from bridge.sync.people import Asking
from tests.unit.sync.world import BASE, World, order, patient

ROOT = "ServiceRequest/o1"
AHEAD = "clock-skew"


def world_ahead(minutes: int = 60) -> World:
    """Return a world whose EHR stored an order while its clock was ahead, and has the right time since."""
    world = World()
    world.ehr.put(patient())
    world.ehr.add_fault(f"{AHEAD}={minutes * 60}")
    world.ehr.put(order())
    world.sync()
    world.ehr.remove_fault(AHEAD)
    return world


def known(world: World, ref: str = ROOT) -> str:
    with world.store.reading() as tx:
        return tx.sources("main", [ref])[ref].snapshot.status


def inbox(world: World) -> list[InboxRow]:
    with world.store.reading() as tx:
        return tx.inbox(connection="main", limit=1000)


def client(world: World) -> FhirClient:
    return FhirClient(Endpoint("main", BASE, attempts=1), clock=world.clock, transport=world.way())


def assert_accounted_for(world: World) -> None:
    rows = inbox(world)
    with world.store.reading() as tx:
        totals = tx.totals("main")
    for counts in totals.values():
        assert counts.received == counts.applied + counts.duplicate + counts.ignored + counts.parked
    assert sum(counts.applied for counts in totals.values()) == sum(row.state == "applied" for row in rows)
    assert sum(counts.ignored for counts in totals.values()) == sum(row.state == "ignored" for row in rows)


def test_what_an_open_case_rests_on_is_what_the_ehr_shows_now() -> None:
    world = world_ahead()
    world.ehr.put(order(status="revoked"))

    world.sync()

    assert (known(world), world.case(ROOT).status) == ("revoked", Status.CLOSED)
    assert world.task(ROOT)["status"] == "cancelled"
    assert_accounted_for(world)
    assert world.bridge.sync_once().complete
    assert known(world) == "revoked"


def test_what_came_before_and_was_taken_for_older_counts_after_all() -> None:
    world = world_ahead()
    world.ehr.put(order(status="on-hold"))
    version = client(world).read(ROOT)
    ingest(Intake("ServiceRequest", [version], "poll"), world.store, world.line, world.clock())
    assert known(world) == "active"

    world.sync()

    assert known(world) == "on-hold"
    assert_accounted_for(world)


def test_a_poll_asks_which_of_two_stands_where_no_case_is_open() -> None:
    """The sweep does not look at it; the poll sees it once, within its overlap."""
    world = world_ahead(minutes=3)
    world.act(ROOT, Close(reason=ClosureReason.OTHER, outcome="Asked for twice"))
    world.ehr.put(order(status="completed"))

    world.sync(minutes=0)

    assert known(world) == "completed"
    assert_accounted_for(world)


def test_an_older_version_that_comes_late_changes_nothing() -> None:
    world = World()
    world.ehr.put(patient())
    world.ehr.put(order())
    older = client(world).read(ROOT)
    world.ehr.put(order(status="on-hold"))
    world.sync()
    ask = Asking(client(world), world.store, world.line, world.clock)
    rows = len(inbox(world))

    ingest(Intake("ServiceRequest", [older], "poll"), world.store, world.line, world.clock(), ask)

    assert (known(world), len(inbox(world))) == ("on-hold", rows + 1)
    assert_accounted_for(world)


def test_what_came_to_count_meanwhile_is_not_replaced() -> None:
    """Between the answer of the EHR and its being stored another process may have read what is newer still."""
    world = world_ahead()
    world.ehr.put(order(status="on-hold"))
    version = client(world).read(ROOT)
    late = Intake("sweep", [version], "sweep", over={ROOT: "0"})

    ingest(late, world.store, world.line, world.clock())

    assert known(world) == "active"
