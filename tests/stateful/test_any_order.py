"""Any order and any repetition of the same versions ends in the same cases (the promise behind "nothing lost")."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.cases.changes import fold
from bridge.cases.status_table import EFFECTS
from bridge.fhir.source import SourceVersion
from bridge.store.port import Store
from bridge.store.queries import CaseFilter
from tests.stateful.world import a_line, cases_in, take_in, version_of

LINE = a_line()
PATIENTS = ("Patient/a", "Patient/b")
REFS = {
    "ServiceRequest": ("ServiceRequest/1", "ServiceRequest/2"),
    "MedicationRequest": ("MedicationRequest/1",),
    "Appointment": ("Appointment/1", "Appointment/2"),
    "Task": ("Task/1", "Task/2", "Task/3"),
}
LINKS = tuple(ref for refs in REFS.values() for ref in refs)


def _resource(draw: st.DrawFn, ref: str) -> dict[str, Any]:
    kind, _, own_id = ref.partition("/")
    status = draw(st.sampled_from(sorted(set(EFFECTS[kind]) - {"ended"})))
    patient = draw(st.sampled_from((*PATIENTS, PATIENTS[0], None)))
    found: dict[str, Any] = {"resourceType": kind, "id": own_id, "status": status}
    reference = {"reference": patient} if patient else None
    if kind == "Appointment":
        actors = [{"actor": reference, "status": draw(st.sampled_from(("accepted", "needs-action")))}]
        found["participant"] = actors if reference else []
        found["start"] = draw(st.sampled_from(("2026-05-20T10:00:00Z", "2026-07-01T10:00:00-04:00")))
        link = draw(st.sampled_from((None, "ServiceRequest/1", "ServiceRequest/2")))
        if link:
            found["basedOn"] = [{"reference": link}]
    elif reference:
        found["for" if kind == "Task" else "subject"] = reference
    if kind == "Task":
        found["intent"] = draw(st.sampled_from(("order", "order", "plan")))
        for element in ("focus", "partOf"):
            link = draw(st.sampled_from((None, *LINKS)))
            if link:
                found[element] = {"reference": link} if element == "focus" else [{"reference": link}]
        found["owner"] = draw(st.sampled_from(({"reference": "Organization/1"}, {"display": "Someone"}, {})))
    if draw(st.booleans()):
        found["authoredOn" if kind != "Appointment" else "created"] = "2026-04-30"
    return found


@st.composite
def histories(draw: st.DrawFn) -> list[SourceVersion]:
    """Return one to three versions of some of the resources, every one at its own moment."""
    refs = draw(st.lists(st.sampled_from(LINKS), min_size=1, max_size=9))
    return [version_of(_resource(draw, ref), number) for number, ref in enumerate(refs, 1)]


@given(st.data(), histories())
@settings(max_examples=150, deadline=None)
def test_any_order_and_repetition_ends_in_the_same_cases(data: st.DataObject, versions: list[SourceVersion]) -> None:
    expected = cases_in(take_in(versions, [], LINE))

    repeated = versions + data.draw(st.lists(st.sampled_from(versions), max_size=4))
    shuffled = data.draw(st.permutations(repeated))
    sizes = data.draw(st.lists(st.integers(1, 3), max_size=6))

    assert cases_in(take_in(shuffled, sizes, LINE)) == expected


@given(histories(), st.lists(st.integers(1, 3), max_size=6))
@settings(max_examples=100, deadline=None)
def test_a_case_is_the_fold_of_its_changes_and_every_open_case_can_be_worked(
    versions: list[SourceVersion], sizes: list[int]
) -> None:
    store = take_in(versions, sizes, LINE)

    with store.reading() as tx:
        for case in tx.list_cases(CaseFilter(merged=True), limit=1000).cases:
            folded = None
            history = tx.history(case.id)
            for change in history:
                folded = fold(folded, change)
            assert folded == case
            assert [change.seq for change in history] == list(range(1, len(history) + 1))
            assert not case.is_open or (case.next_action is not None and case.due_at is not None)
            assert case.is_open == (case.closure is None)


@given(histories())
@settings(max_examples=60, deadline=None)
def test_taking_everything_in_again_changes_nothing(versions: list[SourceVersion]) -> None:
    store = take_in(versions, [], LINE)
    before, changes = cases_in(store), _changes(store)

    take_in(versions, [1, 1, 2], LINE, store)

    assert (cases_in(store), _changes(store)) == (before, changes)


def _changes(store: Store) -> int:
    with store.reading() as tx:
        cases = tx.list_cases(CaseFilter(merged=True), limit=1000).cases
        return sum(len(tx.history(case.id)) for case in cases)
