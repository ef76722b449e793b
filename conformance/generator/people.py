"""Patients, staff, organizations and devices, all made up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

from conformance.generator.elements import (
    LOCAL,
    MRN,
    SNOMED,
    STAFF,
    Json,
    coding,
    concept,
    identifier,
    kept,
    reference,
)

_GIVEN = {
    "female": ("Ada", "Bea", "Chiara", "Dalia", "Elif", "Farah", "Greta", "Hana", "Imani", "Júlia", "Keiko"),
    "male": ("Aron", "Björn", "Ciro", "Dmitri", "Emre", "Finn", "Goran", "Hugo", "Idris", "José", "Kenji"),
}
_FAMILY = (
    *("Abbasova", "Bergström", "Castellanos", "Dimitrov", "Eriksen", "Ferreira", "Gallagher", "Haddad"),
    *("Ibáñez", "Jankowski", "Kowalczyk", "Lindqvist", "Marchetti", "Nakamura", "Okonkwo", "Petrov"),
    *("Quintero", "Rosales", "Szabó", "Tanaka", "Underhill", "Varga", "Whitfield", "Yilmaz", "Zielińska"),
)
_LANGUAGES = (("en", "English"), ("es", "Spanish"), ("zh", "Chinese"), ("vi", "Vietnamese"), ("ar", "Arabic"))
ZONES = (
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "Pacific/Honolulu",
    "Europe/London",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
)
_TIMEZONE = "http://hl7.org/fhir/StructureDefinition/timezone"
_INTERPRETER = "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired"


@dataclass(slots=True)
class Cast:
    """Everyone and everything that a seed's work refers to, besides the patients."""

    prefix: str
    clinic: Json
    cardiology: Json
    imaging: Json
    payer: Json
    family_doctor: Json
    cardiologist: Json
    nurse: Json
    coordinator: Json
    clinic_room: Json
    cardiology_service: Json
    refill_device: Json
    others: list[Json] = field(default_factory=list)

    def resources(self) -> list[Json]:
        """Return all of them, referred before referring."""
        organizations = [self.clinic, self.cardiology, self.imaging, self.payer]
        places = [self.clinic_room, self.cardiology_service, self.refill_device]
        people = [self.family_doctor, self.cardiologist, *self.others, self.nurse, self.coordinator]
        return [*organizations, *places, *people]


def cast(seed: int) -> Cast:
    """Return the staff and organizations of *seed*."""
    prefix = f"s{seed}"
    rng = Random(f"cast {seed}")
    clinic = _organization(prefix, "clinic", "Riverside Family Clinic")
    doctor = _practitioner(prefix, "family-doctor", rng, "Dr.")
    cardiologist = _practitioner(prefix, "cardiologist", rng, "Dr.")
    nurse_person = _practitioner(prefix, "nurse", rng)
    coordinator_person = _practitioner(prefix, "coordinator", rng)
    cardiology = _organization(prefix, "cardiology", "Harbor Heart Center")
    return Cast(
        prefix=prefix,
        clinic=clinic,
        cardiology=cardiology,
        imaging=_organization(prefix, "imaging", "Northside Imaging"),
        payer=_organization(prefix, "payer", "Example Health Plan"),
        family_doctor=doctor,
        cardiologist=cardiologist,
        nurse=_role(prefix, "refill-nurse", nurse_person, clinic, "Refill nurse"),
        coordinator=_role(prefix, "referral-coordinator", coordinator_person, clinic, "Referral coordinator"),
        clinic_room=kept(
            resourceType="Location",
            id=f"{prefix}-room-2",
            status="active",
            name="Riverside Family Clinic, room 2",
            managingOrganization=reference(clinic),
        ),
        cardiology_service=kept(
            resourceType="HealthcareService",
            id=f"{prefix}-cardiology-clinic",
            active=True,
            providedBy=reference(cardiology),
            name="Harbor outpatient cardiology",
        ),
        refill_device=kept(
            resourceType="Device",
            id=f"{prefix}-refill-line",
            status="active",
            deviceName=[{"name": "Refill request line", "type": "user-friendly-name"}],
        ),
        others=[nurse_person, coordinator_person],
    )


def patient(seed: int, number: int, staff: Cast) -> Json:
    """Return patient *number* of *seed*: name, MRN, language, telecom, birth date and time zone."""
    rng = Random(f"patient {seed} {number}")
    gender = rng.choice(("female", "male"))
    code, language = rng.choice(_LANGUAGES)
    given = rng.sample(_GIVEN[gender], rng.choice((1, 1, 2)))
    needs_interpreter = code != "en" and rng.random() < 0.5
    return kept(
        resourceType="Patient",
        id=f"{staff.prefix}-patient-{number:04d}",
        extension=[
            {"url": _TIMEZONE, "valueCode": rng.choice(ZONES)},
            *([{"url": _INTERPRETER, "valueBoolean": True}] if needs_interpreter else []),
        ],
        identifier=[
            kept(use="usual", type=_mrn_type(), system=MRN, value=f"{seed:02d}-{number:06d}"),
        ],
        active=True,
        name=[kept(use="official", family=rng.choice(_FAMILY), given=given)],
        telecom=[
            {"system": "phone", "value": f"555-01{number % 100:02d}", "use": rng.choice(("home", "mobile"))},
        ],
        gender=gender,
        birthDate=(date(1935, 1, 1) + timedelta(days=rng.randrange(30_000))).isoformat(),
        communication=[{"language": concept(language, coding("urn:ietf:bcp:47", code)), "preferred": True}],
        generalPractitioner=[reference(staff.family_doctor)],
        managingOrganization=reference(staff.clinic),
    )


def related_person(of: Json, staff: Cast) -> Json:
    """Return a daughter or son who answers the phone for *of*."""
    rng = Random(f"relative {of['id']}")
    gender = rng.choice(("female", "male"))
    return kept(
        resourceType="RelatedPerson",
        id=f"{of['id']}-relative",
        active=True,
        patient=reference(of),
        relationship=[concept("child")],
        name=[{"family": of["name"][0]["family"], "given": [rng.choice(_GIVEN[gender])]}],
        telecom=[{"system": "phone", "value": "555-0199"}],
        gender=gender,
    )


def care_team(of: Json, staff: Cast) -> Json:
    """Return the care team of *of*."""
    members: Iterable[Json] = (staff.family_doctor, staff.coordinator)
    return kept(
        resourceType="CareTeam",
        id=f"{of['id']}-team",
        status="active",
        name="Heart failure team",
        subject=reference(of),
        participant=[{"member": reference(member)} for member in members],
    )


def _organization(prefix: str, key: str, name: str) -> Json:
    return kept(
        resourceType="Organization",
        id=f"{prefix}-{key}",
        identifier=[identifier("http://clinic.example/organizations", f"{prefix}-{key}")],
        active=True,
        name=name,
    )


def _practitioner(prefix: str, key: str, rng: Random, title: str | None = None) -> Json:
    gender = rng.choice(("female", "male"))
    name = kept(family=rng.choice(_FAMILY), given=[rng.choice(_GIVEN[gender])], prefix=[title] if title else [])
    return kept(
        resourceType="Practitioner",
        id=f"{prefix}-{key}",
        identifier=[identifier(STAFF, f"{prefix}-{key}")],
        active=True,
        name=[name],
        gender=gender,
    )


def _role(prefix: str, key: str, person: Json, organization: Json, title: str) -> Json:
    return kept(
        resourceType="PractitionerRole",
        id=f"{prefix}-{key}-role",
        identifier=[identifier(STAFF, f"{prefix}-{key}-role")],
        active=True,
        practitioner=reference(person),
        organization=reference(organization),
        code=[concept(title, coding(LOCAL, key, title), coding(SNOMED, "224535009", "Registered nurse"))]
        if key == "refill-nurse"
        else [concept(title, coding(LOCAL, key, title))],
    )


def _mrn_type() -> Json:
    return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
