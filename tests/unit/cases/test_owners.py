"""Who owns a case: ours by reference or identifier, theirs where they can coordinate."""

from __future__ import annotations

from datetime import date

import pytest

from bridge.cases.owners import Absence, OwnerBook, OwnerEntry, owner_in_ehr
from bridge.cases.snapshot import BusinessIdentifier, Party
from bridge.cases.terms import OwnerKind
from tests.unit.cases.builders import OWNERS, by

ANN_BY_ID = Party(identifier=BusinessIdentifier("ann", "http://id.example"))
US_BY_ID = Party(identifier=BusinessIdentifier("us", "http://id.example"))


@pytest.mark.parametrize(
    ("kind", "can"),
    [
        ("Practitioner", True),
        ("PractitionerRole", True),
        ("Organization", True),
        ("CareTeam", True),
        ("HealthcareService", True),
        ("Patient", False),
        ("RelatedPerson", False),
        ("Device", False),
    ],
)
def test_every_kind_of_task_owner_either_can_coordinate_or_cannot(kind: str, can: bool) -> None:
    """The eight types of Task.owner in FHIR R4."""
    owner = owner_in_ehr(Party(kind, f"{kind}/1", None, "Somebody"))

    assert (owner is not None) is can
    assert not can or (owner is not None and (owner.kind, owner.id) == (OwnerKind.EHR, f"{kind}/1"))


@pytest.mark.parametrize(
    ("party", "id_", "display"),
    [
        (Party("Organization", "Organization/1", None, "Cardiology"), "Organization/1", "Cardiology"),
        (Party("Organization", "Organization/1"), "Organization/1", "Organization/1"),
        (Party("Practitioner", None, BusinessIdentifier("77", "http://npi")), "http://npi|77", "http://npi|77"),
        (Party(None, None, BusinessIdentifier("77"), "Dr House"), "|77", "Dr House"),
        (Party(None, None, None, "Night shift"), "Night shift", "Night shift"),
    ],
)
def test_the_ehr_names_an_owner_by_reference_else_identifier_else_display(party: Party, id_: str, display: str) -> None:
    owner = owner_in_ehr(party)

    assert owner is not None
    assert (owner.id, owner.display, owner.party) == (id_, display, party)


@pytest.mark.parametrize("party", [None, Party(), Party("Organization")])
def test_nobody_named_is_no_owner(party: Party | None) -> None:
    assert owner_in_ehr(party) is None


@pytest.mark.parametrize("party", [by("Practitioner/ann"), ANN_BY_ID, Party("Patient", "Practitioner/ann")])
def test_one_of_ours_is_recognised_by_reference_or_identifier(party: Party) -> None:
    owner = OWNERS.find(party)

    assert owner is not None
    assert (owner.id, owner.kind, owner.display) == ("ann", OwnerKind.PERSON, "Ann Weber")
    assert owner.party == Party("Practitioner", "Practitioner/ann", None, "Ann Weber")


@pytest.mark.parametrize(
    "party",
    [
        None,
        by("Practitioner/stranger"),
        Party(display="Ann Weber"),
        Party(identifier=BusinessIdentifier("ann")),
        Party(identifier=BusinessIdentifier("ann", "http://other.example")),
    ],
)
def test_a_name_or_an_identifier_of_another_system_does_not_make_one_of_ours(party: Party | None) -> None:
    assert OWNERS.find(party) is None
    assert not OWNERS.is_us(party)


@pytest.mark.parametrize("party", [by("Practitioner/ann"), ANN_BY_ID, by("Organization/us"), US_BY_ID])
def test_a_task_of_ours_or_of_our_organisation_asks_us(party: Party) -> None:
    assert OWNERS.is_us(party)


def test_our_organisation_asks_us_but_is_nobody_in_particular() -> None:
    assert OWNERS.find(by("Organization/us")) is None


def test_an_owner_without_a_reference_has_no_party() -> None:
    book = OwnerBook([OwnerEntry("eve", OwnerKind.PERSON, "Eve", ("http://id.example|eve",))])

    assert book.owner("eve").party is None


def test_backups_are_found_where_they_are_configured() -> None:
    backup = OWNERS.backup_of("ann")

    assert backup is not None
    assert backup.id == "bob"
    assert OWNERS.backup_of("bob") is None
    assert OWNERS.backup_of("Organization/1") is None


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        OWNERS.owner("nobody")
    assert {entry.name for entry in OWNERS.entries()} == set(OWNERS.names())


# Queues, absences ----------------------------------------------------------------------------------------------

ANN_AWAY, BOB_AWAY = (date(2026, 6, 8), date(2026, 6, 12)), (date(2026, 6, 10), date(2026, 6, 10))


def a_team(**absences: tuple[date, date]) -> OwnerBook:
    """Return Ann and Bob, who back each other up, and Cem, who works authorizations alone."""

    def person(name: str, backup: str | None = None, roles: tuple[str, ...] = ()) -> OwnerEntry:
        away = (Absence(*absences[name]),) if name in absences else ()
        return OwnerEntry(name, OwnerKind.PERSON, name.title(), backup=backup, roles=roles, away=away)

    queues = [OwnerEntry(name, OwnerKind.ROLE, name) for name in ("referral-coordinator", "authorization-specialist")]
    return OwnerBook(
        [person("ann", "bob"), person("bob", "ann"), person("cem", roles=("authorization-specialist",)), *queues]
    )


@pytest.mark.parametrize(
    ("day", "acting"),
    [(7, "ann"), (8, "bob"), (10, "referral-coordinator"), (12, "bob"), (13, "ann")],
)
def test_the_backup_acts_while_the_owner_is_away_and_the_queue_while_both_are(day: int, acting: str) -> None:
    team = a_team(ann=ANN_AWAY, bob=BOB_AWAY)

    found = team.stand_in(team.owner("ann"), team.owner("referral-coordinator"), date(2026, 6, day))

    assert found.id == acting


def test_where_nobody_is_left_the_owner_stays_who_it_is() -> None:
    team = a_team(ann=ANN_AWAY, bob=ANN_AWAY)

    assert team.stand_in(team.owner("ann"), None, date(2026, 6, 9)).id == "ann"


def test_a_person_works_the_queues_that_are_named_or_every_one() -> None:
    team = a_team()

    assert [name for name in ("ann", "cem", "referral-coordinator") if team.works(name, "referral-coordinator")] == [
        "ann"
    ]
    assert team.works("cem", "authorization-specialist")
