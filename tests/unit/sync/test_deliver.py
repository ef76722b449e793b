"""Deliver: what Bridge writes to an EHR, how often, and what it refuses to write."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bridge.cases.commands import Assign, Close, LogOutreach, RaiseBlocker, Reopen
from bridge.cases.intents import IntentState
from bridge.cases.terms import AttemptOutcome, BlockerCategory, Channel, ClosureReason, Status
from bridge.store.memory import MemoryStore
from conformance.simulator import Options
from tests.unit.sync.world import World, a_task, order, patient, visit

ROOT = "ServiceRequest/o1"
CASES, MESSAGES = "urn:bridge:case", "urn:bridge:message"


both_routes = pytest.mark.parametrize("own_ids", [True, False], ids=["own id", "conditional"])


def a_world(*, own_ids: bool = True, **settings: Any) -> World:
    """Return an EHR with one order; with *own_ids* false it lets nobody choose ids."""
    world = World(**settings)
    world.ehr.put(patient())
    world.ehr.put(order())
    world.ehr.options.update_as_create = own_ids
    return world


# What stands on the EHR -----------------------------------------------------------------------------------


def test_an_order_gets_one_task_that_says_where_it_stands() -> None:
    world = a_world()

    world.sync()

    task = world.task(ROOT)
    assert task["status"] == "ready"
    assert task["for"]["reference"] == "Patient/p1"
    assert task["businessStatus"]["coding"][0]["code"] == "new"
    assert task["restriction"]["period"]["end"] == "2026-06-02T17:00:00Z"
    assert "take up the referral" in task["text"]["div"]


@both_routes
def test_fifty_rounds_without_news_write_nothing(own_ids: bool) -> None:
    """Our own writes come back through the poll; they must not cause another."""
    world = a_world()
    world.ehr.put(visit())
    world.ehr.put(a_task(owner={"reference": "Organization/desk"}))
    world.ehr.options.update_as_create = own_ids
    world.sync()
    world.sync()

    for _ in range(50):
        world.sync()

        assert world.writes == []
    assert len(world.ours("Task", CASES)) == 1
    assert len(world.ours("Communication", MESSAGES)) == 1


def test_a_booked_visit_is_told_to_the_requester_once_as_part_of_our_task() -> None:
    world = a_world()
    world.ehr.put({"resourceType": "Practitioner", "id": "house"})
    world.sync()
    world.ehr.put(visit())

    world.sync()
    world.ehr.put(visit(description="Same visit, other words"))
    world.sync()

    (message,) = world.ours("Communication", MESSAGES)
    task = world.task(ROOT)
    assert message["status"] == "completed"
    assert message["recipient"][0]["reference"] == "Practitioner/house"
    assert message["basedOn"] == [{"reference": ROOT}]
    assert message["partOf"] == [{"reference": f"Task/{task['id']}"}]
    assert "Visit on 2026-06-20" in message["payload"][0]["contentString"]
    assert task["status"] == "in-progress"


@pytest.mark.parametrize(
    ("then", "said", "unsaid"),
    [
        ({"status": "cancelled"}, "The visit on 2026-06-20 does not take place.", "Visit on"),
        ({"status": "noshow"}, "The visit on 2026-06-20 does not take place.", "Visit on"),
        ({"start": "2026-06-25T15:00:00Z"}, "Visit on 2026-06-25.", "2026-06-20"),
    ],
)
def test_the_last_word_to_the_requester_is_no_visit_that_is_not_any_more(
    then: dict[str, Any], said: str, unsaid: str
) -> None:
    world = a_world()
    world.ehr.put(visit())
    world.sync()
    world.ehr.put(visit(**then))

    world.sync()
    world.sync()

    texts = [one["payload"][0]["contentString"] for one in world.ours("Communication", MESSAGES)]
    (last,) = [text for text in texts if said in text]
    assert len(texts) == 2
    assert unsaid not in last


def test_a_message_says_nothing_of_what_the_order_is_for() -> None:
    world = a_world()
    world.ehr.put(visit())

    world.sync()

    (message,) = world.ours("Communication", MESSAGES)
    assert "cardiology" not in message["payload"][0]["contentString"].lower()


def test_every_outreach_attempt_is_recorded_once_and_a_failed_one_as_not_done() -> None:
    world = a_world()
    world.sync()
    world.act(ROOT, LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER), new_id="a1")
    world.act(ROOT, LogOutreach(channel=Channel.TEXT, outcome=AttemptOutcome.SENT), new_id="a2")

    world.sync()
    world.sync()

    by_key = {one["identifier"][0]["value"]: one for one in world.ours("Communication", MESSAGES)}
    assert by_key["outreach/a1"]["status"] == "not-done"
    assert by_key["outreach/a1"]["statusReason"]["coding"][0]["code"] == "recipient-unavailable"
    assert by_key["outreach/a2"]["status"] == "completed"
    assert world.case(ROOT).status is Status.WAITING_ON_PATIENT


def test_a_blocker_puts_our_task_on_hold_with_its_reason_and_clearing_resumes_it() -> None:
    world = a_world()
    world.sync()
    world.act(ROOT, RaiseBlocker(category=BlockerCategory.MISSING_DOCUMENTATION, text="ECG report"))

    world.sync()

    task = world.task(ROOT)
    assert task["status"] == "on-hold"
    assert task["statusReason"]["text"] == "Missing documentation: ECG report"
    statuses = [one["status"] for one in versions(world, f"Task/{task['id']}")]
    assert statuses == ["ready", "in-progress", "on-hold"], "every move is one that FHIR draws"


def test_closing_ends_the_task_with_its_outcome() -> None:
    world = a_world()
    world.ehr.put({"resourceType": "Encounter", "id": "e9", "subject": {"reference": "Patient/p1"}})
    world.sync()
    world.act(ROOT, Close(reason=ClosureReason.COMPLETED, outcome="Seen", evidence=("Encounter/e9",)))

    world.sync()

    task = world.task(ROOT)
    assert task["status"] == "completed"
    assert [one.get("valueString") or one["valueReference"]["reference"] for one in task["output"]] == [
        "completed: Seen",
        "Encounter/e9",
    ]


def test_entered_in_error_voids_our_task_and_unsent_messages() -> None:
    world = a_world()
    world.sync()
    world.act(ROOT, RaiseBlocker(category=BlockerCategory.TRANSPORT, text="No ride"))
    world.ehr.put(order(status="entered-in-error"))

    world.sync()

    assert world.task(ROOT)["status"] == "entered-in-error"
    assert world.case(ROOT).status is Status.CLOSED


def test_what_others_added_to_our_task_survives_our_update() -> None:
    world = a_world()
    world.sync()
    task = world.task(ROOT)
    theirs = {
        "extension": [{"url": "http://ehr.example/flag", "valueDecimal": 1.00}],
        "note": [{"text": "Called the family"}],
        "priority": "stat",
    }
    put(world, {**task, **theirs})
    world.act(ROOT, RaiseBlocker(category=BlockerCategory.LANGUAGE, text="Interpreter for Friday"))

    world.sync()

    after = world.task(ROOT)
    assert after["extension"] == theirs["extension"]
    assert {"text": "Called the family"} in after["note"]
    assert after["priority"] == "stat"
    assert after["status"] == "on-hold"


def test_an_unknown_modifier_extension_on_our_task_stops_automation() -> None:
    world = a_world()
    world.sync()
    put(world, {**world.task(ROOT), "modifierExtension": [{"url": "http://ehr.example/not", "valueBoolean": True}]})
    world.act(ROOT, RaiseBlocker(category=BlockerCategory.LANGUAGE, text="Interpreter"))

    world.sync()

    assert parked(world) == ["not-allowed"]
    assert world.task(ROOT)["status"] == "ready"


@pytest.mark.parametrize("ended_as", ["cancelled", "completed"])
def test_our_task_that_the_ehrs_users_ended_stays_ended_and_the_outbox_says_so(ended_as: str) -> None:
    world = a_world()
    world.sync()
    put(world, {**world.task(ROOT), "status": ended_as, "statusReason": {"text": "Not wanted"}})
    world.act(ROOT, RaiseBlocker(category=BlockerCategory.LANGUAGE, text="Interpreter"))
    world.act(ROOT, LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER))

    world.sync()

    task = world.task(ROOT)
    assert (task["status"], task["statusReason"]["text"]) == (ended_as, "Not wanted")
    (row,) = [row for row in world.outbox() if row.state is IntentState.NOT_WRITABLE]
    assert (row.code, ended_as in (row.reason or "")) == ("ended-in-ehr", True)
    assert "ended in the EHR by somebody else" in (row.reason or "")
    assert parked(world) == []
    (message,) = [one for one in world.ours("Communication", MESSAGES) if one["status"] == "not-done"]
    assert message["partOf"] == [{"reference": f"Task/{task['id']}"}]


def test_a_database_that_was_lost_doubles_no_message() -> None:
    world = a_world()
    world.sync()
    world.ehr.put(visit())
    world.sync()
    (told,) = world.ours("Communication", MESSAGES)

    world.store = MemoryStore()
    world.bridge = world.new_bridge()
    world.sync()

    assert world.ours("Communication", MESSAGES) == [told]


# A Task that asks us --------------------------------------------------------------------------------------


def test_a_task_that_asks_us_moves_along_and_ends_with_the_case() -> None:
    world = a_world()
    asking = a_task(
        owner={"reference": "Organization/desk"},
        extension=[{"url": "http://ehr.example/x", "valueString": "keep"}],
    )
    world.ehr.put(asking)

    world.sync()
    assert world.ehr.get("Task/t1")["status"] == "received"
    world.act(ROOT, Assign(owner="ann"))
    world.sync()
    assert world.ehr.get("Task/t1")["status"] == "in-progress"
    world.act(ROOT, Close(reason=ClosureReason.COMPLETED, outcome="Seen"))
    world.sync()

    ended = world.ehr.get("Task/t1")
    assert ended["status"] == "completed"
    assert ended["output"][0]["valueString"] == "completed: Seen"
    assert ended["extension"] == asking["extension"]
    assert [one["status"] for one in versions(world, "Task/t1")] == [
        "requested",
        "received",
        "accepted",
        "in-progress",
        "completed",
    ]
    assert world.task(ROOT)["partOf"] == [{"reference": "Task/t1"}]
    assert world.case(ROOT).closure.outcome == "Seen"


def test_a_task_put_on_hold_by_its_author_is_left_alone() -> None:
    world = a_world()
    world.ehr.put(a_task(status="on-hold", owner={"reference": "Organization/desk"}))

    world.sync()
    world.act(ROOT, Assign(owner="ann"))
    world.sync()

    assert world.ehr.get("Task/t1")["status"] == "on-hold"


def test_a_task_on_hold_by_its_author_ends_with_the_case() -> None:
    world = a_world()
    held = {"status": "on-hold", "statusReason": {"text": "Waiting for the ward"}}
    world.ehr.put(a_task(owner={"reference": "Organization/desk"}, **held))
    world.sync()
    world.act(ROOT, Close(reason=ClosureReason.COMPLETED, outcome="Seen"))

    world.sync()

    assert [one["status"] for one in versions(world, "Task/t1")] == ["on-hold", "in-progress", "completed"]
    assert "statusReason" not in world.ehr.get("Task/t1")


def test_a_task_that_asks_for_what_is_asked_for_already_is_refused_as_a_duplicate() -> None:
    world = a_world()
    world.ehr.put(a_task(status="in-progress", owner={"reference": "Organization/desk"}))
    world.sync()
    world.act(ROOT, Close(reason=ClosureReason.DUPLICATE, outcome="Same as the referral of May"))

    world.sync()

    ended = world.ehr.get("Task/t1")
    assert ended["status"] == "failed"
    assert ended["statusReason"]["text"] == "duplicate: Same as the referral of May"
    assert world.task(ROOT)["status"] == "entered-in-error"


def test_a_task_of_somebody_else_is_never_changed() -> None:
    world = a_world()
    world.ehr.put(a_task(owner={"reference": "Organization/elsewhere"}))

    world.sync()
    world.act(ROOT, Close(reason=ClosureReason.DECLINED, outcome="Patient moved away"))
    world.sync()

    assert [one["status"] for one in versions(world, "Task/t1")] == ["requested"]


# Never the wrong patient ----------------------------------------------------------------------------------


def test_nothing_is_written_when_the_order_has_another_patient_at_the_moment_of_sending() -> None:
    world = a_world()
    world.bridge.read()
    world.ehr.put(order(subject={"reference": "Patient/other"}))

    world.bridge.deliver()

    assert parked(world) == ["patient-mismatch"]
    assert world.ours("Task", CASES) == []


def test_nothing_is_written_over_a_task_of_ours_that_names_another_patient() -> None:
    world = a_world()
    world.sync()
    put(world, {**world.task(ROOT), "for": {"reference": "Patient/other"}})
    world.act(ROOT, RaiseBlocker(category=BlockerCategory.LANGUAGE, text="Interpreter"))

    world.sync()

    assert parked(world) == ["patient-mismatch"]
    assert world.task(ROOT)["for"] == {"reference": "Patient/other"}


def test_a_case_without_patient_is_shown_but_not_written() -> None:
    world = World()
    world.ehr.put({key: value for key, value in order().items() if key != "subject"})

    world.sync()

    (row,) = [row for row in world.outbox() if row.state is not IntentState.SUPERSEDED]
    assert (row.state, row.code) == (IntentState.NOT_WRITABLE, "no-patient")


def test_a_patient_named_without_a_record_is_shown_by_that_name_but_not_written() -> None:
    world = World()
    mrn = {"system": "http://clinic.example/mrn", "value": "77"}
    world.ehr.put(order(subject={"display": "Jane Display", "identifier": mrn}))

    world.sync()

    named = world.case(ROOT).patient
    assert named is not None
    assert (named.ref, named.display, [one.value for one in named.identifiers]) == (None, "Jane Display", ["77"])
    (row,) = [row for row in world.outbox() if row.state is not IntentState.SUPERSEDED]
    assert (row.state, row.code) == (IntentState.NOT_WRITABLE, "no-patient")
    assert "only by name or identifier" in str(row.reason)

    world.ehr.put(order())
    world.ehr.put(patient())
    world.sync()
    assert world.task(ROOT)["for"]["reference"] == "Patient/p1"


# Once, whatever happens -----------------------------------------------------------------------------------


@both_routes
def test_a_create_without_an_answer_is_looked_up_before_it_is_sent_again(own_ids: bool) -> None:
    world = a_world(own_ids=own_ids)
    world.ehr.add_fault("drop-answer=1")

    world.bridge.sync_once()
    world.ehr.remove_fault("drop-answer")
    for _ in range(3):
        world.clock.advance(hours=1)
        world.bridge.sync_once()

    assert len(world.ours("Task", CASES)) == 1
    assert {row.state for row in world.outbox()} <= {IntentState.CONFIRMED, IntentState.SUPERSEDED}


@both_routes
def test_a_process_that_died_between_send_and_settle_leaves_one_resource(own_ids: bool) -> None:
    world = a_world(own_ids=own_ids)
    world.bridge.read()
    die_after_the_next_write(world)
    with pytest.raises(KeyboardInterrupt):
        world.bridge.deliver()
    with world.store.transaction() as tx:
        assert tx.release_leases(world.clock()) == 1

    world.bridge = world.new_bridge()
    world.sync()

    assert len(world.ours("Task", CASES)) == 1
    assert {row.state for row in world.outbox()} <= {IntentState.CONFIRMED, IntentState.SUPERSEDED}


def test_a_search_that_does_not_show_our_task_yet_makes_no_second_one() -> None:
    """Servers index late, or lose sight of what is there while they index anew."""
    world = a_world(own_ids=False)
    world.sync()
    world.ehr.add_fault("late-commit=86400")

    world.act(ROOT, LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER))
    world.sync()
    world.act(ROOT, Close(reason=ClosureReason.DECLINED))
    world.sync()

    (task,) = world.ours("Task", CASES)
    assert task["status"] == "failed"


def test_a_second_task_of_a_reopened_case_is_found_though_no_search_shows_it() -> None:
    world = a_world(own_ids=False)
    world.ehr.add_fault("late-commit=86400")
    world.clock.advance(days=2)
    world.sync()
    world.act(ROOT, Close(reason=ClosureReason.DECLINED))
    world.sync()
    world.act(ROOT, Reopen(why="called again"), new_id="attempt-2")
    world.sync()

    world.act(ROOT, LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER), new_id="attempt-3")
    world.sync()

    assert sorted(task["status"] for task in world.ours("Task", CASES)) == ["failed", "in-progress"]


def test_somebody_elses_write_in_between_is_merged_not_overwritten() -> None:
    """409 and 412 alike: read again, merge, write."""
    world = a_world(options=Options(stale_write_status=412))
    world.sync()
    world.act(ROOT, RaiseBlocker(category=BlockerCategory.LANGUAGE, text="Interpreter"))
    between(world, lambda: put(world, {**world.task(ROOT), "note": [{"text": "From the ward"}]}))

    world.sync()

    task = world.task(ROOT)
    assert task["status"] == "on-hold"
    assert {"text": "From the ward"} in task["note"]


def test_a_write_that_always_conflicts_is_parked_for_a_person() -> None:
    world = a_world()
    world.sync()
    world.act(ROOT, RaiseBlocker(category=BlockerCategory.LANGUAGE, text="Interpreter"))
    count = iter(range(100))
    between(world, lambda: put(world, {**world.task(ROOT), "note": [{"text": str(next(count))}]}), always=True)

    world.sync()

    assert parked(world) == ["conflict"]


def test_a_busy_server_uses_up_no_attempt_and_holds_up_nothing_for_ever() -> None:
    world = a_world()
    world.bridge.read()
    world.ehr.add_fault("throttle=1")
    world.clock.advance(minutes=1)
    for _ in range(5):
        with pytest.raises(Exception, match="429"):
            world.bridge.deliver()
        world.clock.advance(minutes=5)
    world.ehr.remove_fault("throttle")

    world.sync()

    assert all(row.attempts <= 1 for row in world.outbox())
    assert world.task(ROOT)["status"] == "ready"


def test_what_waits_longer_than_half_its_lease_is_claimed_anew_and_sent_once() -> None:
    """Behind a slow EHR the last of a batch would be tried when another process may hold it already."""
    world = a_world()
    for number in range(2, 6):
        world.ehr.put(order(f"o{number}"))
    world.bridge.read()
    world.slow = timedelta(seconds=20)

    report = world.bridge.deliver()

    assert report.ended[IntentState.QUEUED] > 0
    assert report.ended[IntentState.CONFIRMED] == 5
    assert [task["meta"]["versionId"] for task in world.ours("Task", CASES)] == ["1"] * 5
    assert all(row.attempts == 0 or row.state is IntentState.CONFIRMED for row in world.outbox())


def test_where_the_server_offers_no_safe_way_the_intent_says_so() -> None:
    world = a_world(write=False)

    world.sync()

    assert world.outbox() == []
    assert world.writes == []


# Helpers --------------------------------------------------------------------------------------------------


def put(world: World, resource: dict[str, Any]) -> None:
    """Write a resource as the clinic's own users do."""
    body = {key: value for key, value in resource.items() if key != "meta"}
    world.clinic.put(f"{resource['resourceType']}/{resource['id']}", json=body).raise_for_status()


def versions(world: World, ref: str) -> list[dict[str, Any]]:
    """Return every version of a resource, oldest first."""
    kind, _, own_id = ref.partition("/")
    found = world.clinic.get(f"{kind}/{own_id}/_history").json()["entry"]
    return [entry["resource"] for entry in reversed(found)]


def parked(world: World) -> list[str | None]:
    """Return the codes of parked intents."""
    return [row.code for row in world.outbox() if row.state is IntentState.PARKED]


def die_after_the_next_write(world: World) -> None:
    """Let the process end when the EHR has carried out a write and nobody has noted it yet."""
    client = world.bridge.client

    def dying(send: Any) -> Any:
        def write(*args: Any, **kwargs: Any) -> Any:
            send(*args, **kwargs)
            raise KeyboardInterrupt

        return write

    client.update, client.create = dying(client.update), dying(client.create)  # type: ignore[method-assign]


def between(world: World, interfere: Any, *, always: bool = False) -> None:
    """Let somebody else write right before our next update arrives (or before every one)."""
    client = world.bridge.client
    send, done = client.update, []

    def update(*args: Any, **kwargs: Any) -> Any:
        if always or not done:
            done.append(True)
            interfere()
        return send(*args, **kwargs)

    client.update = update  # type: ignore[method-assign]
