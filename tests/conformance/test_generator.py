"""Generated data is valid R4, varied, the same for the same seed, and stories move as time goes."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class

from conformance.demo import start_live_ehr
from conformance.generator import (
    Player,
    generate,
    in_dependency_order,
    stories,
    story_stream,
    transactions,
)
from conformance.generator.stories import TEMPLATES
from conformance.generator.story import Change, Put
from conformance.simulator import ManualClock, Options, Simulator, client_of

Json = dict[str, Any]
KINDS = ("Task", "ServiceRequest", "Appointment", "MedicationRequest")
AT = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def assert_valid(resource: Json) -> None:
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def every(value: object, name: str) -> list[Any]:
    """Return all values of the element *name* anywhere in *value*."""
    if isinstance(value, list):
        return [found for item in value for found in every(item, name)]
    if isinstance(value, dict):
        return [v for k, v in value.items() if k == name] + [f for v in value.values() for f in every(v, name)]
    return []


@pytest.fixture(scope="module")
def generated() -> list[Json]:
    return generate(7, 400)


def test_same_seed_gives_the_same_and_another_seed_does_not() -> None:
    assert generate(7, 50) == generate(7, 50)
    assert generate(7, 50) != generate(8, 50)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
def test_the_work_is_as_much_as_asked(count: int) -> None:
    assert sum(resource["resourceType"] in KINDS for resource in generate(1, count)) == count


def test_everything_generated_is_valid_and_has_an_id_of_its_own(generated: list[Json]) -> None:
    for resource in generated:
        assert_valid(resource)
    keys = Counter((resource["resourceType"], resource["id"]) for resource in generated)
    assert set(keys.values()) == {1}


def test_every_status_and_every_kind_of_owner_comes_up(generated: list[Json]) -> None:
    statuses = {kind: {r["status"] for r in generated if r["resourceType"] == kind} for kind in KINDS}
    tasks = [resource for resource in generated if resource["resourceType"] == "Task"]
    owners = {task.get("owner", {}).get("reference", "none").partition("/")[0] for task in tasks}

    assert {kind: len(found) for kind, found in statuses.items()} == {
        "Task": 12,
        "ServiceRequest": 7,
        "Appointment": 10,
        "MedicationRequest": 8,
    }
    assert owners >= {
        *("Practitioner", "PractitionerRole", "Organization", "CareTeam", "HealthcareService"),
        *("Patient", "Device", "RelatedPerson", "#outside", "none"),
    }
    assert any("identifier" in task.get("owner", {}) for task in tasks)


def test_links_dates_and_modifiers_vary(generated: list[Json]) -> None:
    tasks = [resource for resource in generated if resource["resourceType"] == "Task"]
    orders = [resource for resource in generated if resource["resourceType"] == "ServiceRequest"]
    place = {f"{r['resourceType']}/{r['id']}": number for number, r in enumerate(generated)}
    ahead = {place[t["focus"]["reference"]] > place[f"Task/{t['id']}"] for t in tasks if "focus" in t}

    assert all(any(name in task for task in tasks) for name in ("focus", "basedOn", "partOf", "note", "input"))
    assert ahead == {True, False}
    assert {len(order["authoredOn"]) for order in orders} >= {7, 10, 25, 29}
    assert {order["intent"] for order in orders} == {"order", "proposal", "plan"}
    assert any(order.get("doNotPerform") for order in orders)
    assert any("contained" in resource for resource in generated)
    assert len({text[-6:] for text in every(generated, "start")}) >= 5


def test_nothing_was_ordered_after_the_present() -> None:
    for resource in generate(3, 200, at=AT):
        for text in every(resource, "authoredOn"):
            assert text[:7] <= "2026-11"


def test_references_lead_somewhere_and_order_can_be_made_strict(generated: list[Json]) -> None:
    seen: set[str] = set()
    for resource in in_dependency_order(generated):
        for reference in every(resource, "reference"):
            assert reference.startswith("#") or reference in seen, reference
        seen.add(f"{resource['resourceType']}/{resource['id']}")
    assert len(seen) == len(generated)


def test_transactions_load_a_server_that_enforces_integrity(generated: list[Json]) -> None:
    simulator = Simulator(options=Options(referential_integrity=True))

    with client_of(simulator) as fhir:
        for bundle in transactions(in_dependency_order(generated), 150):
            fhir.post("", json=bundle).raise_for_status()

    assert len(simulator.all("Task")) == sum(r["resourceType"] == "Task" for r in generated)


def test_every_story_plays_to_its_end_and_stays_valid() -> None:
    simulator = Simulator(ManualClock(AT), Options(referential_integrity=True))
    told = stories(1, AT)

    with client_of(simulator) as fhir:
        played = Player(told, fhir).play_until(AT + timedelta(days=10))

    assert len(played) == sum(len(story.steps) for story in told)
    assert len({story.name for story in told}) == len(TEMPLATES)
    for kind in (*KINDS, "Patient", "CareTeam"):
        for resource in simulator.all(kind):
            assert_valid(resource)
    ends = Counter(task["status"] for task in simulator.all("Task"))
    assert ends.keys() >= {"on-hold", "completed", "rejected", "cancelled", "accepted", "in-progress"}


def test_stories_begin_in_the_past_and_go_on() -> None:
    simulator = Simulator(ManualClock(AT))

    with client_of(simulator) as fhir:
        player = Player(stories(1, AT, speed=1440), fhir)
        begun = player.play_until(AT)
        visits = {visit["id"]: visit["status"] for visit in simulator.all("Appointment")}
        going_on = player.play_until(AT + timedelta(minutes=2))

    assert begun
    assert "noshow" not in visits.values()
    assert all(step.at > AT for step in going_on)
    assert "noshow" in {visit["status"] for visit in simulator.all("Appointment")}
    assert player.play_until(AT + timedelta(minutes=2)) == []


def test_no_visit_is_over_before_its_time() -> None:
    for story in stories(2, AT, speed=1440):
        starts: dict[str, str] = {}
        for step in story.steps:
            for write in step.writes:
                if isinstance(write, Put) and "start" in write.resource:
                    starts[f"Appointment/{write.resource['id']}"] = write.resource["start"]
                over = {"arrived", "fulfilled", "noshow"}
                if isinstance(write, Change) and write.elements.get("status") in over:
                    assert starts[write.target] <= step.at.isoformat(timespec="seconds")


def test_what_has_happened_at_the_start_does_not_hang_on_the_moment_it_is() -> None:
    def begun(microsecond: int) -> list[int]:
        start = AT.replace(microsecond=microsecond)
        told = stories(1, start, speed=86_400.0)
        return [sum(step.at <= start for step in story.steps) for story in told]

    assert begun(0) == begun(1) == begun(999_999)


def test_a_stream_of_stories_has_no_end_and_plays_in_order_of_time() -> None:
    simulator = Simulator(ManualClock(AT))

    with client_of(simulator) as fhir:
        player = Player(story_stream(1, AT, speed=1440), fhir)
        times = [step.at for minute in range(20) for step in player.play_until(AT + timedelta(minutes=minute))]

    assert times == sorted(times)
    assert max(times) > AT + timedelta(minutes=18)
    assert len({patient["id"] for patient in simulator.all("Patient")}) > 3 * len(TEMPLATES)


def test_a_change_keeps_what_others_wrote() -> None:
    simulator = Simulator(ManualClock(AT))
    told = [story for story in stories(1, AT) if story.name == "referral-stalls"]

    with client_of(simulator) as fhir:
        player = Player(told, fhir)
        player.play_until(AT)
        (task,) = simulator.all("Task")
        ours = task | {"businessStatus": {"text": "Ours"}, "note": [*task["note"], {"text": "Ours"}]}
        fhir.put(f"Task/{task['id']}", json=ours).raise_for_status()
        player.play_until(AT + timedelta(days=1))

    (task,) = simulator.all("Task")
    assert task["status"] == "on-hold"
    assert task["businessStatus"] == {"text": "Ours"}
    assert [note["text"] for note in task["note"]] == ["Called the patient, left a voicemail.", "Ours"]


def test_live_ehr_has_history_and_more_when_asked() -> None:
    with start_live_ehr(seed=4, stories=5, fill=40) as ehr:
        total = httpx.get(f"{ehr.base_url}/Task", params={"_summary": "count"}).json()["total"]

    assert ehr.begun_with
    assert total > 10
    assert json.dumps(ehr.simulator.all("Task"), default=str)
