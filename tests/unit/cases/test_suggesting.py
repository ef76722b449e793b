"""What remarks suggest, against labels given by hand; denied, asked and unrelated words suggest nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cases import commands as do
from bridge.cases.model import Case
from bridge.cases.snapshot import Remark
from bridge.cases.suggesting import RULES, Agreement, Said, Suggestion, agreement, offered, suggestions
from bridge.cases.terms import AttemptOutcome, Barrier, BlockerCategory
from bridge.errors import CommandRefused
from tests.unit.cases.builders import ORDER, Desk, a_snapshot, call, taken

LABELLED = [
    ("Pt has no ride to the clinic on Tuesdays.", {"transport"}),
    ("She can't drive at night and needs transportation", {"transport"}),
    ("Needs a Somali interpreter for the visit", {"interpreter"}),
    ("Does not speak English, daughter helps", {"interpreter"}),
    ("Says he can't afford the copay this month", {"cost"}),
    ("Worried about the bill; insurance lapsed in May", {"cost", "insurance"}),
    ("Waiting for prior auth from the payer", {"authorization"}),
    ("Prior authorization denied, appeal in progress", {"authorization"}),
    ("Missing imaging report from the outside hospital", {"documents"}),
    ("Waiting on the operative notes", {"documents"}),
    ("No open slots until August", {"capacity"}),
    ("Cardiology is booked out, put on waitlist", {"capacity"}),
    ("Phone is disconnected", {"unreachable"}),
    ("Mailbox full, could not leave message", {"unreachable"}),
    ("Playing phone tag since Monday", {"phone-tag"}),
    ("Cannot take time off work before the 20th", {"work"}),
    ("Works nights, call after 3 pm", {"work"}),
    ("Patient is afraid of the procedure", {"fear"}),
    ("Anxious about sedation", {"fear"}),
    ("Confused about which pill to stop", {"confusion"}),
    ("Doesn't understand why the test is needed", {"confusion"}),
    ("Cannot log in to the portal", {"technology"}),
    ("No smartphone, no e-mail", {"technology"}),
    ("Doesn't think this visit is necessary", {"low-urgency"}),
    ("Feels better now and wants to wait", {"low-urgency"}),
    ("Needs a clinician review before scheduling", {"clinical"}),
    ("No reply from the specialist since last week", {"other-provider"}),
    ("Waiting for the eye clinic", {"other-provider"}),
    ("No transport problem any more", set()),
    ("Denies being afraid of the procedure", set()),
    ("Does she need an interpreter?", set()),
    ("Insurance question resolved", set()),
    ("He is no longer afraid of the scan", set()),
    ("Called, left message with callback number", set()),
    ("Scheduled for 14 June, patient confirmed", set()),
    ("Prefers mornings. Daughter drives her.", set()),
    ("Sent the form by mail", set()),
    ("Spoke to the office, all set", set()),
    ("", set()),
]


@pytest.mark.parametrize(("text", "rules"), LABELLED)
def test_a_remark_suggests_what_a_person_reads_in_it(text: str, rules: set[str]) -> None:
    assert {found.rule for found in suggestions([Said(text, "note:1")])} == rules


def test_every_rule_is_among_the_labelled_remarks() -> None:
    assert {rule.name for rule in RULES} == set().union(*(rules for _, rules in LABELLED))


def test_a_suggestion_quotes_the_sentence_and_says_where_it_stands() -> None:
    (found,) = suggestions([Said("Called at ten. Has no ride on Tuesdays. Will call again.", "Task/1")])

    assert (found.quote, found.source, found.rule) == ("Has no ride on Tuesdays.", "Task/1", "transport")


def test_the_same_remark_suggests_the_same_thing_under_the_same_key() -> None:
    remark = Said("Has no ride. Really, no ride.", "note:1")

    first, again = suggestions([remark]), suggestions([remark])

    assert first == again
    assert len(first) == 1
    assert first[0].key != suggestions([remark._replace(source="note:2")])[0].key


@given(st.text(max_size=400))
def test_no_text_is_too_odd(text: str) -> None:
    for found in suggestions([Said(text, "note:1")]):
        assert found.quote in text


# What a person does with them ----------------------------------------------------------------------------


def open_to(desk: Desk, case: Case | None = None) -> list[Suggestion]:
    """Return what the case of the desk's one order is offered."""
    return offered(case or desk.case(), [desk.sources[ORDER].snapshot])


def test_remarks_of_the_case_the_patient_and_the_ehr_all_suggest() -> None:
    desk = taken(a_snapshot(remarks=(Remark("Needs an interpreter."),)))
    desk.do(do.Note(text="Has no ride."))
    desk.do(call(AttemptOutcome.REACHED, understood="Confused about the date."))

    assert {(one.rule, one.source) for one in open_to(desk)} == {
        ("transport", "note:1"),
        ("confusion", "attempt:attempt-2"),
        ("interpreter", ORDER),
    }


def test_an_accepted_suggestion_raises_its_blocker_in_the_words_of_the_remark() -> None:
    desk = taken(a_snapshot())
    desk.do(do.Note(text="Says he can't afford the copay."))

    case = desk.do(do.AcceptSuggestion(key=open_to(desk)[0].key), by="bob")

    assert case.blocker is not None
    assert (case.blocker.category, case.blocker.barrier) == (BlockerCategory.ELIGIBILITY, Barrier.COST)
    assert case.blocker.text == "“Says he can't afford the copay.”"
    assert case.blocker.source == "person:bob"


@pytest.mark.parametrize("answer", [do.AcceptSuggestion, do.DismissSuggestion])
def test_an_answered_suggestion_is_not_made_again(answer: type[do.AcceptSuggestion]) -> None:
    desk = taken(a_snapshot())
    desk.do(do.Note(text="Has no ride."))
    key = open_to(desk)[0].key

    desk.do(answer(key=key))
    desk.do(do.Note(text="Called again."))
    if answer is do.AcceptSuggestion:
        desk.do(do.ClearBlocker())

    assert open_to(desk) == []
    with pytest.raises(CommandRefused, match="suggests that any longer"):
        desk.do(answer(key=key))


def test_what_holds_the_case_up_anyway_is_not_suggested() -> None:
    desk = taken(a_snapshot())
    desk.do(do.Note(text="Has no ride."))

    desk.do(do.RaiseBlocker(category=BlockerCategory.TRANSPORT, text="no car"))
    assert open_to(desk) == []

    desk.do(do.ClearBlocker())
    assert [one.rule for one in open_to(desk)] == ["transport"]


def test_the_same_words_in_several_remarks_are_offered_once() -> None:
    desk = taken(a_snapshot())
    for _ in range(2):
        desk.do(do.Note(text="Has no ride."))

    assert [one.source for one in open_to(desk)] == ["note:2"]


def test_the_history_counts_how_often_people_agreed_with_each_rule() -> None:
    desk = taken(a_snapshot())
    desk.do(do.Note(text="Has no ride. Needs an interpreter. Cannot log in."))
    for one in open_to(desk):
        desk.do((do.DismissSuggestion if one.rule == "technology" else do.AcceptSuggestion)(key=one.key))
    desk.do(do.Note(text="Still needs a ride."))
    desk.do(do.ClearBlocker())
    desk.do(do.DismissSuggestion(key=open_to(desk)[0].key))

    assert agreement(desk.history[desk.case().id]) == {
        "transport": Agreement(1, 1),
        "interpreter": Agreement(1, 0),
        "technology": Agreement(0, 1),
    }
