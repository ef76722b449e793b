"""What a pause's reason says, and that every blocker leads somewhere."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.cases.blockers import LABELS, UNBLOCKS, WAITS, category_of_pause
from bridge.cases.model import BlockerCategory, Status
from bridge.cases.snapshot import Code, Concept, Snapshot
from tests.unit.cases.builders import a_prescription, a_snapshot, a_task, a_visit, said

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
    assert category_of_pause(a_task("on-hold", status_reason=said(words))) is category


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
    assert category_of_pause(a_task("on-hold", **reason)) is B.MISSING_DOCUMENTATION


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
    assert category_of_pause(snapshot) is category
