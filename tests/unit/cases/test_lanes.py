"""The lanes file: what is wrong in it is named with its path, and the shipped one covers all that is read."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.cases.lane_parts import Climb, Due, Opens, Outreach, parse_due
from bridge.cases.lanes import Lane, Lanes, parse_lanes
from bridge.cases.snapshot import Code, Concept, Priority, Snapshot
from bridge.cases.status_table import EFFECTS
from bridge.cases.terms import BlockerCategory, Concern, Status, Trigger
from bridge.errors import ConfigError
from tests.unit.cases.builders import SHIPPED, SHIPPED_TEXT, a_prescription, a_snapshot, a_task, a_visit, said

WINDOW = 'window = { stat = "1 hour", asap = "2 hours", urgent = "1 day", routine = "2 days" }'
OPENS = 'opens = [{ resource = "Task", statuses = ["requested"] }]'
NEXT = "\n".join(f'{status} = {{ action = "schedule" }}' for status in Status if status is not Status.CLOSED)
HEAD = """[lanes.errand]
title = "Errand"
order = 1
owner = "desk"
backup = "supervisor"
escalates_to = ["supervisor"]"""


def a_file(*, head: str = HEAD, window: str = WINDOW, opens: str = OPENS, steps: str = NEXT, more: str = "") -> str:
    """Return a lanes file of one lane."""
    return f"{head}\n{window}\n{opens}\n{more}\n[lanes.errand.next]\n{steps}\n"


def test_a_small_lanes_file_is_read() -> None:
    lanes = parse_lanes(a_file(more='tell = ["escalated"]\ncloses_with = ["completed"]'))

    assert [lane.name for lane in lanes.all] == ["errand"]
    assert lanes.roles() == {"desk", "supervisor"}


OPENS_CODES = (
    'opens = [{ resource = "MedicationRequest", statuses = ["active"], runs_out_within = "5 business hours" }]'
)


TRIES = 'channels = ["phone"], attempts = 2, wait = "1 hour", then = { action = "schedule" }'


def test_a_lane_puts_off_the_quiet_hours_that_hold_for_the_others() -> None:
    text = a_file(more=f"outreach = {{ {TRIES} }}") + '[defaults.outreach]\nquiet = "20:00 to 09:00"\n'
    outreach = parse_lanes(text)["errand"].outreach
    assert outreach is not None
    assert str(outreach.quiet) == "20:00 to 09:00"

    none = parse_lanes(text.replace(TRIES, f'{TRIES}, quiet = "none"'))["errand"].outreach

    assert none is not None
    assert none.quiet is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lanes = [", "mine.toml: not valid TOML"),
        ("", r"mine.toml: expected at least one section \[lanes.NAME\]"),
        ("lanes = 3", r"expected at least one section \[lanes.NAME\]"),
        ("[lanes]\nerrand = 3", "lanes.errand: expected a section"),
        (a_file(more="colour = 3"), "lanes.errand.colour: Extra inputs are not permitted"),
        (a_file(more='name = "other"'), "lanes.errand.name: a lane's name stands in its heading"),
        (a_file(head=HEAD.replace('owner = "desk"', "")), "lanes.errand.owner: Field required"),
        (a_file(head=HEAD.replace("order = 1", 'order = "first"')), "lanes.errand.order: "),
        (a_file(head=HEAD.replace('["supervisor"]', "[]")), "lanes.errand.escalates_to: "),
        (a_file(window=WINDOW.replace("2 days", "soon")), "lanes.errand.window.routine: 'soon' is not a span such as"),
        (a_file(window='window = { stat = "1 hour" }'), "lanes.errand: window lacks routine, urgent, asap"),
        (a_file(window=WINDOW.replace("stat", "now")), "lanes.errand.window.now"),
        (a_file(opens="opens = []"), "lanes.errand.opens: "),
        (a_file(opens='opens = [{ resource = "Patient" }]'), "lanes.errand.opens.0.resource: "),
        (
            a_file(opens='opens = [{ resource = "Task", statuses = ["booked"] }]'),
            "lanes.errand.opens.0: booked: no Task status; draft, requested, received",
        ),
        (
            a_file(opens='opens = [{ resource = "Appointment", belongs_while = ["no-show"] }]'),
            "lanes.errand.opens.0: no-show: no Appointment status",
        ),
        (a_file(opens='opens = [{ resource = "Task", blocker = "bad-luck" }]'), "lanes.errand.opens.0.blocker: "),
        (a_file(opens=OPENS_CODES), "lanes.errand.opens.0.runs_out_within: .*not in business hours"),
        (a_file(steps=NEXT.replace('escalated = { action = "schedule" }', "")), "lanes.errand: next lacks escalated"),
        (a_file(steps=NEXT.replace('"schedule"', '"dance"', 1)), "lanes.errand.next.new.action: "),
        (
            a_file(steps=NEXT.replace('"schedule" }', '"schedule", due = "some day" }', 1)),
            "lanes.errand.next.new.due: 'some day' is neither 'window' nor like",
        ),
        (
            a_file(steps=NEXT.replace('"schedule" }', '"schedule", due = "3 business hours before visit" }', 1)),
            "lanes.errand.next.new.due: .*not in business hours",
        ),
        (
            a_file(steps=NEXT.replace('"schedule" }', '"schedule", due = "3 moons after visit" }', 1)),
            "lanes.errand.next.new.due: '3 moons' is not a span",
        ),
        (
            a_file(more=f'outreach = {{ {TRIES}, quiet = "night" }}'),
            "lanes.errand.outreach.quiet: 'night' is neither 'none'",
        ),
        (a_file(more='closes_with = ["boredom"]'), "lanes.errand.closes_with.0: "),
        (a_file(more='tell = ["pending"]'), "lanes.errand.tell.0: "),
    ],
)
def test_what_is_wrong_in_a_lanes_file_is_named_with_its_path(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_lanes(text, file="mine.toml")


def test_everything_that_is_wrong_is_named_at_once() -> None:
    text = a_file(more="colour = 3", steps=NEXT.replace('"schedule"', '"dance"', 1)) + "[lanes.other]\n"

    with pytest.raises(ConfigError) as caught:
        parse_lanes(text)

    told = str(caught.value).splitlines()
    assert all(any(path in line for line in told) for path in ("errand.colour", "next.new.action", "lanes.other.title"))


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("window", Due(None, False, "opened")),
        ("3 business days after opened", "3 business days after opened"),
        ("2 hours before visit", "2 hours before visit"),
        ("1 week before run-out", "1 week before run-out"),
    ],
)
def test_a_due_rule_is_read(text: str, due: Due | str) -> None:
    read = parse_due(text)

    assert read == due or f"{read.span} {'before' if read.before else 'after'} {read.anchor}" == due
    assert parse_due(read) == read


def test_a_lane_that_is_switched_off_takes_nothing() -> None:
    lanes = parse_lanes(a_file(more="enabled = false"))

    assert lanes.of(a_task()) is None
    assert lanes.all == ()
    assert "errand" not in lanes


def test_the_lane_with_the_lowest_order_is_asked_first() -> None:
    second = a_file().replace("lanes.errand", "lanes.chore").replace("order = 1", "order = 0")

    found = parse_lanes(a_file() + second).of(a_task())

    assert found is not None
    assert found.name == "chore"


# What belongs where, by the shipped file -------------------------------------------------------------------

PAS = "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes"
WAITS_FOR_PAYER = Concept(text="Waiting for Prior Authorization")


@pytest.mark.parametrize(
    ("snapshot", "lane"),
    [
        (a_snapshot(), "referral"),
        (a_snapshot(status="on-hold", status_reason=WAITS_FOR_PAYER), "prior-authorization"),
        (a_snapshot(status="active", status_reason=WAITS_FOR_PAYER), "referral"),
        (a_task(), "referral"),
        (a_task(codes=(Code("attachment-request-code", PAS),)), "prior-authorization"),
        (a_task(title="PRIOR AUTH for MRI"), "prior-authorization"),
        (a_task(reasons=(said("pre-authorization needed"),)), "prior-authorization"),
        (a_task(business_status=Concept((Code("priorAuthorization", "http://x"),))), "prior-authorization"),
        (a_task(parent="Appointment/1"), "appointment-readiness"),
        (a_task(parent="MedicationRequest/1"), "medication-refill"),
        (a_visit("booked"), "appointment-readiness"),
        (a_visit("noshow"), "missed-appointment"),
        (a_visit("cancelled"), "missed-appointment"),
        (a_visit("fulfilled"), "appointment-readiness"),
        (a_prescription("active"), "medication-refill"),
        (a_prescription("draft"), "medication-refill"),
        (a_prescription("draft", title="Ozempic, prior authorization"), "prior-authorization"),
        (a_prescription("active", title="Ozempic, prior authorization"), "medication-refill"),
    ],
)
def test_the_shipped_lanes_sort_work(snapshot: Snapshot, lane: str) -> None:
    found = SHIPPED.of(snapshot)

    assert found is not None
    assert found.name == lane


@pytest.mark.parametrize(("kind", "code"), [(kind, code) for kind, codes in EFFECTS.items() for code in codes])
def test_the_shipped_lanes_know_every_resource_in_every_status(kind: str, code: str) -> None:
    assert SHIPPED.of(a_snapshot(f"{kind}/1", code)) is not None


@pytest.mark.parametrize(
    ("title", "lane"),
    [
        ("Missed call from the patient", "missed-call"),
        ("Call back: question about the bill", "missed-call"),
        ("Abnormal result: potassium", "results-follow-up"),
        ("Hospital discharge on Monday", "discharge"),
        ("Post-visit call", "post-visit"),
        ("Care gap: colorectal screening", "care-gap"),
        ("Remote monitoring: weight out of range", "monitoring"),
        ("Prior auth needed", "prior-authorization"),
        ("Refill request", "medication-refill"),
        ("Something else", "referral"),
    ],
)
def test_what_other_systems_ask_for_goes_to_its_lane(title: str, lane: str) -> None:
    found = SHIPPED.of(a_snapshot("Task/1", "requested", title=title))

    assert found is not None
    assert found.name == lane


def test_the_shipped_lanes_are_all_eleven_and_complete() -> None:
    assert [lane.name for lane in SHIPPED.all] == [
        "prior-authorization",
        "missed-appointment",
        "appointment-readiness",
        "missed-call",
        "results-follow-up",
        "discharge",
        "post-visit",
        "medication-refill",
        "care-gap",
        "monitoring",
        "referral",
    ]
    for lane in SHIPPED.all:
        assert set(lane.window) == set(Priority)
        assert set(lane.next) == set(Status) - {Status.CLOSED}
        assert all(step.words() for step in lane.next.values())
        assert lane.outreach is not None
        assert {rule.when for rule in lane.escalates} >= ALWAYS, lane.name


ALWAYS = {Trigger.OVERDUE, Trigger.FAILED_CONTACT, *(Trigger(concern.value) for concern in Concern)}


def test_only_tasks_about_the_payer_and_about_forms_hold_a_case_up() -> None:
    blocking = {(lane.name, rule.resource, rule.blocker) for lane in SHIPPED.all for rule in lane.opens if rule.blocker}

    assert blocking == {
        ("prior-authorization", "Task", BlockerCategory.MISSING_DOCUMENTATION),
        ("prior-authorization", "Task", BlockerCategory.AUTHORIZATION),
        ("appointment-readiness", "Task", BlockerCategory.MISSING_DOCUMENTATION),
    }


@pytest.mark.parametrize(
    "where",
    [
        {"codes": (Code("c", "http://s"),)},
        {"categories": (Code("c", "http://s"),)},
        {"reasons": (Concept((Code("c", "http://s"),)),)},
        {"status_reason": Concept((Code("c", "http://s"),))},
        {"business_status": Concept((Code("c", "http://s"),))},
    ],
)
def test_a_code_is_looked_for_wherever_a_resource_can_carry_it(where: dict[str, Any]) -> None:
    lanes = _lanes_by('codes = ["http://s|c"]')

    assert lanes.of(a_snapshot(**where)) is not None
    assert lanes.of(a_snapshot()) is None


def test_a_code_of_another_system_does_not_count() -> None:
    lanes = _lanes_by('codes = ["http://s|c"]')

    assert lanes.of(a_snapshot(codes=(Code("c", "http://other"), Code("c")))) is None


def test_a_coding_without_system_is_named_with_an_empty_one() -> None:
    assert _lanes_by('codes = ["|c"]').of(a_snapshot(codes=(Code("c"),))) is not None


def test_words_are_found_whatever_their_case() -> None:
    lanes = _lanes_by('words = ["Straße"]')

    assert lanes.of(a_snapshot(title="In der STRASSE")) is not None
    assert lanes.of(a_snapshot(title="elsewhere", reasons=(said("straße"),))) is not None
    assert lanes.of(a_snapshot(title="elsewhere")) is None


def _lanes_by(rule: str) -> Lanes:
    return parse_lanes(a_file(opens=f'opens = [{{ resource = "ServiceRequest", {rule} }}]'))


def test_the_documentation_in_the_shipped_file_names_every_setting() -> None:
    explained = SHIPPED_TEXT.partition("\n[lanes.")[0]
    sections = (Lane, Opens, Outreach, Climb)
    settings = {name for section in sections for name in section.model_fields} - {"name"}

    assert {name for name in settings if name not in explained} == set()
