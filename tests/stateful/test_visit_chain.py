"""
A visit that is moved, missed, called off and kept: the same case whatever the order in which its versions come.

The stories are those of a front desk: rescheduled by a new Appointment, arrived and back to booked, a no-show that was
a mistake. A case ends by a rule and by nothing else: while its order is in force, no visit ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.cases.changes import CauseKind, fold
from bridge.cases.model import Case
from bridge.fhir.source import SourceVersion
from bridge.store.port import Store
from bridge.store.queries import CaseFilter
from tests.stateful.world import a_line, cases_in, take_in, version_of

LINE = a_line()
ORDER = "ServiceRequest/1"
PLACES = ("booked", "arrived", "checked-in", "cancelled", "noshow", "fulfilled", "pending", "waitlist")
ENDS_A_VISIT = {"fulfilled", "entered-in-error"}
"""What ends a case that is a visit and nothing else; a visit that was called off or missed is work."""

MOVED = [("a", "booked"), ("a", "cancelled"), ("b", "booked"), ("b", "arrived"), ("b", "fulfilled")]
BACK = [("a", "booked"), ("a", "arrived"), ("a", "booked"), ("a", "checked-in"), ("a", "noshow"), ("a", "arrived")]
MISSED = [("a", "booked"), ("a", "noshow"), ("b", "booked"), ("b", "cancelled"), ("c", "pending"), ("c", "booked")]

Story = list[tuple[str, str]]
stories: st.SearchStrategy[Story] = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(PLACES)), min_size=2, max_size=8
)


def visits(story: Story, *, ordered: bool) -> list[SourceVersion]:
    """Return the versions of a story, in its order; *ordered* visits are asked for by one order."""
    versions = [version_of(an_order(), 1)] if ordered else []
    return versions + [version_of(a_visit(own_id, status, ordered), at) for at, (own_id, status) in enumerate(story, 2)]


def an_order() -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest",
        "id": "1",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/a"},
        "authoredOn": "2026-04-30",
    }


def a_visit(own_id: str, status: str, ordered: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "resourceType": "Appointment",
        "id": own_id,
        "status": status,
        "start": f"2026-06-{'abc'.index(own_id) + 10}T10:00:00Z",
        "participant": [{"actor": {"reference": "Patient/a"}, "status": "accepted"}],
    }
    return found | ({"basedOn": [{"reference": ORDER}]} if ordered else {})


def newest(story: Story) -> dict[str, str]:
    """Return how each visit of a story stands in the end."""
    return {f"Appointment/{own_id}": status for own_id, status in story}


def every_case(store: Store) -> list[Case]:
    with store.reading() as tx:
        return list(tx.list_cases(CaseFilter(merged=True), limit=1000).cases)


def told(store: Store, case: Case) -> list[str]:
    """Return which versions moved a case, and check that its history is whole: it makes the case, with no gap."""
    with store.reading() as tx:
        history = tx.history(case.id)
    folded = None
    for change in history:
        folded = fold(folded, change)
    assert folded == case
    assert [change.seq for change in history] == list(range(1, len(history) + 1))
    return list(dict.fromkeys(change.cause.what for change in history if change.cause.kind is CauseKind.SOURCE))


def in_any_order(data: st.DataObject, versions: Sequence[SourceVersion]) -> Store:
    repeated = [*versions, *data.draw(st.lists(st.sampled_from(versions), max_size=3))]
    shuffled = data.draw(st.permutations(repeated))
    return take_in(shuffled, data.draw(st.lists(st.integers(1, 3), max_size=8)), LINE)


@given(st.data(), stories | st.sampled_from([MOVED, BACK, MISSED]))
@settings(max_examples=40, deadline=None)
def test_the_visits_of_an_order_in_force_make_one_open_case_in_any_order(data: st.DataObject, story: Story) -> None:
    versions = visits(story, ordered=True)
    expected = cases_in(take_in(versions, [1] * len(versions), LINE))

    store = in_any_order(data, versions)

    assert cases_in(store) == expected
    (case,) = [case for case in every_case(store) if case.merged_into is None]
    assert (case.root, case.is_open, case.closure) == (ORDER, True, None)
    assert {line.ref: line.status for line in case.sources if line.ref != ORDER} == newest(story)
    for one in every_case(store):
        told(store, one)


@given(st.data(), stories | st.sampled_from([MOVED, BACK, MISSED]))
@settings(max_examples=40, deadline=None)
def test_a_visit_by_itself_ends_by_its_own_last_word_alone(data: st.DataObject, story: Story) -> None:
    versions = visits(story, ordered=False)

    store = in_any_order(data, versions)

    assert cases_in(store) == cases_in(take_in(versions, [1] * len(versions), LINE))
    last = newest(story)
    for case in every_case(store):
        told(store, case)
        assert case.is_open == (last[case.root] not in ENDS_A_VISIT)


@given(stories | st.sampled_from([MOVED, BACK, MISSED]))
@settings(max_examples=30, deadline=None)
def test_each_turn_of_a_story_that_is_heard_as_it_happens_stands_in_the_history(story: Story) -> None:
    versions = visits(story, ordered=True)

    store = take_in(versions, [1] * len(versions), LINE)

    (case,) = [case for case in every_case(store) if case.merged_into is None]
    assert told(store, case) == [f"{one.ref}/_history/{one.version}" for one in versions]
