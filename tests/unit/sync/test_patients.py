"""Patients over time: read again with every sweep; who died, whose record was replaced, and who is oneself again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.cases.changes import PatientKnown, PatientMerged
from bridge.cases.commands import LogOutreach, Reopen
from bridge.cases.intents import IntentKind, IntentState
from bridge.cases.model import CasePatient
from bridge.cases.terms import Action, AttemptOutcome, Channel
from bridge.store.rows import OutboxRow
from conformance.simulator.faults import merge_patients
from tests.unit.sync.world import World, a_task, order, patient

ROOT = "ServiceRequest/o1"
CALL = LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER)
INTO_P2 = {"active": False, "link": [{"type": "replaced-by", "other": {"reference": "Patient/p2"}}]}


def a_world(*resources: dict[str, Any], **options: Any) -> World:
    """Return a world in which an order of the first of two patients was taken in and answered."""
    world = World(**options)
    for resource in (patient(), patient("p2"), patient("p3"), order(), *resources):
        world.ehr.put(resource)
    world.sync()
    return world


def reads_of(world: World, ref: str) -> int:
    """Return how often the last round asked for a record."""
    kind, _, own_id = ref.partition("/")
    asked = [str(sent.url.params.get("_id", sent.url.path.rpartition("/")[2])).split(",") for sent in world.requests]
    paths = [sent.url.path for sent in world.requests]
    return sum(f"/{kind}" in path and own_id in ids for path, ids in zip(paths, asked, strict=True))


def who(world: World, root: str = ROOT) -> CasePatient:
    """Return a case's patient."""
    found = world.case(root).patient
    assert found is not None
    return found


def facts(world: World, root: str = ROOT) -> list[Any]:
    """Return what happened to a case."""
    with world.store.reading() as tx:
        return [change.fact for change in tx.history(world.case(root).id)]


def causes(world: World, kind: type, root: str = ROOT) -> list[str]:
    """Return what brought facts of one kind about."""
    with world.store.reading() as tx:
        return [change.cause.what for change in tx.history(world.case(root).id) if isinstance(change.fact, kind)]


def in_record_of(world: World, ref: str) -> list[dict[str, Any]]:
    """Return what of ours stands in a patient's record and is not marked as an error."""
    ours = [*world.ours("Task", "urn:bridge:case"), *world.ours("Communication", "urn:bridge:message")]
    stands = [one for one in ours if (one.get("for") or one["subject"])["reference"] == ref]
    return [one for one in stands if one["status"] != "entered-in-error"]


def sent(world: World, kind: IntentKind) -> list[OutboxRow]:
    """Return the intents of one kind."""
    return [row for row in world.outbox() if row.intent.kind is kind]


# Read again -----------------------------------------------------------------------------------------------


def test_a_patient_is_read_again_once_in_each_sweep() -> None:
    world = a_world(order("o2"), a_task())

    world.sync()

    assert reads_of(world, "Patient/p1") == 1
    assert reads_of(world, "Patient/p2") == 0, "no case names this one"


def test_what_changed_of_a_patient_reaches_the_case_with_the_version_as_its_cause() -> None:
    world = a_world()
    world.ehr.put(patient() | {"name": [{"text": "Pat Newname"}]})

    report = world.sync()

    assert (report.sweep.renewed, who(world).display) == (1, "Pat Newname")
    assert causes(world, PatientKnown)[-1] == "Patient/p1/_history/2"
    assert world.task(ROOT)["for"]["display"] == "Pat Newname"
    assert world.sync().sweep.renewed == 0


def test_a_practitioner_who_owns_a_case_in_the_ehr_is_renamed_too() -> None:
    house = {"resourceType": "Practitioner", "id": "house", "name": [{"text": "Gregory House"}]}
    asking = {"requester": {"reference": "Practitioner/house"}}
    world = a_world(house, order(**asking), a_task(owner={"reference": "Practitioner/house"}))

    world.ehr.put(house | {"name": [{"text": "Gregory Home"}]})
    world.sync()

    case = world.case(ROOT)
    assert case.requester is not None
    assert (case.requester.display, case.owner.display) == ("Gregory Home", "Gregory Home")


def test_a_record_that_is_not_in_use_is_shown_as_odd_and_changes_nothing_else() -> None:
    world = a_world()
    before = world.case(ROOT)

    world.ehr.put(patient() | {"active": False})
    world.sync()

    case = world.case(ROOT)
    assert case.oddities == ("Patient/p1: the patient's record is not in use, and none took its place",)
    assert (case.status, case.next_action, case.blocker) == (before.status, before.next_action, before.blocker)
    assert world.writes == []


def test_a_patient_who_may_not_be_read_any_longer_stays_as_known() -> None:
    world = a_world()
    before = world.case(ROOT)

    world.unfound.add("Patient/p1")
    world.sync()

    assert world.case(ROOT) == before


# Died -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("death", [{"deceasedBoolean": True}, {"deceasedDateTime": "2026-05-30"}])
def test_nobody_is_to_call_a_patient_who_has_died(death: dict[str, Any]) -> None:
    world = a_world()

    world.ehr.put(patient() | death)
    world.sync()

    case = world.case(ROOT)
    assert case.is_open, "people decide how it ends"
    assert case.next_action is not None
    assert (case.next_action.code, case.next_action.text) == (
        Action.CLOSE_WITH_REASON,
        "Review: the patient has died",
    )
    assert case.blocker is not None
    assert case.blocker.text == "The patient has died"
    assert world.task(ROOT)["status"] == "on-hold"
    world.sync()
    assert (world.writes, world.case(ROOT).version) == ([], case.version)


def test_a_patient_is_read_again_also_for_a_case_that_a_person_keeps_open_without_its_order() -> None:
    world = a_world()
    world.clinic.delete(ROOT).raise_for_status()
    world.sync()
    assert not world.case(ROOT).is_open
    world.act(ROOT, Reopen(why="deleted by mistake"))

    world.ehr.put(patient() | {"deceasedBoolean": True})
    world.sync()

    case = world.case(ROOT)
    assert case.blocker is not None
    assert case.blocker.text == "The patient has died"


def test_an_error_about_a_death_brings_the_case_back_as_it_was() -> None:
    world = a_world()
    before = world.case(ROOT)
    world.ehr.put(patient() | {"deceasedBoolean": True})
    world.sync()

    world.ehr.put(patient())
    world.sync()

    case = world.case(ROOT)
    assert (case.status, case.next_action, case.blocker) == (before.status, before.next_action, None)
    assert world.task(ROOT)["status"] != "on-hold"


def test_a_queued_attempt_is_not_sent_to_a_patient_who_died_meanwhile() -> None:
    """The EHR is asked at the moment of sending: no sweep has told Bridge yet."""
    world = a_world()
    world.act(ROOT, CALL)
    world.ehr.put(patient() | {"deceasedBoolean": True})

    world.bridge.deliver()

    (row,) = sent(world, IntentKind.OUTREACH_RECORD)
    assert (row.state, row.code) == (IntentState.SUPERSEDED, "patient-deceased")
    assert "has died" in (row.reason or "")
    assert not [one for one in world.ours("Communication", "urn:bridge:message") if "recipient" in one]
    assert len(world.case(ROOT).outreach) == 1


def test_what_the_case_knows_of_a_death_counts_where_the_record_cannot_be_read() -> None:
    world = a_world()
    world.act(ROOT, CALL)
    world.ehr.put(patient() | {"deceasedBoolean": True})
    world.bridge.compare()
    world.forbidden.add("Patient/p1")

    world.bridge.deliver()

    (row,) = sent(world, IntentKind.OUTREACH_RECORD)
    assert row.code == "patient-deceased"


# Replaced -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own_ids", [True, False], ids=["own id", "conditional"])
def test_a_case_follows_to_the_record_that_took_the_place_of_its_patients(own_ids: bool) -> None:
    """The order still names the record that was replaced: the EHR moved nothing."""
    world = World()
    world.ehr.options.update_as_create = own_ids
    for resource in (patient(), patient("p2"), order()):
        world.ehr.put(resource)
    world.sync()

    world.ehr.put(patient() | INTO_P2)
    world.sync()

    case, task = world.case(ROOT), world.task(ROOT)
    assert (case.patient_ref, case.round) == ("Patient/p2", 1)
    assert task["for"]["reference"] == "Patient/p2"
    assert task["status"] != "entered-in-error"
    assert [(fact.was, fact.by) for fact in facts(world) if isinstance(fact, PatientMerged)] == [
        ("Patient/p1", ("Patient/p1/_history/2",))
    ]
    assert causes(world, PatientMerged) == ["Patient/p1/_history/2"]
    assert sent(world, IntentKind.RETRACTION) == []
    world.sync()
    assert world.writes == []


@pytest.mark.parametrize("manner", ["link", "gone", "missing", "redirect"])
@pytest.mark.parametrize("polled_first", [True, False], ids=["poll first", "sweep first"])
def test_a_merge_in_the_ehr_takes_nothing_back(manner: str, polled_first: bool) -> None:
    """The EHR moves the order, our Task and our messages too; the poll may see that before any sweep."""
    world = a_world(faults=[f"merged-patients={manner}"])
    world.act(ROOT, CALL)
    world.sync()
    written = {one["id"] for one in in_record_of(world, "Patient/p1")}

    merge_patients(world.ehr.ehr, "p1", "p2")
    if not polled_first:
        world.bridge.compare()
    world.sync()
    world.act(ROOT, CALL, new_id="attempt-2")
    world.sync()

    case = world.case(ROOT)
    assert (case.patient_ref, case.round) == ("Patient/p2", 1)
    assert in_record_of(world, "Patient/p1") == []
    assert {one["id"] for one in in_record_of(world, "Patient/p2")} > written
    assert world.task(ROOT)["for"]["reference"] == "Patient/p2"
    assert sent(world, IntentKind.RETRACTION) == []
    assert {row.state for row in world.outbox()} <= {IntentState.CONFIRMED, IntentState.SUPERSEDED}


def test_a_record_of_which_nothing_but_a_redirect_is_left_leads_to_the_one_that_took_its_place() -> None:
    """As Epic does after a merge (4107): no search shows it, and a read points to the other record."""
    world = a_world()
    world.redirected["Patient/p1"] = "Patient/p2"

    world.sync()

    case = world.case(ROOT)
    assert (case.patient_ref, case.round) == ("Patient/p2", 1)
    assert [(fact.was, fact.by) for fact in facts(world) if isinstance(fact, PatientMerged)] == [
        ("Patient/p1", ("Patient/p1/_history/redirected",))
    ]
    assert world.task(ROOT)["for"]["reference"] == "Patient/p2"
    assert sent(world, IntentKind.RETRACTION) == []
    world.sync()
    assert world.writes == []

    world.redirected.clear()
    world.sync()
    assert world.case(ROOT).patient_ref == "Patient/p1"


@pytest.mark.parametrize("to", ["Patient/p1", "Practitioner/p2", "../../other/Patient/p2"])
def test_a_redirect_elsewhere_says_nothing_of_who_somebody_is(to: str) -> None:
    world = a_world()
    world.redirected["Patient/p1"] = to

    world.sync()

    assert world.case(ROOT).patient_ref == "Patient/p1"


def test_a_record_that_was_deleted_leads_to_the_one_that_the_order_names_now() -> None:
    world = a_world()
    world.clinic.delete("Patient/p1").raise_for_status()
    world.ehr.put(order(subject={"reference": "Patient/p2"}))

    world.sync()

    case = world.case(ROOT)
    assert (case.patient_ref, case.round) == ("Patient/p2", 1)
    assert [(fact.was, fact.by) for fact in facts(world) if isinstance(fact, PatientMerged)] == [("Patient/p1", ())]
    assert world.task(ROOT)["for"]["reference"] == "Patient/p2"
    assert sent(world, IntentKind.RETRACTION) == []


def test_a_record_that_is_only_hidden_is_somebody_else() -> None:
    """A 404 may be a permission: what stands in a record that may live on is taken back."""
    world = a_world()
    world.unfound.add("Patient/p1")
    world.ehr.put(order(subject={"reference": "Patient/p2"}))

    world.sync()

    assert in_record_of(world, "Patient/p1") == []
    assert [one["for"]["reference"] for one in in_record_of(world, "Patient/p2")] == ["Patient/p2"]


def test_without_a_link_another_patient_is_another_person_however_alike() -> None:
    world = a_world()
    world.ehr.put(patient("p2") | {"link": [{"type": "replaces", "other": {"reference": "Patient/p1"}}]})
    world.ehr.put(patient() | {"link": [{"type": "seealso", "other": {"reference": "Patient/p2"}}]})

    world.ehr.put(order(subject={"reference": "Patient/p2"}))
    world.sync()

    assert not [fact for fact in facts(world) if isinstance(fact, PatientMerged)]
    assert in_record_of(world, "Patient/p1") == []
    assert len(in_record_of(world, "Patient/p2")) == 1


def test_links_are_followed_to_the_last_record() -> None:
    world = a_world()
    into_p3 = {"link": [{"type": "replaced-by", "other": {"reference": "Patient/p3"}}]}
    world.ehr.put(patient() | INTO_P2)
    world.ehr.put(patient("p2") | into_p3)

    world.sync()

    assert who(world).ref == "Patient/p3"
    assert world.task(ROOT)["for"]["reference"] == "Patient/p3"
    (fact,) = [fact for fact in facts(world) if isinstance(fact, PatientMerged)]
    assert fact.by == ("Patient/p1/_history/2", "Patient/p2/_history/2")


def test_links_in_a_circle_lead_nowhere() -> None:
    world = a_world()
    world.ehr.put(patient() | INTO_P2)
    world.ehr.put(patient("p2") | {"link": [{"type": "replaced-by", "other": {"reference": "Patient/p1"}}]})

    world.sync()

    assert who(world).ref == "Patient/p1"
    assert any("cannot be followed" in oddity for oddity in world.case(ROOT).oddities)


def test_a_record_that_can_be_read_only_later_is_followed_to_then() -> None:
    world = a_world()
    world.ehr.put(patient() | INTO_P2)
    world.forbidden.add("Patient/p2")
    world.sync()
    assert who(world).ref == "Patient/p1"
    assert any("cannot be followed" in oddity for oddity in world.case(ROOT).oddities)

    world.forbidden.clear()
    world.sync()

    assert (who(world).ref, world.case(ROOT).oddities) == ("Patient/p2", ())


def test_a_record_that_was_read_first_for_another_case_is_followed_to_as_well() -> None:
    world = a_world()
    world.ehr.put(patient() | INTO_P2)
    world.forbidden.add("Patient/p2")
    world.sync()

    world.forbidden.clear()
    world.ehr.put(order("o2", subject={"reference": "Patient/p2"}))
    world.sync()

    assert (who(world).ref, world.case(ROOT).oddities) == ("Patient/p2", ())
    assert causes(world, PatientMerged) == ["Patient/p1/_history/2"]


def test_nothing_is_written_to_a_record_whose_link_is_gone_when_it_is_sent() -> None:
    """The case follows, and before the Task is sent the merge is undone."""
    world = a_world()
    world.ehr.put(patient() | INTO_P2)
    world.bridge.compare()
    assert who(world).ref == "Patient/p2"
    world.ehr.put(patient())

    world.bridge.deliver()

    assert in_record_of(world, "Patient/p2") == []
    assert world.task(ROOT)["for"]["reference"] == "Patient/p1"


def test_a_merge_that_is_undone_leads_back_and_leaves_nothing_behind() -> None:
    world = a_world()
    world.act(ROOT, CALL)
    world.sync()
    world.ehr.put(patient() | INTO_P2)
    world.sync()
    world.act(ROOT, CALL, new_id="attempt-2")
    world.sync()
    assert len(in_record_of(world, "Patient/p2")) >= 2

    world.ehr.put(patient())
    world.sync()

    assert who(world).ref == "Patient/p1"
    assert in_record_of(world, "Patient/p2") == []
    assert "Task" in {one["resourceType"] for one in in_record_of(world, "Patient/p1")}
    world.sync()
    assert world.writes == []


def test_an_order_of_one_record_and_its_task_of_the_other_are_one_case_while_the_link_stands() -> None:
    world = a_world(a_task(**{"for": {"reference": "Patient/p2"}}))
    assert [line.ref for line in world.case(ROOT).sources] == [ROOT]

    world.ehr.put(patient() | INTO_P2)
    world.sync()
    assert {line.ref for line in world.case(ROOT).sources} == {ROOT, "Task/t1"}

    world.ehr.put(patient())
    world.sync()
    assert [line.ref for line in world.case(ROOT).sources] == [ROOT]
    assert who(world).ref == "Patient/p1"
    assert who(world, "Task/t1").ref == "Patient/p2"


def test_an_attempt_that_waited_for_the_case_to_follow_is_sent_then() -> None:
    world = a_world()
    world.act(ROOT, CALL)
    merge_patients(world.ehr.ehr, "p1", "p2")
    world.bridge.deliver()
    assert [row.state for row in sent(world, IntentKind.OUTREACH_RECORD)] == [IntentState.PARKED]

    world.sync()

    (row,) = sent(world, IntentKind.OUTREACH_RECORD)
    assert row.state is IntentState.CONFIRMED
    assert "Patient/p1" not in json.dumps(in_record_of(world, "Patient/p2"))
