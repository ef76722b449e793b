"""Which resources make one case: chains, circles, links that change, and never two patients in one case."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import pytest

from bridge.cases import commands as do
from bridge.cases.grouping import CROSSES_PATIENTS, group
from bridge.cases.snapshot import Party, Snapshot
from bridge.cases.terms import AttemptOutcome, BlockerCategory, Channel, ClosureReason, Status
from tests.unit.cases.builders import ORDER, PATIENT, Desk, a_snapshot, a_task, a_visit, patient, refolded

A, B = patient("a"), patient("b")


def linked(ref: str, parent: str | None = None, of: Party | None = None) -> Snapshot:
    """Return a resource with a parent and a patient."""
    status = "active" if ref.startswith("ServiceRequest") else "requested"
    return a_snapshot(ref, status, parent=parent, patient=of)


def roots(*snapshots: Snapshot) -> Mapping[str, str]:
    """Return each resource's root."""
    return group({snapshot.ref: snapshot for snapshot in snapshots}).roots


@pytest.mark.parametrize(
    ("snapshots", "expected"),
    [
        ([linked("Task/1")], {"Task/1": "Task/1"}),
        ([linked("Task/1", ORDER)], {"Task/1": ORDER}),
        ([linked("Task/1", ORDER), linked(ORDER)], {"Task/1": ORDER, ORDER: ORDER}),
        (
            [linked("Task/1", "Task/2"), linked("Task/2", "Task/3"), linked("Task/3", ORDER)],
            {"Task/1": ORDER, "Task/2": ORDER, "Task/3": ORDER},
        ),
        ([linked("Task/1", "Task/1")], {"Task/1": "Task/1"}),
        (
            [linked("Task/3", "Task/1"), linked("Task/1", "Task/2"), linked("Task/2", "Task/1")],
            {"Task/1": "Task/1", "Task/2": "Task/1", "Task/3": "Task/1"},
        ),
    ],
    ids=["alone", "unknown parent", "known parent", "chain", "itself", "circle with a tail"],
)
def test_the_root_is_found_along_the_parents(snapshots: list[Snapshot], expected: dict[str, str]) -> None:
    assert roots(*snapshots) == expected


@pytest.mark.parametrize(
    ("snapshots", "expected"),
    [
        ([linked("Task/1", ORDER, A), linked(ORDER, None, B)], {"Task/1": "Task/1", ORDER: ORDER}),
        ([linked("Task/1", ORDER, A), linked(ORDER)], {"Task/1": ORDER, ORDER: ORDER}),
        (
            [linked("Task/1", "Task/2", A), linked("Task/2", ORDER), linked(ORDER, None, B)],
            {"Task/1": "Task/1", "Task/2": ORDER, ORDER: ORDER},
        ),
        (
            [linked("Task/1", "Task/2", A), linked("Task/2", ORDER, B), linked(ORDER, None, A)],
            {"Task/1": "Task/1", "Task/2": "Task/2", ORDER: ORDER},
        ),
        (
            [linked("Task/1", ORDER, A), linked("Task/2", ORDER, B)],
            {"Task/1": ORDER, "Task/2": "Task/2"},
        ),
        (
            [linked("Task/1", ORDER, A), linked("Task/2", ORDER, B), linked("Task/3", "Task/2"), linked(ORDER)],
            {"Task/1": ORDER, "Task/2": "Task/2", "Task/3": "Task/2", ORDER: ORDER},
        ),
        (
            [linked("Task/1", "Task/2", A), linked("Task/2", "Task/1", B)],
            {"Task/1": "Task/1", "Task/2": "Task/2"},
        ),
        (
            [linked("Task/1", "Task/3"), linked("Task/2", "Task/1", A), linked("Task/3", "Task/1", B)],
            {"Task/1": "Task/1", "Task/2": "Task/2", "Task/3": "Task/1"},
        ),
        (
            [
                linked("Task/1", "Task/2"),
                linked("Task/2"),
                linked("Task/3", "Task/1", B),
                linked("Task/4", "Task/2", A),
            ],
            {"Task/1": "Task/2", "Task/2": "Task/2", "Task/3": "Task/2", "Task/4": "Task/4"},
        ),
    ],
    ids=[
        "the parent's patient is another",
        "the parent has none",
        "the grandparent's is another",
        "there and back",
        "brothers of an unknown parent",
        "brothers of a parent without patient",
        "circle",
        "below a circle",
        "cousins",
    ],
)
def test_two_patients_are_never_in_one_group(snapshots: list[Snapshot], expected: dict[str, str]) -> None:
    for order in permutations(snapshots):
        assert roots(*order) == expected


def test_a_patient_named_by_identifier_only_cannot_be_told_apart() -> None:
    nameless = Party("Patient", None, None, "Somebody")

    assert roots(linked("Task/1", ORDER, nameless), linked(ORDER, None, B))["Task/1"] == ORDER


# What that does to cases ----------------------------------------------------------------------------------


def test_a_task_that_comes_before_its_order_opens_the_case_and_the_order_joins_it() -> None:
    desk = Desk()

    desk.take(a_task())
    before = desk.case()
    desk.take(a_snapshot())

    assert set(desk.cases) == {ORDER}
    assert desk.case().id == before.id
    assert [line.ref for line in desk.case().sources] == [ORDER, "Task/1"]
    assert desk.case().title == "Referral to cardiology"


def test_a_chain_of_tasks_is_one_case_whatever_comes_first() -> None:
    chain = [a_task(ref="Task/3", parent="Task/2"), a_task(ref="Task/2", parent="Task/1"), a_task(), a_snapshot()]

    for order in permutations(chain):
        desk = Desk()
        for snapshot in order:
            desk.take(snapshot)
        assert set(desk.alive()) == {ORDER}
        assert [line.ref for line in desk.case().sources] == [ORDER, "Task/1", "Task/2", "Task/3"]


def test_tasks_in_a_circle_are_one_case() -> None:
    desk = Desk()

    desk.take(a_task(ref="Task/2", parent="Task/1"))
    desk.take(a_task(ref="Task/1", parent="Task/2"))

    assert set(desk.alive()) == {"Task/1"}


def test_a_resource_of_another_patient_is_a_case_of_its_own_and_that_is_noted_once() -> None:
    desk = Desk()
    desk.take(a_snapshot(patient=A))

    desk.take(a_task(patient=B))
    desk.take(a_task(version=2, patient=B))

    patients = {root: case.patient.ref for root, case in desk.alive().items() if case.patient is not None}
    assert patients == {ORDER: "Patient/a", "Task/1": "Patient/b"}
    assert desk.sources["Task/1"].aside == ORDER
    told = [change.fact.text for change in desk.history[desk.case("Task/1").id] if hasattr(change.fact, "text")]
    assert told == [CROSSES_PATIENTS]
    assert desk.case("Task/1").oddities == (f"Task/1: {CROSSES_PATIENTS}",)


def test_a_resource_joins_once_its_patient_is_put_right() -> None:
    desk = Desk()
    desk.take(a_snapshot(patient=A), a_task(patient=B))

    desk.take(a_task(version=2, patient=A))

    assert set(desk.alive()) == {ORDER}
    assert desk.case("Task/1").merged_into == desk.case().id
    assert desk.sources["Task/1"].aside is None
    assert desk.case().oddities == ()


def test_a_case_leaves_when_its_patient_turns_out_to_be_another() -> None:
    desk = Desk()
    desk.take(a_snapshot(patient=A), a_task(patient=A))

    desk.take(a_task(version=2, patient=B))

    assert set(desk.alive()) == {ORDER, "Task/1"}
    assert [line.ref for line in desk.case().sources] == [ORDER]


def test_a_task_that_names_another_order_moves_to_its_case() -> None:
    desk = Desk()
    desk.take(a_snapshot(), a_snapshot("ServiceRequest/2"), a_task())

    desk.take(a_task(version=2, parent="ServiceRequest/2"))

    assert set(desk.alive()) == {ORDER, "ServiceRequest/2"}
    assert [line.ref for line in desk.case().sources] == [ORDER]
    assert [line.ref for line in desk.case("ServiceRequest/2").sources] == ["ServiceRequest/2", "Task/1"]


def worked_on() -> Desk:
    """Return a desk with a Task of its own on which people did all they can do."""
    desk = Desk()
    desk.take(a_task(parent=None))
    for command in (
        do.LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER),
        do.Note(text="prefers mornings"),
        do.Assign(owner="bob"),
        do.RaiseBlocker(category=BlockerCategory.TRANSPORT, text="no car"),
        do.Escalate(why="stuck"),
    ):
        desk.do(command, "Task/1")
    return desk


def test_a_case_that_joins_another_brings_along_what_people_did() -> None:
    desk = worked_on()
    desk.take(a_snapshot())

    desk.take(a_task(version=2))

    heir, merged = desk.case(), desk.case("Task/1")
    assert merged.merged_into == heir.id
    assert (merged.status, merged.sources, merged.next_action, merged.due_at) == (Status.CLOSED, (), None, None)
    assert merged.blocker is None
    assert merged.closure is not None
    assert merged.closure.reason is ClosureReason.DUPLICATE
    assert [attempt.id for attempt in heir.outreach] == ["attempt-1"]
    assert [note.text for note in heir.notes] == ["prefers mornings"]
    assert heir.owner.id == "bob"
    assert heir.escalation is not None
    assert heir.status is Status.ESCALATED
    assert heir.local.blocker is not None
    assert heir.first_response_at == merged.first_response_at
    for case in (heir, merged):
        assert refolded(desk.history[case.id]) == case


def test_a_case_that_is_split_off_again_is_itself_again_and_the_other_keeps_what_it_was_given() -> None:
    desk = worked_on()
    desk.take(a_snapshot())
    desk.take(a_task(version=2))

    desk.take(a_task(version=3, parent=None))

    assert set(desk.alive()) == {ORDER, "Task/1"}
    for root in (ORDER, "Task/1"):
        assert [attempt.id for attempt in desk.case(root).outreach] == ["attempt-1"]
        assert desk.case(root).is_open
    assert desk.facts("Task/1").count("CaseMerged") == 2


def test_what_was_handed_over_is_not_handed_over_twice() -> None:
    desk = worked_on()
    desk.take(a_snapshot())
    desk.take(a_task(version=2))
    desk.take(a_task(version=3, parent=None))

    desk.take(a_task(version=4))

    assert len(desk.case().outreach) == 1
    assert len(desk.case().notes) == 1


def test_a_merged_case_refuses_commands_and_names_the_other() -> None:
    desk = worked_on()
    desk.take(a_snapshot())
    desk.take(a_task(version=2))

    with pytest.raises(Exception, match=f"merged into {desk.case().id}"):
        desk.do(do.Note(text="too late"), "Task/1")


def test_a_visit_that_comes_first_hands_its_case_to_the_order() -> None:
    desk = Desk()

    desk.take(a_visit())
    desk.take(a_snapshot())

    assert set(desk.cases) == {ORDER}
    case = desk.case()
    assert case.lane == "referral"
    assert case.patient is not None
    assert case.patient.ref == PATIENT.ref


def test_brothers_of_an_unknown_order_part_and_join_when_the_order_says_whose_it_is() -> None:
    first, second, order = a_task(patient=A), a_task(ref="Task/2", patient=B), a_snapshot(patient=B)

    for page in permutations([first, second, order]):
        desk = Desk()
        for snapshot in page:
            desk.take(snapshot)
            for case in desk.alive().values():
                assert len({desk.sources[line.ref].snapshot.patient for line in case.sources}) == 1
        assert {root: [line.ref for line in case.sources] for root, case in desk.alive().items()} == {
            ORDER: [ORDER, "Task/2"],
            "Task/1": ["Task/1"],
        }
