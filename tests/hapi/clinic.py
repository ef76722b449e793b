"""
The clinic: an independent FHIR client (fhirpy) with the clinic's own ways, which knows Bridge only by what it finds.

Ids are the server's. Every search asks for a fresh answer, as a screen does that somebody reloads.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fhirpy import SyncFHIRClient

from bridge.tasks.identity import CASE_SYSTEM, MESSAGE_SYSTEM, STATUS_SYSTEM

from .plain import Json

FULFILL = {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]}
CARDIOLOGY = "Referral to cardiology"


class Clinic:
    """One clinic's system on a FHIR server: it orders, books, changes its mind, and looks for answers."""

    def __init__(self, base_url: str) -> None:
        self._fhir = SyncFHIRClient(base_url, extra_headers={"Cache-Control": "no-cache"})
        self.doctor = self.create("Practitioner", name=[{"given": ["Hana"], "family": "Sato"}])
        self.cardiology = self.create("Organization", name="Lakeside Cardiology")

    # Writing ----------------------------------------------------------------------------------------------

    def create(self, kind: str, **elements: Any) -> str:
        """Store something new and return its ``Type/id``; a trailing ``_`` is taken off a name."""
        resource = self._fhir.resource(kind, **_named(elements))
        resource.save()
        return f"{kind}/{resource['id']}"

    def change(self, ref: str, **elements: Any) -> Json:
        """Change elements of what stands there as it is now (``None`` removes one); return the result."""
        resource = self._fhir.reference(*ref.split("/")).to_resource()
        for name, value in _named(elements).items():
            if value is None:
                resource.pop(name, None)
            else:
                resource[name] = value
        resource.save()
        return dict(resource)

    def delete(self, ref: str) -> None:
        self._fhir.execute(ref, method="delete")

    def patient(self, family: str) -> str:
        return self.create("Patient", name=[{"given": ["Ines"], "family": family}], birthDate="1962-07-01")

    def order(self, patient: str, text: str = CARDIOLOGY, **elements: Any) -> str:
        """Order something for the patient: an active ServiceRequest."""
        base = {
            "status": "active",
            "intent": "order",
            "code": {"text": text},
            "subject": {"reference": patient},
            "requester": {"reference": self.doctor},
            "authoredOn": _moment(datetime.now(UTC) - timedelta(hours=1)),
        }
        return self.create("ServiceRequest", **(base | elements))

    def ask(self, patient: str, order: str | None = None, **elements: Any) -> str:
        """Ask cardiology by a Task, about an order where one is given."""
        base = {
            "status": "requested",
            "intent": "order",
            "code": FULFILL,
            "for": {"reference": patient},
            "requester": {"reference": self.doctor},
            "owner": {"reference": self.cardiology},
        }
        about = {"focus": {"reference": order}} if order is not None else {}
        return self.create("Task", **(base | about | elements))

    def book(self, patient: str, order: str | None = None, *, days: float = 10, **elements: Any) -> str:
        """Book a visit in so many days."""
        start = datetime.now(UTC) + timedelta(days=days)
        base = {
            "status": "booked",
            "start": _moment(start),
            "end": _moment(start + timedelta(minutes=30)),
            "participant": [{"actor": {"reference": patient}, "status": "accepted"}],
        }
        about = {"basedOn": [{"reference": order}]} if order is not None else {}
        return self.create("Appointment", **(base | about | elements))

    # Finding ----------------------------------------------------------------------------------------------

    def read(self, ref: str) -> Json:
        return dict(self._fhir.reference(*ref.split("/")).to_resource())

    def search(self, kind: str, **params: str) -> list[Json]:
        """Search; underscores in parameters stand for dashes."""
        asked = {name.replace("_", "-"): value for name, value in params.items()}
        return [dict(one) for one in self._fhir.resources(kind).search(**asked).fetch_all()]

    def shown(self, patient: str, order: str) -> list[Shown]:
        """
        Look the patient's Tasks through for those that show how the order is coming along.

        HAPI 8.0.0 does not find by its focus what was written while that was deleted (seen 2026-11); by the
        patient it does.
        """
        found = self.search("Task", patient=patient, identifier=f"{CASE_SYSTEM}|")
        return [Shown(task) for task in found if task["focus"]["reference"] == order]

    def progress(self, patient: str, order: str) -> Shown:
        """Return the one Task that shows how the order is coming along."""
        found = self.shown(patient, order)
        assert len(found) == 1, f"expected one Task of Bridge about {order}, found {len(found)}"
        return found[0]

    def messages(self, order: str) -> list[str]:
        """Return the texts of what Bridge told about an order, the oldest first."""
        found = self.search("Communication", based_on=order, identifier=f"{MESSAGE_SYSTEM}|")
        return [one["payload"][0]["contentString"] for one in sorted(found, key=lambda one: str(one.get("sent", "")))]


class Shown:
    """What a clinician reads off Bridge's Task."""

    def __init__(self, task: Json) -> None:
        self.task = task
        self.ref = f"Task/{task['id']}"
        self.status: str = task["status"]
        self.words: str = task["businessStatus"]["text"]
        self.case_status = next(
            one["code"] for one in task["businessStatus"]["coding"] if one["system"] == STATUS_SYSTEM
        )
        self.reason: str | None = task.get("statusReason", {}).get("text")
        self.outcomes = [one["valueString"] for one in task.get("output", ()) if "valueString" in one]


def _named(elements: dict[str, Any]) -> dict[str, Any]:
    return {name.rstrip("_"): value for name, value in elements.items()}


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
