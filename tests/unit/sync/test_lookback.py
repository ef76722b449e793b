"""What an EHR shows only long after its own timestamp is found with the next sweep, and read once."""

from __future__ import annotations

from datetime import timedelta

from tests.unit.sync.world import World, order, patient

LATE = timedelta(hours=2)


def a_world() -> World:
    """Return an EHR that is read, in which a new referral becomes visible only after two hours."""
    world = World()
    world.ehr.put(patient())
    world.sync()
    world.ehr.options.commit_delay = LATE
    world.ehr.put(order("late"))
    return world


def roots(world: World) -> set[str]:
    """Return the roots of all cases."""
    with world.store.reading() as tx:
        return set(tx.cases_of_roots("main", ["ServiceRequest/late", "ServiceRequest/o1"]))


def test_a_new_resource_that_shows_late_gets_its_case_with_the_next_sweep() -> None:
    world = a_world()
    for _ in range(3):
        world.sync()
        assert roots(world) == set()
    for _ in range(4):
        world.clock.advance(seconds=LATE.total_seconds() / 4)
        world.bridge.read()
    assert roots(world) == set(), "the poll looks back no further than its overlap"
    report = world.sync()

    assert report.sweep.repaired == 1
    assert roots(world) == {"ServiceRequest/late"}
    assert world.sync().sweep.repaired == 0


def test_the_first_poll_after_a_long_pause_looks_back_as_far_as_a_sweep_does() -> None:
    """What became visible before the pause, and after the last look back, is too old for the next one."""
    world = a_world()
    world.clock.advance(minutes=30)
    world.bridge.read()
    world.clock.advance(days=3)

    world.sync()

    assert roots(world) == {"ServiceRequest/late"}


def test_what_the_poll_will_see_is_left_to_it() -> None:
    world = World()
    world.ehr.put(patient())
    world.sync()
    world.ehr.put(order())

    assert world.bridge.compare().repaired == 0
    assert roots(world) == set()


def test_only_ids_are_listed_and_a_server_that_refuses_that_is_asked_for_all() -> None:
    world = a_world()
    world.sync()
    asked = [sent.url.params for sent in world.requests if sent.url.params.get("_elements")]
    assert {params["_elements"] for params in asked} == {"id,meta"}

    world.refuses = lambda sent: "_elements" in sent.url.params
    world.clock.advance(seconds=LATE.total_seconds())
    world.sync()
    assert roots(world) == {"ServiceRequest/late"}


def test_a_look_back_that_is_refused_is_a_problem_that_is_told() -> None:
    world = a_world()
    world.refuses = lambda sent: sent.url.params.get("_sort") == "_lastUpdated" and "_lastUpdated" in sent.url.params
    world.clock.advance(minutes=10)

    report = world.bridge.compare()

    assert any(problem.startswith("ServiceRequest: ") for problem in report.problems)
