"""
Stories that a clinic's day is made of, each a short sequence of dated steps.

Days before 0 are the past when the play starts; the rest happens while one watches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count as counting
from itertools import islice

from conformance.generator import errands
from conformance.generator.elements import LOCAL, SNOMED, Json, coding, concept, day, reference
from conformance.generator.people import care_team, cast, patient
from conformance.generator.stage import Stage, because
from conformance.generator.story import Change, Story, Timeline
from conformance.generator.work import REFERRALS, appointment, medication_request, note, service_request, task

_ROUND_DAYS = 3.0


def _order(stage: Stage, on: float, kind: int = 0, **elements: object) -> Json:
    text, code = REFERRALS[kind]
    base = {
        "code": concept(text, code),
        "priority": "routine",
        "authoredOn": stage.when(on),
        "requester": reference(stage.staff.family_doctor),
    }
    return service_request(stage.id("order"), stage.patient, **(base | elements))


def _task(stage: Stage, focus: Json, on: float, name: str = "task", **elements: object) -> Json:
    base = {
        "focus": reference(focus),
        "priority": focus.get("priority"),
        "authoredOn": stage.when(on),
        "lastModified": stage.when(on),
        "requester": reference(stage.staff.family_doctor),
        "owner": reference(stage.staff.cardiology),
    }
    return task(stage.id(name), stage.patient, **(base | elements))


def _patient_answers(stage: Stage, visit: Json, on: float, status: str) -> Change:
    participants = [dict(participant) for participant in visit["participant"]]
    participants[0]["status"] = status
    return stage.move(visit, on, participant=participants)


def _stalls(stage: Stage) -> Story:
    order = _order(stage, -6, priority="urgent", reasonCode=[concept("Chest pain on exertion")])
    asked = _task(stage, order, -6)
    stage.tell(-6, "The family doctor refers the patient to cardiology, urgently", order, asked)
    stage.tell(-5, "The heart center receives the referral", stage.move(asked, -5, status="received"))
    voicemail = note("Called the patient, left a voicemail.", stage.timeline.at(-2))
    stage.tell(-2, "Nobody reaches the patient", Change(f"Task/{asked['id']}", {"+note": [voicemail]}))
    held = stage.move(asked, 0.4, status="on-hold", statusReason=because("Records of the last visit are missing"))
    stage.tell(0.4, "The referral stalls: records are missing", held)
    return stage.story("referral-stalls", "An urgent referral that stalls")


def _closes(stage: Stage) -> Story:
    order = _order(stage, -4)
    asked = _task(stage, order, -4)
    visit = appointment(
        stage.id("visit"),
        stage.patient,
        stage.timeline.at(0.5),
        stage.staff.cardiologist,
        basedOn=[reference(order)],
        created=stage.when(-2),
    )
    report = {"type": concept("Consult note"), "valueString": "Seen; echo normal; back to the family doctor."}
    stage.tell(-4, "The family doctor refers the patient to cardiology", order, asked)
    stage.tell(-3, "The heart center accepts", stage.move(asked, -3, status="accepted"))
    stage.tell(-2, "A visit is booked", visit, stage.move(asked, -2, status="in-progress"))
    stage.tell(0.5, "The patient arrives", stage.move(visit, 0.5, status="arrived"))
    stage.tell(0.6, "The visit is over", stage.move(visit, 0.6, status="fulfilled"))
    done = stage.move(asked, 0.9, status="completed", **{"+output": [report]})
    stage.tell(0.9, "The report is in: the referral closes", done, stage.move(order, 0.9, status="completed"))
    return stage.story("referral-closes", "A referral that is booked, seen and closed")


def _no_show(stage: Stage) -> Story:
    visit = appointment(
        stage.id("visit"),
        stage.patient,
        stage.timeline.at(0.3),
        stage.staff.family_doctor,
        created=stage.when(-5),
    )
    again = appointment(
        stage.id("again"),
        stage.patient,
        stage.timeline.ahead(3),
        stage.staff.family_doctor,
        created=stage.when(1.2),
        comment="After a missed visit",
    )
    stage.tell(-5, "A follow-up visit is booked", visit)
    stage.tell(0.35, "The patient does not come", stage.move(visit, 0.35, status="noshow"))
    stage.tell(1.2, "The visit is booked again", again)
    return stage.story("no-show", "A missed visit")


def _rebooked(stage: Stage) -> Story:
    order = _order(stage, -3, kind=3)
    link = [reference(order)]
    first = appointment(stage.id("visit"), stage.patient, stage.timeline.ahead(1), basedOn=link, created=stage.when(-1))
    second = appointment(
        stage.id("again"), stage.patient, stage.timeline.ahead(5), basedOn=link, created=stage.when(0.7)
    )
    stage.tell(-3, "Physical therapy is ordered", order)
    stage.tell(-1, "The first visit is booked", first)
    cancelled = stage.move(first, 0.2, status="cancelled", cancelationReason=because("No ride that day"))
    stage.tell(0.2, "The patient cancels: no ride", cancelled)
    stage.tell(0.7, "Another day is found", second)
    return stage.story("cancelled-and-rebooked", "A visit that is cancelled and booked again")


def _refill(stage: Stage) -> Story:
    drug = medication_request(
        stage.id("rx"),
        stage.patient,
        status="on-hold",
        statusReason=because("Blood pressure readings are overdue"),
        authoredOn=stage.when(-1),
        requester=reference(stage.staff.family_doctor),
    )
    asked = _task(
        stage,
        drug,
        -1,
        code=concept("Refill request", coding(LOCAL, "refill")),
        owner=reference(stage.staff.nurse),
        requester=reference(stage.patient),
    )
    stage.tell(-1, "The patient asks for a refill; a clinician must decide", drug, asked)
    stage.tell(0.3, "The nurse takes it up", stage.move(asked, 0.3, status="in-progress"))
    signed = stage.move(drug, 0.8, status="active", statusReason=None)
    stage.tell(0.8, "The doctor signs the refill", signed, stage.move(asked, 0.8, status="completed"))
    return stage.story("refill", "A refill that needs a clinician")


def _authorization(stage: Stage) -> Story:
    order = _order(stage, -3, kind=5, status="on-hold", reasonCode=[concept("Prior authorization")])
    pas = "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes"
    asked = _task(
        stage,
        order,
        -2,
        code=concept("Attachments for a prior authorization", coding(pas, "attachment-request-code")),
        requester=reference(stage.staff.payer),
        owner=reference(stage.staff.clinic),
        businessStatus=concept("Awaiting information"),
        input=[{"type": concept("Attachment needed"), "valueString": "Notes of the last two visits"}],
        restriction={"period": {"end": day(stage.timeline.ahead(2))}},
    )
    stage.tell(-3, "An MRI is ordered; the payer must agree first", order)
    stage.tell(-2, "The payer asks for documents", asked)
    stage.tell(0.6, "The documents are sent", stage.move(asked, 0.6, status="in-progress", businessStatus=None))
    agreed = stage.move(asked, 1.3, status="completed")
    stage.tell(1.3, "The payer agrees", agreed, stage.move(order, 1.3, status="active"))
    return stage.story("prior-authorization", "A prior authorization that lacks documents")


def _unconfirmed(stage: Stage) -> Story:
    visit = appointment(
        stage.id("visit"),
        stage.patient,
        stage.timeline.ahead(2),
        stage.staff.family_doctor,
        created=stage.when(-2),
        patient_status="needs-action",
    )
    stage.tell(-2, "A visit is booked; the patient has not confirmed", visit)
    stage.tell(0.5, "The patient confirms", _patient_answers(stage, visit, 0.5, "accepted"))
    return stage.story("awaiting-confirmation", "A visit that awaits confirmation")


def _unclaimed(stage: Stage) -> Story:
    order = _order(stage, -0.2, kind=4, priority="stat", reasonCode=[concept("New heart murmur")])
    asked = _task(stage, order, -0.2, owner=None)
    stage.tell(-0.2, "An echocardiogram is wanted at once; nobody owns it", order, asked)
    owner = reference(stage.staff.cardiology_service)
    stage.tell(0.25, "Outpatient cardiology takes it", stage.move(asked, 0.25, status="accepted", owner=owner))
    return stage.story("unclaimed", "An order that nobody owns")


def _rejected(stage: Stage) -> Story:
    order = _order(stage, -2, kind=5)
    first = _task(stage, order, -2, owner=reference(stage.staff.imaging))
    second = _task(stage, order, 0.9, name="second", owner={"display": "Lakeside Imaging"})
    full = stage.move(first, -1, status="rejected", statusReason=because("No capacity this month"))
    stage.tell(-2, "An MRI is ordered from Northside Imaging", order, first)
    stage.tell(-1, "Northside Imaging declines: no capacity", full)
    stage.tell(0.9, "Another imaging center is asked", second)
    return stage.story("rejected", "A referral that is declined and sent on")


def _telehealth(stage: Stage) -> Story:
    kind = concept("Telehealth", coding(LOCAL, "telehealth"))
    visit = appointment(
        stage.id("visit"),
        stage.patient,
        stage.timeline.ahead(1.5),
        stage.staff.cardiologist,
        status="pending",
        appointmentType=kind,
        patient_status="tentative",
        created=stage.when(-1),
        comment="Patient and clinician are in different time zones",
    )
    stage.tell(-1, "A video visit is proposed across time zones", visit)
    stage.tell(0.45, "Both agree on the time", stage.move(visit, 0.45, status="booked"))
    return stage.story("telehealth", "A video visit across time zones")


def _intake(stage: Stage) -> Story:
    team = stage.also_known(care_team(stage.patient, stage.staff))
    order = _order(stage, -1, kind=2)
    whole = _task(stage, order, -1, owner=reference(team))
    form = _task(
        stage,
        order,
        -1,
        name="intake",
        owner=reference(stage.patient),
        partOf=[reference(whole)],
        code=concept("Complete the intake form"),
    )
    stage.tell(-1, "Nutrition counselling is ordered; the patient fills in a form", order, whole, form)
    stage.tell(0.4, "The patient returns the form", stage.move(form, 0.4, status="completed"))
    stage.tell(0.75, "The team begins", stage.move(whole, 0.75, status="in-progress"))
    return stage.story("intake", "A team waits for the patient's form")


def _withdrawn(stage: Stage) -> Story:
    order = _order(stage, -2, kind=1, category=[concept("Referral", coding(SNOMED, "3457005"))])
    asked = _task(stage, order, -2)
    stage.tell(-2, "The patient is referred", order, asked)
    gone = stage.move(asked, 0.65, status="cancelled", statusReason=because("Patient moved away"))
    stage.tell(0.65, "The referral is withdrawn", stage.move(order, 0.65, status="revoked"), gone)
    return stage.story("withdrawn", "A referral that is withdrawn")


def _mistake(stage: Stage) -> Story:
    order = _order(stage, -0.5, kind=0)
    stage.tell(-0.5, "A referral is entered for the wrong patient", order)
    stage.tell(0.35, "The mistake is noticed", stage.move(order, 0.35, status="entered-in-error"))
    return stage.story("entered-in-error", "An order entered in error")


TEMPLATES: tuple[Callable[[Stage], Story], ...] = (
    _stalls,
    _closes,
    _no_show,
    _refill,
    _authorization,
    _unclaimed,
    _unconfirmed,
    _rebooked,
    _rejected,
    _telehealth,
    _intake,
    _withdrawn,
    _mistake,
    errands.missed_call,
    errands.abnormal_result,
    errands.discharge,
    errands.intake_system,
    errands.monitoring,
    errands.care_gap,
    errands.post_visit,
)
"""One function per story; a new story is one more."""


def story_stream(seed: int, start_at: datetime, *, speed: float = 1.0) -> Iterator[Story]:
    """
    Yield stories without end: one round of all templates around *start_at*, then others as time goes on.

    Args:
        start_at: Day 0 (aware). A story's zone is the zone of *start_at*.
        speed: How much sooner than in life the days after day 0 come: 1440 makes a day a minute.
    """
    staff = cast(seed)
    for number in counting():
        turn, place = divmod(number, len(TEMPLATES))
        shift = (turn + place / len(TEMPLATES)) * _ROUND_DAYS if turn else 0.0
        timeline = Timeline(start_at, speed, shift)
        yield TEMPLATES[place](Stage(number + 1, patient(seed, 9000 + number, staff), staff, timeline))


def stories(seed: int, start_at: datetime, *, count: int = len(TEMPLATES), speed: float = 1.0) -> list[Story]:
    """Return the first *count* stories of the stream."""
    return list(islice(story_stream(seed, start_at, speed=speed), count))
