"""What a change leaves in the outbox, and under which key it is known for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bridge.cases.changes import Cause, CauseKind, Change, LaneChanged, StatusChanged, VisitHappened
from bridge.cases.intents import Intent, IntentKind
from bridge.cases.model import Case, SourceLine
from bridge.cases.snapshot import Effect
from bridge.cases.terms import Status
from bridge.tasks.intents import intents_for
from tests.unit.tasks.builders import AT, a_case


def told(prior: Case, case: Case, cause: Cause, at: datetime = AT) -> Intent:
    """Return the message that tells that *case* entered its status."""
    change = Change(case.id, case.version, case.version, at, cause, StatusChanged(case.status, prior.status))
    found = intents_for(
        prior, case, [change], asked=(), tell={case.status.value}, acknowledge_with="received", zone=UTC
    )
    (message,) = [intent for intent in found if intent.kind is IntentKind.STATUS_MESSAGE]
    return message


def test_a_status_that_a_version_brought_is_told_under_one_key_whatever_our_count() -> None:
    """A new database counts anew; the message that was sent must be found again."""
    booked = Cause(CauseKind.SOURCE, "Appointment/v1/_history/2")

    before = told(a_case(), a_case(status=Status.SCHEDULED, version=7), booked)
    after_loss = told(a_case(), a_case(status=Status.SCHEDULED, version=2), booked, AT + timedelta(days=1))

    assert before.key == after_loss.key == "c0ffee/told/scheduled/Appointment/v1/_history/2"


def test_every_entering_of_a_status_has_a_key_of_its_own() -> None:
    causes = [
        Cause(CauseKind.SOURCE, "Appointment/v1/_history/2"),
        Cause(CauseKind.SOURCE, "Appointment/v1/_history/3"),
        Cause(CauseKind.SOURCE, "Appointment/v1/_history/deleted"),
        Cause(CauseKind.SOURCE, "Appointment/v1/_history/deleted"),
        Cause(CauseKind.PERSON, "ann"),
        Cause(CauseKind.PERSON, "ann"),
        Cause(CauseKind.TIMER, "watch"),
    ]

    keys = [
        told(a_case(), a_case(status=Status.SCHEDULED, version=version), cause, AT + timedelta(hours=version)).key
        for version, cause in enumerate(causes, start=2)
    ]

    assert len(set(keys)) == len(causes)


def messages_of_a_move(cause: Cause, told_before: set[str]) -> list[str]:
    """Return the keys of what is told when a scheduled visit turns out to be a referral's."""
    visit = a_case(status=Status.SCHEDULED, lane="appointment-readiness")
    booked = SourceLine("Appointment/v1", "3", "booked", Effect.BOOKED, AT)
    order = SourceLine("ServiceRequest/o1", "1", "active", Effect.ASKED, AT + timedelta(days=1))
    both = {"root": order.ref, "sources": (order, booked)}
    referral = a_case(status=Status.SCHEDULED, lane="referral", version=2, **both)
    change = Change(referral.id, 2, 2, AT, cause, LaneChanged("referral", "appointment-readiness"))
    found = intents_for(
        visit,
        referral,
        [change],
        asked=(),
        tell={"scheduled", "closed"},
        told_before=told_before,
        acknowledge_with="received",
        zone=UTC,
    )
    return [intent.key for intent in found if intent.kind is IntentKind.STATUS_MESSAGE]


def test_an_order_that_is_read_after_its_visit_is_told_of_the_visit() -> None:
    read = Cause(CauseKind.SOURCE, "ServiceRequest/o1/_history/1")

    told = messages_of_a_move(read, {"escalated"})
    assert told == ["c0ffee/told/scheduled/Appointment/v1/_history/3"], (
        "the key that it has where the order is read first"
    )
    assert messages_of_a_move(read, {"scheduled"}) == [], "the lane before has told it"


def test_a_change_of_the_lanes_file_tells_nothing_anew() -> None:
    assert messages_of_a_move(Cause(CauseKind.TIMER, "lanes"), {"escalated"}) == []


def test_the_end_of_another_visit_takes_back_nothing_that_was_told() -> None:
    """The visit that was told stands; one that was called off before was read after it."""
    stands = a_case(status=Status.SCHEDULED, visit_at=AT + timedelta(days=9), version=2)
    moved = a_case(status=Status.SCHEDULED, visit_at=AT + timedelta(days=12), version=3)
    other = VisitHappened("cancelled", "Appointment/v0", AT)
    cause = Cause(CauseKind.SOURCE, "Appointment/v0/_history/1")
    kinds = []
    for after in (stands, moved):
        change = Change(after.id, after.version, after.version, AT, cause, other)
        found = intents_for(
            stands, after, [change], asked=(), tell={"scheduled"}, acknowledge_with="received", zone=UTC
        )
        kinds.append([intent.kind for intent in found])

    assert kinds == [[], [IntentKind.STATUS_MESSAGE]]
