"""Many resources with deliberate variety, to fill any server with work that looks like an EHR's.

Every status of the four types comes up in turn, as do all kinds of owner, links of every kind, dates of
every precision, notes, business status, contained and identifier-only references, proposals, plans and
``doNotPerform``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import cycle
from random import Random

from conformance.generator.elements import (
    LOCAL,
    STAFF,
    Json,
    coding,
    concept,
    identifier,
    kept,
    moment,
    reference,
)
from conformance.generator.people import Cast, care_team, cast, patient, related_person
from conformance.generator.work import (
    MEDICATIONS,
    REFERRALS,
    appointment,
    medication_request,
    note,
    service_request,
    task,
)

DEFAULT_AT = datetime(2026, 11, 2, 15, 0, tzinfo=UTC)

_TASK = (
    "requested received accepted in-progress on-hold completed rejected cancelled failed ready draft entered-in-error"
)
_REQUEST = "active on-hold completed revoked draft entered-in-error unknown"
_APPOINTMENT = "booked pending proposed arrived checked-in fulfilled noshow cancelled waitlist entered-in-error"
_MEDICATION = "active on-hold draft stopped completed cancelled unknown entered-in-error"
_OFFSETS = (-10.0, -8.0, -5.0, -4.0, 0.0, 1.0, 5.5, 10.5)
_BUSINESS = ("Waiting for records", "Visit scheduled", "Voicemail left", "Awaiting authorization")
_NOTES = (
    "Left a voicemail.",
    "Prefers calls after 17:00.",
    "Records requested from the previous clinic — no answer yet.",
    "Needs a ride; asked about transport.\nWill call back.",
)


class _Writer:
    """Ids, cycles and dice of one run; every recipe below draws from it."""

    def __init__(self, seed: int, at: datetime) -> None:
        self.rng = Random(f"work {seed}")
        self.seed = seed
        self.at = at
        self.staff = cast(seed)
        self.people: dict[str, Json] = {}
        self._patients = 0
        self._ids = 0
        self._statuses = {
            "Task": cycle(_TASK.split()),
            "ServiceRequest": cycle(_REQUEST.split()),
            "Appointment": cycle(_APPOINTMENT.split()),
            "MedicationRequest": cycle(_MEDICATION.split()),
        }
        self._owners = cycle(_OWNERS)
        self._dates = cycle((moment, _milliseconds, _day, _month))
        self._referrals = cycle(REFERRALS)
        self._medications = cycle(MEDICATIONS)

    def new_patient(self) -> Json:
        self._patients += 1
        made = patient(self.seed, self._patients, self.staff)
        self.people[made["id"]] = made
        return made

    def person(self, resource: Json) -> Json:
        """Remember that *resource* is referred to."""
        return self.people.setdefault(resource["id"], resource)

    def new_id(self, kind: str) -> str:
        self._ids += 1
        return f"{self.staff.prefix}-{kind}-{self._ids:05d}"

    def days_ago(self, most: float) -> datetime:
        """Return an instant up to *most* days ago, in one of several zones and never in the future."""
        zone = timezone(timedelta(hours=self.rng.choice(_OFFSETS)))
        past = self.at - timedelta(seconds=self.rng.randrange(60, int(most * 86_400)))
        return past.astimezone(zone)

    def date(self, at: datetime) -> str:
        """Write *at* in the next of the precisions: seconds, fractions, day, month."""
        return next(self._dates)(at)

    def request(self, of: Json, **elements: object) -> Json:
        text, code = next(self._referrals)
        ordered_at = self.days_ago(40)
        base = {
            "status": next(self._statuses["ServiceRequest"]),
            "code": concept(text, code),
            "priority": self.rng.choice(("routine", "urgent", "asap", "stat", None)),
            "authoredOn": self.date(ordered_at),
            "requester": reference(self.staff.family_doctor),
            "performer": [reference(self.staff.cardiology)],
            "reasonCode": [concept("Shortness of breath on exertion")],
            "note": self.notes(ordered_at),
        }
        return service_request(self.new_id("order"), of, **(base | elements))

    def task(self, of: Json, **elements: object) -> Json:
        authored_at = self.days_ago(20)
        status = next(self._statuses["Task"])
        refused = status in {"rejected", "cancelled", "on-hold", "failed"}
        base = {
            "status": status,
            "priority": self.rng.choice(("routine", "urgent", "stat", None)),
            "statusReason": concept("Waiting for the outside clinic") if refused else None,
            "businessStatus": concept(self.rng.choice(_BUSINESS)) if self.rng.random() < 0.4 else None,
            "authoredOn": moment(authored_at),
            "lastModified": moment(authored_at + timedelta(seconds=30)),
            "requester": reference(self.staff.family_doctor),
            "note": self.notes(authored_at),
        }
        owned = next(self._owners)(self, of)
        return task(self.new_id("task"), of, **(base | owned | elements))

    def visit(self, of: Json, **elements: object) -> Json:
        status = str(elements.get("status") or next(self._statuses["Appointment"]))
        past = status in {"arrived", "checked-in", "fulfilled", "noshow", "cancelled", "entered-in-error"}
        days = self.rng.uniform(0.5, 20) * (-1 if past else 1)
        zone = timezone(timedelta(hours=self.rng.choice(_OFFSETS)))
        start = (self.at + timedelta(days=days)).astimezone(zone).replace(minute=30, second=0, microsecond=0)
        timeless = status in {"proposed", "waitlist"} and self.rng.random() < 0.5
        base = {
            "status": status,
            "cancelationReason": concept("Patient asked to cancel") if status == "cancelled" else None,
            "patient_status": "needs-action" if status in {"proposed", "pending"} else "accepted",
            "created": self.date(self.days_ago(30)),
        }
        staff = self.rng.choice((self.staff.cardiologist, self.staff.family_doctor, None))
        return appointment(self.new_id("visit"), of, None if timeless else start, staff, **(base | elements))

    def prescription(self, of: Json, **elements: object) -> Json:
        text, code = next(self._medications)
        base = {
            "status": next(self._statuses["MedicationRequest"]),
            "medicationCodeableConcept": concept(text, *([code] if code else [])),
            "authoredOn": self.date(self.days_ago(60)),
            "requester": reference(self.staff.family_doctor),
        }
        return medication_request(self.new_id("rx"), of, **(base | elements))

    def notes(self, since: datetime) -> list[Json]:
        texts = self.rng.sample(_NOTES, self.rng.choice((0, 0, 1, 2)))
        return [note(text, since, self.staff.family_doctor) for text in texts]


def _milliseconds(at: datetime) -> str:
    return at.replace(microsecond=250_000).isoformat(timespec="milliseconds")


def _day(at: datetime) -> str:
    return at.date().isoformat()


def _month(at: datetime) -> str:
    return f"{at.year}-{at.month:02d}"


def _contained_owner(writer: _Writer, of: Json) -> Json:
    outside = {"resourceType": "Practitioner", "id": "outside", "name": [{"text": "Outside specialist"}]}
    return {"contained": [outside], "owner": {"reference": "#outside"}}


def _named_owner(writer: _Writer, of: Json) -> Json:
    known = identifier(STAFF, f"{writer.staff.prefix}-front-desk")
    return {"owner": {"type": "Organization", "identifier": known, "display": "Front desk"}}


def _owner(choose: Callable[[_Writer, Json], Json]) -> Callable[[_Writer, Json], Json]:
    return lambda writer, of: {"owner": reference(writer.person(choose(writer, of)))}


_OWNERS: tuple[Callable[[_Writer, Json], Json], ...] = (
    _owner(lambda writer, of: writer.staff.cardiology),
    _owner(lambda writer, of: writer.staff.nurse),
    _owner(lambda writer, of: writer.staff.family_doctor),
    _owner(lambda writer, of: care_team(of, writer.staff)),
    lambda writer, of: {},
    _owner(lambda writer, of: writer.staff.cardiology_service),
    _owner(lambda writer, of: of),
    _named_owner,
    _owner(lambda writer, of: related_person(of, writer.staff)),
    _owner(lambda writer, of: writer.staff.refill_device),
    _contained_owner,
    lambda writer, of: {"owner": {"display": "Whoever is on call"}},
)
"""Every way in which a Task names who acts next, or does not."""


def _referral(writer: _Writer) -> list[Json]:
    of = writer.new_patient()
    order = writer.request(of)
    due = {"period": {"end": _day(writer.at + timedelta(days=writer.rng.randrange(-5, 15)))}}
    return [writer.task(of, focus=reference(order), restriction=due), order]


def _referral_with_parts(writer: _Writer) -> list[Json]:
    of = writer.new_patient()
    order = writer.request(of)
    whole = writer.task(of, focus=reference(order), basedOn=[reference(order)])
    part = writer.task(of, partOf=[reference(whole)], description="Obtain the previous echocardiogram")
    return [order, part, whole]


def _referral_with_visit(writer: _Writer) -> list[Json]:
    of = writer.new_patient()
    order = writer.request(of)
    return [writer.visit(of, basedOn=[reference(order)]), order]


def _rebooked(writer: _Writer) -> list[Json]:
    of = writer.new_patient()
    order = writer.request(of, status="active")
    link = [reference(order)]
    return [order, writer.visit(of, basedOn=link, status="cancelled"), writer.visit(of, basedOn=link)]


def _based_on_only(writer: _Writer) -> list[Json]:
    of = writer.new_patient()
    order = writer.request(of)
    return [order, writer.task(of, basedOn=[reference(order)])]


def _refill(writer: _Writer) -> list[Json]:
    of = writer.new_patient()
    drug = writer.prescription(of)
    code = concept("Refill request", coding(LOCAL, "refill"))
    return [drug, writer.task(of, focus=reference(drug), code=code)]


def _authorization(writer: _Writer) -> list[Json]:
    of = writer.new_patient()
    order = writer.request(of, status="on-hold", reasonCode=[concept("Prior authorization")])
    pas = "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes"
    wanted = {"type": concept("Attachment needed"), "valueString": "Clinical notes of the last visit"}
    asked = writer.task(
        of,
        focus=reference(order),
        code=concept("Attachments for a prior authorization", coding(pas, "attachment-request-code")),
        requester=reference(writer.staff.payer),
        businessStatus=concept("Awaiting information"),
        input=[wanted],
    )
    return [order, asked]


def _visit_alone(writer: _Writer) -> list[Json]:
    return [writer.visit(writer.new_patient(), comment="Bring the medication list")]


def _prescription_alone(writer: _Writer) -> list[Json]:
    intent = writer.rng.choice(("order", "order", "proposal", "plan"))
    outside = {"resourceType": "Practitioner", "id": "prescriber", "name": [{"text": "Outside prescriber"}]}
    contained = {"contained": [outside], "requester": {"reference": "#prescriber"}}
    return [writer.prescription(writer.new_patient(), intent=intent, **contained)]


def _task_alone(writer: _Writer) -> list[Json]:
    text = writer.rng.choice(("Call the patient back", "Arrange transport", "Send the intake forms"))
    return [writer.task(writer.new_patient(), code=concept(text), description=text)]


def _order_alone(writer: _Writer) -> list[Json]:
    elements: tuple[Json, ...] = ({"intent": "proposal"}, {"intent": "plan"}, {"doNotPerform": True}, {})
    return [writer.request(writer.new_patient(), **writer.rng.choice(elements))]


def _visit_task(writer: _Writer) -> list[Json]:
    of = writer.new_patient()
    visit = writer.visit(of)
    return [visit, writer.task(of, focus=reference(visit), code=concept("Confirm the visit"))]


_TOGETHER = (
    _referral,
    _referral_with_visit,
    _refill,
    _referral_with_parts,
    _authorization,
    _rebooked,
    _based_on_only,
    _visit_task,
)
_ALONE = (_visit_alone, _task_alone, _prescription_alone, _order_alone)


def generate(seed: int, count: int, *, at: datetime = DEFAULT_AT) -> list[Json]:
    """
    Return *count* Tasks, ServiceRequests, Appointments and MedicationRequests, and whom they refer to.

    People and organizations come first and are not counted. The work itself is in no helpful order: a Task
    may come before its request. ``in_dependency_order`` sorts for servers that insist.

    Args:
        at: The present of the generated data (aware): nothing was ordered after it.
    """
    writer = _Writer(seed, at)
    work: list[Json] = []
    recipes = cycle(recipe for pair in zip(_TOGETHER, cycle(_ALONE), strict=False) for recipe in pair)
    while count - len(work) >= 3:
        work.extend(next(recipes)(writer))
    alone = cycle(_ALONE)
    while len(work) < count:
        work.extend(next(alone)(writer))
    writer.rng.shuffle(work)
    return [*_supporting(writer.staff, writer.people), *work]


def _supporting(staff: Cast, people: dict[str, Json]) -> list[Json]:
    everyone = {resource["id"]: resource for resource in [*staff.resources(), *people.values()]}
    return in_dependency_order(everyone.values())


def in_dependency_order(resources: Iterable[Json]) -> list[Json]:
    """Return *resources* with each after those among them that it refers to."""
    waiting = {f"{resource['resourceType']}/{resource['id']}": resource for resource in resources}
    ordered: list[Json] = []

    def place(key: str) -> None:
        resource = waiting.pop(key, None)
        if resource is not None:
            for target in _referred(resource):
                place(target)
            ordered.append(resource)

    for key in tuple(waiting):
        place(key)
    return ordered


def _referred(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _referred(item)


def transactions(resources: Iterable[Json], size: int = 200) -> Iterator[Json]:
    """Yield transaction Bundles that PUT *resources* under their ids, *size* at a time and in their order."""
    waiting = list(resources)
    for start in range(0, len(waiting), size):
        entries = [
            {
                "resource": resource,
                "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"},
            }
            for resource in waiting[start : start + size]
        ]
        yield kept(resourceType="Bundle", type="transaction", entry=entries)
