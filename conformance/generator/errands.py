"""Stories of work that no order stands behind: what other systems and departments ask a clinic to see to."""

from __future__ import annotations

from conformance.generator.elements import LOCAL, Json, coding, concept, kept, reference
from conformance.generator.stage import Stage
from conformance.generator.story import Story
from conformance.generator.work import appointment, task

GAPS = "http://hl7.org/fhir/us/davinci-deqm/CodeSystem/gaps-status"


def _asked(stage: Stage, on: float, code: Json, **elements: object) -> Json:
    base = {
        "code": code,
        "priority": "routine",
        "authoredOn": stage.when(on),
        "lastModified": stage.when(on),
        "requester": reference(stage.staff.family_doctor),
        "owner": reference(stage.staff.clinic),
    }
    return task(stage.id("task"), stage.patient, **(base | elements))


def _system(stage: Stage, name: str, title: str) -> Json:
    """Bring a system that creates Tasks by itself into the story."""
    return stage.also_known(
        kept(
            resourceType="Device",
            id=f"{stage.staff.prefix}-{name}",
            status="active",
            deviceName=[{"name": title, "type": "user-friendly-name"}],
        )
    )


def missed_call(stage: Stage) -> Story:
    """The call system asks for a call back, and somebody calls."""
    phone = _system(stage, "call-system", "Call system")
    asked = _asked(
        stage,
        -0.1,
        concept("Missed call: please call back", coding(LOCAL, "missed-call")),
        priority="urgent",
        requester=reference(phone),
        reasonCode=concept("Asked whether the new tablets can be taken with food"),
    )
    stage.tell(-0.1, "A patient called and nobody answered; the call system asks for a call back", asked)
    stage.tell(0.6, "The clinic has called back", stage.move(asked, 0.6, status="completed"))
    return stage.story("missed-call", "A call that nobody took")


def intake_system(stage: Stage) -> Story:
    """The intake system asks for what is missing before a visit."""
    forms = _system(stage, "intake-system", "Intake system")
    visit = appointment(
        stage.id("visit"), stage.patient, stage.timeline.ahead(3), stage.staff.family_doctor, created=stage.when(-2)
    )
    asked = _asked(
        stage,
        -1,
        concept("Complete the intake form", coding(LOCAL, "intake-form")),
        requester=reference(forms),
        focus=reference(visit),
        businessStatus=concept("Consent and insurance are missing"),
    )
    stage.tell(-2, "A visit is booked", visit)
    stage.tell(-1, "The intake system finds the form incomplete", asked)
    stage.tell(0.7, "The form is complete", stage.move(asked, 0.7, status="completed", businessStatus=None))
    return stage.story("intake-system", "A form that is incomplete before the visit")


def abnormal_result(stage: Stage) -> Story:
    """A result has to be told to the patient."""
    laboratory = _system(stage, "laboratory-system", "Laboratory system")
    asked = _asked(
        stage,
        -0.4,
        concept("Abnormal result: tell the patient", coding(LOCAL, "result-follow-up")),
        priority="asap",
        requester=reference(laboratory),
        owner=reference(stage.staff.nurse),
    )
    stage.tell(-0.4, "The laboratory reports an abnormal result; the patient does not know yet", asked)
    stage.tell(0.5, "The nurse takes it up", stage.move(asked, 0.5, status="in-progress"))
    return stage.story("abnormal-result", "An abnormal result that is to be told")


def discharge(stage: Stage) -> Story:
    """Somebody comes home from the hospital and is to be called within two business days."""
    asked = _asked(stage, -1, concept("Discharge follow-up call", coding(LOCAL, "discharge-follow-up")))
    visit = appointment(
        stage.id("visit"), stage.patient, stage.timeline.ahead(6), stage.staff.family_doctor, created=stage.when(1)
    )
    stage.tell(-1, "The patient comes home from the hospital", asked)
    stage.tell(1, "A visit after the hospital is booked", visit)
    return stage.story("discharge", "A patient who comes home from the hospital")


def post_visit(stage: Stage) -> Story:
    """After a visit somebody asks how the patient is getting on."""
    asked = _asked(stage, -0.5, concept("Post-visit call", coding(LOCAL, "post-visit")))
    stage.tell(-0.5, "A visit is over; the patient is to be called", asked)
    stage.tell(0.9, "The call was made", stage.move(asked, 0.9, status="completed"))
    return stage.story("post-visit", "A call after a visit")


def care_gap(stage: Stage) -> Story:
    """A screening is due (Da Vinci DEQM gap status)."""
    asked = _asked(
        stage,
        -7,
        concept("Care gap: colorectal screening due", coding(GAPS, "open-gap")),
        requester=reference(stage.staff.payer),
    )
    stage.tell(-7, "The health plan reports a screening that is due", asked)
    stage.tell(1.5, "The gap is closed", stage.move(asked, 1.5, status="completed"))
    return stage.story("care-gap", "A screening that is due")


def monitoring(stage: Stage) -> Story:
    """Readings from home are out of range."""
    cuff = _system(stage, "home-monitoring", "Home blood pressure monitoring")
    asked = _asked(
        stage,
        -0.2,
        concept("Home monitoring alert: readings out of range", coding(LOCAL, "monitoring-alert")),
        priority="urgent",
        requester=reference(cuff),
        owner=reference(stage.staff.nurse),
    )
    stage.tell(-0.2, "Blood pressure readings from home are out of range", asked)
    stage.tell(0.8, "The nurse has spoken with the patient", stage.move(asked, 0.8, status="completed"))
    return stage.story("monitoring", "Readings from home that are out of range")
