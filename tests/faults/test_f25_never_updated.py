"""F22 and F25: writes that conflict, for a while or for ever."""

from __future__ import annotations

import pytest

from bridge.cases.commands import Assign, Close, LogOutreach, RaiseBlocker, Reopen
from bridge.cases.intents import IntentState
from bridge.cases.terms import AttemptOutcome, BlockerCategory, Channel, ClosureReason
from tests.unit.sync.test_deliver import a_world, between, parked, put
from tests.unit.sync.world import World, order

ROOT, OTHER = "ServiceRequest/o1", "ServiceRequest/o2"
CASES = "urn:bridge:case"
BLOCKED = RaiseBlocker(category=BlockerCategory.LANGUAGE, text="Interpreter")
ATTEMPT = LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER)


def tries(world: World, own_id: str) -> int:
    """Return how often Bridge tried to change our Task since the last round began."""
    return sum(sent.method == "PUT" and sent.url.path.endswith(own_id) for sent in world.requests)


@pytest.mark.parametrize("times", [0, 1, 7, 8, 20])
def test_a_storm_of_edits_ends_in_a_merge_or_with_a_person_and_never_over_them(times: int) -> None:
    world = a_world()
    world.sync()
    world.act(ROOT, BLOCKED)
    edits = iter(range(times))

    def edit() -> None:
        number = next(edits, None)
        if number is not None:
            before = world.task(ROOT).get("note", [])
            put(world, {**world.task(ROOT), "note": [*before, {"text": f"edit {number}"}]})

    between(world, edit, always=True)

    world.sync()

    said = [note["text"] for note in world.task(ROOT).get("note", [])]
    assert said == [f"edit {number}" for number in range(min(times, 8))]
    assert parked(world) == (["conflict"] if times >= 8 else [])
    assert world.task(ROOT)["status"] == ("ready" if times >= 8 else "on-hold")


def test_a_resource_that_can_never_be_updated_is_tried_eight_times_a_day_and_the_rest_goes_on() -> None:
    world = a_world()
    world.ehr.put(order("o2"))
    world.sync()
    own_id = next(str(task["id"]) for task in world.ours("Task", CASES) if task["focus"]["reference"] == ROOT)
    never_again(world, own_id)

    a_day = 0
    for hour in range(24):
        world.clock.advance(hours=1)
        world.act(ROOT, Assign(owner="ann" if hour % 2 else "desk"))
        world.requests.clear()
        world.bridge.deliver()
        a_day += tries(world, own_id)

    assert a_day == 8
    (row,) = [row for row in world.outbox() if row.state is IntentState.PARKED]
    assert row.code == "never-updated"
    assert "not tried again before 2026-06-02" in (row.reason or "")
    world.act(OTHER, BLOCKED)
    world.act(ROOT, ATTEMPT)
    world.bridge.deliver()
    assert {task["focus"]["reference"]: task["status"] for task in world.ours("Task", CASES)} == {
        ROOT: "ready",
        OTHER: "on-hold",
    }
    assert len(world.ours("Communication", "urn:bridge:message")) == 1


def test_a_day_later_it_is_tried_again_and_goes_through_once_the_ehr_is_well() -> None:
    world = a_world()
    world.sync()
    own_id = str(world.task(ROOT)["id"])
    never_again(world, own_id)
    world.act(ROOT, BLOCKED)
    world.bridge.deliver()
    assert parked(world) == ["never-updated"]
    world.refuses_as_stale.clear()

    world.act(ROOT, ATTEMPT)
    world.bridge.deliver()
    assert parked(world) == ["never-updated"], "not within the day"
    world.clock.advance(days=1, minutes=1)
    world.act(ROOT, Assign(owner="desk"))
    world.bridge.deliver()

    assert parked(world) == []
    assert world.task(ROOT)["status"] == "on-hold"


def test_a_message_of_a_later_life_does_not_wait_for_a_task_that_is_never_updated() -> None:
    world = a_world()
    world.sync()
    world.act(ROOT, Close(reason=ClosureReason.DECLINED, outcome="Moved away"))
    world.sync()
    world.act(ROOT, Reopen(why="is back"))
    world.sync()
    (second,) = [task for task in world.ours("Task", CASES) if task["status"] not in ("cancelled", "failed")]
    never_again(world, str(second["id"]))
    world.act(ROOT, ATTEMPT)

    world.bridge.deliver()

    (message,) = [one for one in world.ours("Communication", "urn:bridge:message") if one["status"] == "not-done"]
    assert message["partOf"] == [{"reference": f"Task/{second['id']}"}]
    assert parked(world) == ["never-updated"]


def never_again(world: World, own_id: str) -> None:
    """Let the EHR answer every update of a resource with a conflict."""
    world.refuses_as_stale.add(own_id)
