"""What a pause's reason says, and that every blocker leads somewhere."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.cases.blockers import LABELS, UNBLOCKS, WAITS, category_of_pause
from bridge.cases.commands import RaiseBlocker
from bridge.cases.lanes import Lanes, parse_lanes
from bridge.cases.snapshot import Code, Concept, Snapshot
from bridge.cases.terms import BlockerCategory, Status
from bridge.errors import CommandRefused, ConfigError
from tests.unit.cases.builders import (
    SHIPPED,
    SHIPPED_TEXT,
    Desk,
    a_prescription,
    a_snapshot,
    a_task,
    a_visit,
    said,
    some_rules,
    taken,
)

B = BlockerCategory


@pytest.mark.parametrize("table", [WAITS, UNBLOCKS, LABELS])
def test_every_blocker_waits_for_somebody_is_undone_somehow_and_has_a_name(table: dict[B, object]) -> None:
    assert set(table) == set(B)


def test_no_blocker_closes_or_schedules() -> None:
    assert not {Status.NEW, Status.SCHEDULED, Status.CLOSED, Status.ESCALATED} & set(WAITS.values())


@pytest.mark.parametrize(
    ("words", "category"),
    [
        ("Waiting for prior authorization", B.AUTHORIZATION),
        ("Payer has not answered", B.AUTHORIZATION),
        ("prior-auth pending", B.AUTHORIZATION),
        ("Ineligible at present", B.ELIGIBILITY),
        ("Eligibility check", B.ELIGIBILITY),
        ("Insurance coverage ended", B.ELIGIBILITY),
        ("Missing documents", B.MISSING_DOCUMENTATION),
        ("Forms not signed", B.MISSING_DOCUMENTATION),
        ("Needs a ride", B.TRANSPORT),
        ("Interpreter needed", B.LANGUAGE),
        ("Unable to reach patient", B.PATIENT_UNREACHABLE),
        ("no availability until May", B.SCHEDULING_CAPACITY),
        ("Needs clinical review", B.CLINICAL_REVIEW),
        ("Clarification by physician", B.CLINICAL_REVIEW),
        ("The performer is ill", B.EXTERNAL_PROVIDER),
        ("Overridden by provider", B.EXTERNAL_PROVIDER),
        ("", B.EXTERNAL_PROVIDER),
    ],
)
def test_a_pause_is_read_by_how_the_words_of_its_reason_begin(words: str, category: B) -> None:
    assert category_of_pause(a_task("on-hold", status_reason=said(words)), SHIPPED.blockers) is category


@pytest.mark.parametrize(
    "reason",
    [
        {"status_reason": Concept((Code("missing-documentation"),))},
        {"status_reason": Concept((Code("missingDocumentation"),))},
        {"status_reason": Concept((Code("x", None, "Missing documentation"),))},
        {"business_status": said("Documents outstanding")},
    ],
)
def test_codes_displays_and_the_business_status_count_too(reason: Any) -> None:
    assert category_of_pause(a_task("on-hold", **reason), SHIPPED.blockers) is B.MISSING_DOCUMENTATION


@pytest.mark.parametrize(
    ("snapshot", "category"),
    [
        (a_snapshot(status="on-hold", reasons=(said("Speech and language delay"),)), B.CLINICAL_REVIEW),
        (a_snapshot(status="on-hold", reasons=(said("Awaiting prior authorization"),)), B.AUTHORIZATION),
        (a_snapshot(status="on-hold"), B.CLINICAL_REVIEW),
        (a_prescription("on-hold"), B.CLINICAL_REVIEW),
        (a_task("on-hold"), B.EXTERNAL_PROVIDER),
        (a_visit("waitlist"), B.INTERNAL_QUEUE),
    ],
)
def test_without_a_status_reason_the_type_decides_and_only_the_payer_is_looked_for(
    snapshot: Snapshot, category: B
) -> None:
    assert category_of_pause(snapshot, SHIPPED.blockers) is category


CANCELLED_BECAUSE = "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason"


@pytest.mark.parametrize(
    ("code", "category"),
    [
        ("pat-lt", B.TRANSPORT),
        ("oth-int", B.LANGUAGE),
        ("pat-mt", B.ELIGIBILITY),
        ("prov-labs", B.CLINICAL_REVIEW),
        ("maint", B.SCHEDULING_CAPACITY),
        ("pat-fb", None),
        ("prov", None),
    ],
)
def test_why_a_visit_was_called_off_says_what_to_solve_first(code: str, category: BlockerCategory | None) -> None:
    why = Concept(codes=(Code(code, CANCELLED_BECAUSE),))
    desk = taken(a_snapshot(), a_visit("cancelled", status_reason=why))

    blocker = desk.case().blocker
    assert (blocker.category if blocker is not None else None) is category

    desk.take(a_visit("booked", ref="Appointment/2"))
    assert desk.case().blocker is None


@pytest.mark.parametrize(("code", "category"), [("A4", B.AUTHORIZATION), ("A3", B.AUTHORIZATION), ("A1", None)])
def test_the_payers_answer_on_a_task_that_is_under_way(code: str, category: BlockerCategory | None) -> None:
    answer = Concept(codes=(Code(code, "https://codesystem.x12.org/005010/306"),))

    desk = taken(a_snapshot(), a_task("in-progress", business_status=answer))

    blocker = desk.case().blocker
    assert (blocker.category if blocker is not None else None) is category


def test_a_site_says_what_its_own_codes_and_words_mean() -> None:
    own = '[[blockers]]\ncategory = "transport"\ncodes = ["http://clinic.example|no-ferry"]\nwords = ["Ferry"]\n'
    lanes = parse_lanes(own + SHIPPED_TEXT)

    by_word = category_of_pause(a_task("on-hold", status_reason=said("no ferry, no documents")), lanes.blockers)
    coded = Concept(text="documents", codes=(Code("no-ferry", "http://clinic.example"),))

    assert by_word is B.TRANSPORT
    assert category_of_pause(a_task("on-hold", status_reason=coded), lanes.blockers) is B.TRANSPORT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[blockers]]\ncategory = "weather"\nwords = ["rain"]', r"blockers\.1\.category"),
        ('[[blockers]]\ncategory = "transport"', r"blockers\.1: expected codes, words or both"),
        ("[blockers]\nwords = []", r"blockers: expected sections"),
    ],
)
def test_a_table_that_says_nothing_sound_is_refused(text: str, message: str) -> None:
    rest = SHIPPED_TEXT[SHIPPED_TEXT.index("\n[defaults]") :]
    with pytest.raises(ConfigError, match=message):
        parse_lanes(f"{text}\n{rest}")


def test_a_person_may_give_the_reasons_that_the_lane_knows_and_no_others() -> None:
    some = (B.TRANSPORT, B.LANGUAGE)
    lanes = Lanes(lane.model_copy(update={"blockers": some}) for lane in SHIPPED.all)
    desk = Desk(some_rules(lanes=lanes))
    desk.take(a_snapshot())

    with pytest.raises(CommandRefused, match="not held up by eligibility; it may be by transport, language"):
        desk.do(RaiseBlocker(category=B.ELIGIBILITY, text="not covered"))
    blocker = desk.do(RaiseBlocker(category=B.TRANSPORT, text="no ride")).blocker

    assert blocker is not None
    assert blocker.category is B.TRANSPORT
