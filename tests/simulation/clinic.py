"""The clinic's people, who do what clinics do: order, book, change their minds, correct, delete and make mistakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random
from typing import Any

from conformance.simulator import FhirError, ManualClock, Simulator
from conformance.simulator.wire import Request

from .registry import PATIENTS, Registry

Json = dict[str, Any]

REFS = {
    "ServiceRequest": ("o1", "o2", "o3"),
    "MedicationRequest": ("m1", "m2"),
    "Appointment": ("v1", "v2", "v3"),
    "Task": ("t1", "t2", "t3", "t4"),
}
STATUSES: Mapping[str, tuple[str, ...]] = {
    "ServiceRequest": ("active", "active", "active", "on-hold", "draft", "completed", "revoked", "entered-in-error"),
    "MedicationRequest": ("draft", "on-hold", "active", "completed", "stopped", "cancelled", "entered-in-error"),
    "Appointment": ("proposed", "booked", "booked", "arrived", "fulfilled", "noshow", "cancelled", "entered-in-error"),
    "Task": ("requested", "requested", "accepted", "in-progress", "on-hold", "completed", "cancelled", "failed"),
}
WE = "Organization/desk"
NONSENSE = "http://clinic.example/means-the-opposite"
"""A modifier extension that nobody told Bridge about: what carries it may not be read on."""


class Clinic:
    """
    The people of one clinic, at their own screens: what the interface suffers from does not touch them.

    ``changed`` are the resources they touched, in order, for whoever sends notifications.
    """

    def __init__(
        self, ehr: Simulator, clock: ManualClock, rng: Random, *, moving: bool = False, schedule: bool = False
    ) -> None:
        self._ehr, self._clock, self._rng, self._moving, self._schedule = ehr, clock, rng, moving, schedule
        self.changed: list[str] = []
        self.touched_ours: set[str] = set()
        """Tasks of Bridge's that somebody here ended or deleted."""
        self.registry = Registry(ehr, rng, self._store)

    def act(self) -> str:
        """Do one thing, and say what."""
        acts: list[tuple[int, Callable[[], str]]] = [
            (8, self._write),
            (6, self._move),
            (2, self._correct_patient),
            (2, self._link_again),
            (2, self._delete),
            (1, self._write_nonsense),
            (2, self._touch_our_task),
            (5 if self._moving else 0, self.registry.act),
        ]
        act = self._rng.choices([one for _, one in acts], [weight for weight, _ in acts])[0]
        return act()

    # What they do -----------------------------------------------------------------------------------------

    def touch(self, kind: str) -> str:
        """Save something of a type so that it changes, since what stays the same gets no version, and say what."""
        resource = self._some(kind) or self._resource(kind, REFS[kind][0])
        said = f"Saved at {self._clock().isoformat()}"
        text = {"status": "additional", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{said}</div>'}
        return self._put({**resource, "text": text})

    def _write(self) -> str:
        kind = self._rng.choice(tuple(REFS))
        own_id = self._rng.choice(REFS[kind])
        return self._put(self._resource(kind, own_id))

    def _move(self) -> str:
        resource = self._some()
        if resource is None:
            return self._write()
        return self._put(
            {**resource, "status": self._rng.choice(STATUSES[resource["resourceType"]]), "modifierExtension": None}
        )

    def _correct_patient(self) -> str:
        resource = self._some()
        if resource is None:
            return self._write()
        patient = self._rng.choice(PATIENTS)
        said = [self._put(self._of(resource, patient))]
        if self._rng.random() < 0.6:
            own = f"{resource['resourceType']}/{resource['id']}"
            said += [self._put(self._of(one, patient)) for one in self._work() if own in str(one)]
        return ", ".join(said)

    def _link_again(self) -> str:
        resource = self._some("Task", "Appointment")
        if resource is None:
            return self._write()
        return self._put(
            self._linked({name: one for name, one in resource.items() if name not in ("focus", "basedOn")})
        )

    def _delete(self) -> str:
        resource = self._some()
        if resource is None:
            return self._write()
        ref = f"{resource['resourceType']}/{resource['id']}"
        self._ehr.handle_clinic(Request("DELETE", ref))
        self.changed.append(ref)
        return f"deletes {ref}"

    def _write_nonsense(self) -> str:
        resource = self._some("ServiceRequest", "Task")
        if resource is None:
            return self._write()
        return self._put({**resource, "modifierExtension": [{"url": NONSENSE, "valueBoolean": True}]})

    def _touch_our_task(self) -> str:
        tasks = [one for one in self._ehr.all("Task") if is_ours(one)]
        if not tasks:
            return self._write()
        task = self._rng.choice(tasks)
        ref = f"Task/{task['id']}"
        match self._rng.choice(("note", "note", "owner", "end", "delete")):
            case "note":
                note = {"text": "seen", "authorReference": {"reference": "Practitioner/house"}}
                return self._put({**task, "note": [*task.get("note", []), note]})
            case "owner":
                return self._put({**task, "priority": "asap"})
            case "end":
                self.touched_ours.add(ref)
                return self._put({**task, "status": "cancelled"})
        self.touched_ours.add(ref)
        self._ehr.handle_clinic(Request("DELETE", ref))
        return f"deletes {ref}"

    # What they write --------------------------------------------------------------------------------------

    def _put(self, resource: Json) -> str:
        if resource["resourceType"] == "Task" and not is_ours(resource):
            resource = {**resource, "lastModified": self._clock().isoformat(timespec="seconds")}
        ref = f"{resource['resourceType']}/{resource['id']}"
        try:
            self._store({name: value for name, value in resource.items() if name != "meta" and value is not None})
        except FhirError as error:
            return f"may not write {ref} ({error})"
        self.changed.append(ref)
        return f"writes {ref} {resource['status']}"

    def _store(self, resource: Json) -> None:
        """Store something under an id of the clinic's choice, which outsiders may not always do."""
        allowed, self._ehr.options.update_as_create = self._ehr.options.update_as_create, True
        try:
            self._ehr.put(resource)
        finally:
            self._ehr.options.update_as_create = allowed

    def _work(self) -> list[Json]:
        return [one for kind in REFS for one in self._ehr.all(kind) if not is_ours(one)]

    def _some(self, *kinds: str) -> Json | None:
        found = [one for one in self._work() if not kinds or one["resourceType"] in kinds]
        return self._rng.choice(found) if found else None

    def _resource(self, kind: str, own_id: str) -> Json:
        rng = self._rng
        found: Json = {"resourceType": kind, "id": own_id, "status": rng.choice(STATUSES[kind])}
        patient = PATIENTS[0] if rng.random() < 0.7 else rng.choice(PATIENTS)
        if kind == "Appointment":
            start = self._clock() + timedelta(days=rng.choice((-1, 3, 20)))
            found |= {"start": start.isoformat(timespec="seconds")}
        else:
            found |= {"intent": "order", "authoredOn": self._clock().isoformat(timespec="seconds")}
        if kind == "MedicationRequest":
            end = (self._clock() + timedelta(days=rng.choice((2, 60)))).date().isoformat()
            found["dispenseRequest"] = {"validityPeriod": {"end": end}}
        if kind == "Task":
            found["owner"] = {"reference": rng.choice((WE, "Organization/other", "Practitioner/ann"))}
        return self._linked(self._of(found, patient) if rng.random() < 0.95 else found)

    def _of(self, resource: Json, patient: str) -> Json:
        match resource["resourceType"]:
            case "Appointment":
                who = [patient, "Practitioner/house"] if self._schedule else [patient]
                taking_part = [{"actor": {"reference": one}, "status": "accepted"} for one in who]
                return {**resource, "participant": taking_part}
            case "Task":
                return {**resource, "for": {"reference": patient}}
        return {**resource, "subject": {"reference": patient}}

    def _linked(self, resource: Json) -> Json:
        rng = self._rng
        match resource["resourceType"]:
            case "Appointment" if rng.random() < 0.6:
                return {**resource, "basedOn": [{"reference": f"ServiceRequest/{rng.choice(REFS['ServiceRequest'])}"}]}
            case "Task" if rng.random() < 0.8:
                kind = rng.choice(("ServiceRequest", "ServiceRequest", "MedicationRequest", "Appointment", "Task"))
                return {**resource, "focus": {"reference": f"{kind}/{rng.choice(REFS[kind])}"}}
        return resource


def is_ours(resource: Json) -> bool:
    """Whether Bridge wrote this, by the identifier it documents."""
    return any(str(one.get("system", "")).startswith("urn:bridge:") for one in resource.get("identifier", ()))


def is_nonsense(resource: Json) -> bool:
    """Whether nobody can say what this means."""
    return "modifierExtension" in resource
