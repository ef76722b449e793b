"""Subscriptions: made once, kept alive, taken away; never two, never somebody else's."""

from __future__ import annotations

import json
import logging
from datetime import timedelta

import pytest

from bridge.fhir.subscription import State
from bridge.store.memory import MemoryStore
from bridge.store.rows import Cursor
from bridge.sync.hearing import Condition, condition
from bridge.sync.subscribe import Subscriber
from bridge.wiring import make_desire, make_subscriber
from tests.unit.sync.ringing import HOOK, SECRET, Ringing
from tests.unit.sync.world import World, a_task

ALL = ["ServiceRequest", "MedicationRequest", "Appointment", "Task"]


def endpoints(world: Ringing) -> list[str]:
    return sorted(one["channel"]["endpoint"] for one in world.registry.kept.values())


# Making ---------------------------------------------------------------------------------------------------


def test_each_type_gets_a_subscription_that_sends_nothing_of_a_patient() -> None:
    world = Ringing(read=ALL)

    world.tend()

    assert endpoints(world) == sorted(f"{HOOK}/{kind}" for kind in ALL)
    for one in world.registry.kept.values():
        assert one["criteria"] == one["channel"]["endpoint"].rpartition("/")[2] + "?"
        assert (one["status"], one["channel"].get("payload")) == ("requested", None)


def test_nothing_is_made_before_everything_was_read_once() -> None:
    world = Ringing()
    world.store = MemoryStore()
    world.bridge = world.new_bridge()

    world.tend()

    assert world.registry.kept == {}


@pytest.mark.parametrize(("read", "made"), [(False, 0), (True, 1)], ids=["begun at a date", "read without dates"])
def test_it_counts_that_a_type_was_read_to_its_end(read: bool, made: int) -> None:
    """A start date gives a watermark before anything is read; types that are read by patient never have one."""
    world = Ringing()
    world.store = MemoryStore()
    with world.store.transaction() as tx:
        at = world.clock()
        watermark, checked = (None, at) if read else (at, None)
        tx.save_cursor(Cursor(connection="main", stream="Task", watermark=watermark, checked_at=checked))
    world.bridge = world.new_bridge()

    world.tend()

    assert len(world.registry.kept) == made


def test_what_there_is_no_way_to_poll_is_subscribed_to_all_the_same() -> None:
    """Of Appointments, athenahealth tells by notifications alone."""
    world = Ringing()
    bridge = world.bridge
    desire = make_desire("main", world.settings.connections["main"])
    assert desire is not None
    subscriber = Subscriber(
        bridge.client, MemoryStore(), bridge.line, world.clock, desire, bridge.read_stream, lambda: {"Task"}
    )

    subscriber.tend()

    assert len(world.registry.kept) == 1


def test_nothing_is_made_where_it_is_not_configured() -> None:
    world = World()

    assert make_subscriber(world.bridge, world.settings.connections["main"]) is None


@pytest.mark.parametrize("own_ids", [True, False], ids=["our id", "their id"])
@pytest.mark.parametrize("searchable", [True, False], ids=["searched", "read"])
def test_it_is_made_once_however_often_bridge_looks_and_starts(own_ids: bool, searchable: bool) -> None:
    world = Ringing({"own_ids": own_ids, "searchable": searchable})

    for _ in range(3):
        world.tend(10)
        world.bridge = world.new_bridge()

    assert len(world.registry.kept) == 1


@pytest.mark.parametrize("own_ids", [True, False], ids=["our id", "their id"])
def test_what_an_earlier_database_made_is_known_again(own_ids: bool) -> None:
    world = Ringing({"own_ids": own_ids})
    world.tend()
    world.store = MemoryStore()
    world.bridge = world.new_bridge()
    world.sync()

    world.tend()

    assert len(world.registry.kept) == 1
    assert world.row.ref == f"Subscription/{world.remote['id']}"


@pytest.mark.parametrize(
    "registry",
    [{}, {"own_ids": False}, {"own_ids": False, "conditional": False}],
    ids=["our id", "only if absent", "neither"],
)
def test_a_creation_without_an_answer_is_looked_for_and_not_repeated(registry: dict[str, bool]) -> None:
    world = Ringing(registry)
    world.registry.loses = True

    world.tend()
    world.registry.activate()
    world.tend()

    assert len(world.registry.kept) == 1
    assert condition(world.row, world.clock()) is Condition.WORKING


def test_a_creation_without_an_answer_is_not_repeated_where_nothing_can_be_looked_for() -> None:
    """Where the EHR neither takes our id nor searches Subscriptions, it is asked to make only what is not there."""
    world = Ringing({"own_ids": False, "searchable": False})
    world.registry.loses = True

    world.tend()
    world.tend(minutes=10)

    assert len(world.registry.kept) == 1
    assert world.row.ref == f"Subscription/{world.remote['id']}"


def test_a_subscription_is_written_over_the_version_that_was_seen() -> None:
    world = Ringing(subscribe_days=30)
    world.subscribe()
    seen = world.remote["meta"]["versionId"]

    world.tend(minutes=21 * 24 * 60)

    (sent,) = [request for request in world.requests if request.method == "PUT"]
    assert sent.headers["If-Match"] == f'W/"{seen}"'


def test_of_two_of_ours_the_one_in_use_stays() -> None:
    world = Ringing({"own_ids": False})
    world.subscribe()
    first = world.remote
    world.registry.kept["late"] = {**first, "id": "late"}

    world.tend()

    assert world.remote["id"] == first["id"]


def test_one_that_became_active_is_read_up_to_now() -> None:
    """What changed before it was active, it never tells."""
    world = Ringing()
    world.tend()
    assert world.hints() == set()
    world.registry.activate()

    world.tend()

    assert world.hints() == {"Task"}


def test_an_ehr_without_subscriptions_is_left_alone_and_the_reason_is_told() -> None:
    world = Ringing({"declared": False})

    world.tend()

    assert world.rows() == []
    assert "does not declare" in world.subscriber.without["Task"]


def test_r5_without_a_topic_has_a_reason() -> None:
    world = Ringing({"family": "5.0.0"})

    world.tend()

    assert world.registry.kept == {}
    assert "topic" in world.subscriber.without["Task"]


def test_types_of_one_topic_share_a_subscription() -> None:
    topic = "http://example.org/topics/work"
    world = Ringing(read=ALL, subscribe_topics={"Task": topic, "Appointment": topic})

    world.tend()

    by_criteria = {one["criteria"]: one for one in world.registry.kept.values()}
    assert set(by_criteria) == {topic, "ServiceRequest?", "MedicationRequest?"}
    assert by_criteria[topic]["channel"]["endpoint"] == HOOK
    assert {row.about: row.types for row in world.rows()}[topic] == ("Appointment", "Task")


# Made by hand ---------------------------------------------------------------------------------------------


def test_one_made_by_hand_is_accepted_and_not_doubled() -> None:
    world = Ringing()
    world.registry.by_hand("7", "Task?", f"{HOOK}/Task")
    before = dict(world.registry.kept)

    world.tend()
    world.tend()

    assert world.registry.kept == before
    assert (world.row.ours, world.row.ref, world.row.types) == (False, "Subscription/7", ("Task",))


def test_one_made_by_hand_that_fails_is_shown_and_left_to_its_maker() -> None:
    world = Ringing()
    world.registry.by_hand("7", "Task?", HOOK, status="error")

    world.tend()

    assert world.remote["status"] == "error"
    assert world.row.problem is not None
    assert condition(world.row, world.clock()) is Condition.FAILING


def test_where_the_one_made_by_hand_goes_ours_takes_its_place() -> None:
    world = Ringing()
    world.registry.by_hand("7", "Task?", f"{HOOK}/Task")
    world.tend()
    del world.registry.kept["7"]

    world.tend()

    assert "bridge-" in world.remote["reason"]
    assert world.row.ours


def test_one_made_by_hand_that_rings_elsewhere_now_is_forgotten_and_stays_on_the_ehr() -> None:
    """What somebody else made is theirs to delete."""
    world = Ringing()
    world.registry.by_hand("7", "Task?", f"{HOOK}/Task")
    world.tend()
    world.registry.kept["7"]["channel"]["endpoint"] = "https://other.example/hook"

    world.tend()

    assert "7" in world.registry.kept
    assert world.row.ours


def test_subscriptions_to_other_addresses_are_none_of_our_business() -> None:
    world = Ringing()
    world.registry.by_hand("7", "Task?", "https://other.example/hooks/main/x/Task")
    world.registry.by_hand("8", "Task?", HOOK.replace("main", "other"))

    world.tend()
    world.subscriber.remove()

    assert set(world.registry.kept) == {"7", "8"}


# Keeping --------------------------------------------------------------------------------------------------


def test_it_is_renewed_before_it_ends() -> None:
    world = Ringing(subscribe_days=30)
    world.subscribe()
    ends = world.remote["end"]

    world.tend(minutes=19 * 24 * 60)
    assert world.remote["end"] == ends

    world.tend(minutes=2 * 24 * 60)
    assert world.remote["end"] > ends
    assert len(world.registry.kept) == 1


def test_the_end_that_the_ehr_grants_counts() -> None:
    world = Ringing(subscribe_days=30)
    world.tend()
    world.registry.activate()
    world.remote["end"] = (world.clock() + timedelta(hours=1)).isoformat()

    world.tend(minutes=30)
    assert world.remote["status"] == "active"

    world.tend(minutes=15)
    assert world.remote["status"] == "requested"


@pytest.mark.parametrize("state", ["error", "off"])
def test_one_that_the_ehr_ended_is_asked_for_again_only_after_a_poll(state: str) -> None:
    world = Ringing()
    world.subscribe()
    world.ehr.put(a_task())
    world.registry.activate(state)

    world.tend()

    paths = [f"{sent.method} {sent.url.path}" for sent in world.requests]
    put = paths.index(f"PUT /fhir/Subscription/{world.remote['id']}")
    assert "GET /fhir/Task" in paths[:put]
    assert world.remote["status"] == "requested"


def test_one_that_is_not_polled_is_not_asked_for_again() -> None:
    world = Ringing()
    world.subscribe()
    world.registry.activate("error")
    world.forbidden = {"Task"}

    world.tend()

    assert world.remote["status"] == "error"
    assert world.row.problem is not None


def test_one_that_fails_again_and_again_is_written_ever_more_rarely() -> None:
    world = Ringing()
    world.subscribe()
    writes = 0

    for _ in range(6 * 60):
        world.registry.activate("error")
        world.tend()
        writes += len(world.writes)

    assert 6 <= writes <= 15
    assert condition(world.row, world.clock()) is not Condition.WORKING


def test_one_that_somebody_deleted_is_made_again() -> None:
    world = Ringing()
    world.subscribe()
    world.registry.kept.clear()

    world.tend()

    assert world.remote["status"] == "requested"


def test_a_new_secret_is_written_into_the_same_subscription() -> None:
    world = Ringing()
    world.subscribe()
    own_id = world.remote["id"]
    section = world.settings.connections["main"]
    renewed = section.model_copy(update={"hook_secret": type(section.hook_secret)("another-secret-of-this-test")})  # type: ignore[misc, call-arg]
    subscriber = make_subscriber(world.bridge, renewed)
    assert subscriber is not None

    subscriber.tend()

    assert world.remote["id"] == own_id
    assert world.remote["channel"]["endpoint"].endswith("/hooks/main/another-secret-of-this-test/Task")


def test_one_whose_type_is_not_read_any_more_is_taken_away() -> None:
    world = Ringing(read=["Task", "Appointment"])
    world.subscribe()
    world.line = type(world.line)(**{**vars(world.line), "types": ("Task",)})
    world.bridge = world.new_bridge()

    world.tend()

    assert endpoints(world) == [f"{HOOK}/Task"]
    assert [row.about for row in world.rows()] == ["Task"]


def test_what_was_made_stays_while_the_ehr_declares_nothing() -> None:
    world = Ringing()
    world.subscribe()
    world.bridge = world.new_bridge()
    world.registry.declared = False

    world.tend()

    assert len(world.registry.kept) == len(world.rows()) == 1


def test_an_ehr_that_is_away_changes_nothing() -> None:
    world = Ringing()
    world.subscribe()
    before = world.row
    world.away = True

    world.tend()

    assert world.row == before


# Taking away ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forgotten", [False, True], ids=["known", "by its mark"])
def test_remove_deletes_ours_and_nothing_else(forgotten: bool) -> None:
    world = Ringing({"own_ids": False}, read=["Task", "Appointment"])
    world.registry.by_hand("hand", "Appointment?", f"{HOOK}/Appointment")
    world.subscribe()
    if forgotten:
        world.store = MemoryStore()
        world.bridge = world.new_bridge()

    removed = world.subscriber.remove()

    assert removed == ["Subscription/1"]
    assert set(world.registry.kept) == {"hand"}
    assert world.rows() == []


# Secrets --------------------------------------------------------------------------------------------------


def test_a_secret_that_the_ehr_quotes_is_neither_logged_nor_kept(caplog: pytest.LogCaptureFixture) -> None:
    header = "the-value-of-the-header"
    key = "the-key-that-signs"
    world = Ringing(hook_header="X-Key", hook_header_secret=header, hook_signing_key=key)
    world.registry.quotes = True

    with caplog.at_level(logging.DEBUG):
        world.tend()

    problem = world.row.problem or ""
    assert "422" in problem
    for secret in (SECRET, header, key):
        assert secret not in problem
        assert secret not in caplog.text


def test_the_secret_is_in_no_address_that_is_asked_for() -> None:
    world = Ringing({"own_ids": False})

    world.tend()

    assert not any(SECRET in str(sent.url) for sent in world.requests)


def test_the_header_is_asked_for() -> None:
    world = Ringing(hook_header="X-Key", hook_header_secret="the-value-of-the-header")

    world.tend()

    assert world.remote["channel"]["header"] == ["X-Key: the-value-of-the-header"]
    assert json.dumps(world.remote).count(SECRET) == 1


# States that the EHR tells of ------------------------------------------------------------------------------


def test_status_is_asked_where_there_is_one() -> None:
    """The resource may say active while its status does not."""
    topic = "http://example.org/topics/task"
    world = Ringing({"operations": ("status",)}, subscribe_topics={"Task": topic})
    world.subscribe()
    world.registry.status = lambda own_id: {
        "resourceType": "SubscriptionStatus",
        "type": "query-status",
        "status": "error",
    }

    world.tend()

    assert world.row.state == State.REQUESTED
    assert world.writes == [f"PUT /fhir/Subscription/{world.remote['id']}"]


def test_topics_that_ring_at_one_address_are_subscribed_to_each_by_itself() -> None:
    """Asked to create only what is not at that address, a server answers the second with the first."""
    topics = {kind: f"http://ehr.example/SubscriptionTopic/{kind}" for kind in ALL}
    world = Ringing({"own_ids": False}, read=ALL, subscribe_topics=topics)

    world.tend()
    world.tend()

    assert sorted(one["criteria"] for one in world.registry.kept.values()) == sorted(topics.values())
