"""Words that stand for everything that may never leave: planted in patients, notes, staff and settings."""

from __future__ import annotations

from typing import Any

from tests.unit.sync.world import a_task, order, patient, visit

NAMES = ("Zephyrina", "Quillonby")
MRN = "mrn-zq-440719"
PHONE = "555-0142-977"
BIRTH = "1931-08-29"
NOTE = "peony-marmalade"
STAFF = "Marguerita-Ottoline"
SECRET = "s3cr3t-of-the-canary-4711"

PLANTED = (*NAMES, MRN, PHONE, BIRTH, NOTE, STAFF, SECRET)


def found_in(text: str | bytes) -> list[str]:
    """Return which planted words stand in *text*."""
    folded = (text if isinstance(text, str) else text.decode(errors="replace")).casefold()
    return [word for word in PLANTED if word.casefold() in folded]


def resources() -> list[dict[str, Any]]:
    """Return a patient with work of every type, planted wherever FHIR has a text."""
    note = [{"text": f"Called {NAMES[0]} at {PHONE}: {NOTE}"}]
    named = {"reference": "Patient/p1", "display": " ".join(NAMES)}
    doctor = {"reference": "Practitioner/house", "display": STAFF}
    who = {
        **patient(),
        "name": [{"family": NAMES[1], "given": [NAMES[0]]}],
        "identifier": [{"system": "http://clinic.example/mrn", "value": MRN}],
        "telecom": [{"system": "phone", "value": PHONE}],
        "birthDate": BIRTH,
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{NAMES[0]}</div>'},
    }
    refill = {
        "resourceType": "MedicationRequest",
        "id": "m1",
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": {"text": NOTE},
        "subject": named,
        "note": note,
        "requester": doctor,
    }
    return [
        who,
        order(subject=named, note=note, code={"text": f"Referral of {NAMES[0]}"}, requester=doctor),
        visit(comment=NOTE, description=f"{NAMES[0]} {PHONE}"),
        a_task(description=NOTE, note=note, owner=doctor, **{"for": named}),
        refill,
        order("odd", subject=named, note=note, modifierExtension=[{"url": "http://x.example/m", "valueString": NOTE}]),
    ]
