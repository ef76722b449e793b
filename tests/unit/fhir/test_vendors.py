"""Vendor profiles: one registry, every departure has its evidence, and the server's own word wins."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.fhir.capability import Capability, TypeCapability
from bridge.fhir.vendors import CODES, PROFILES, Means, VendorProfile, profile, recognized
from bridge.fhir.vendors.compare import disagreements, readable

KINDS = ("Task", "ServiceRequest", "Appointment", "MedicationRequest", "Communication")
any_profile = pytest.mark.parametrize("name", PROFILES)


def declares(common: str = "", **types: str) -> Capability:
    """Return a server that can search these types by these parameters (with blanks between)."""
    found = {
        kind: TypeCapability(frozenset({"search-type", "read"}), frozenset(params.split()))
        for kind, params in types.items()
    }
    return Capability("R4", types=found, common_params=frozenset(common.split()))


@any_profile
def test_a_profile_that_departs_from_the_standard_says_why_and_when(name: str) -> None:
    found, usual = profile(name), VendorProfile(name)

    departs = any(
        getattr(found, one.name) != getattr(usual, one.name)
        for one in fields(VendorProfile)
        if one.name not in ("evidence", "title", "software")
    )
    assert found.name == name
    assert found.evidence or not departs
    assert name in ("generic", "gravity") or any(re.search(r"\b20\d\d", said) for said in found.evidence)


def test_every_file_is_registered() -> None:
    folder = Path(__file__).parents[3] / "bridge/fhir/vendors"
    files = {file.stem for file in folder.glob("*.py")} - {"__init__", "profile", "compare"}

    assert files == set(PROFILES)


@any_profile
def test_a_profile_speaks_of_types_and_prefixes_that_there_are(name: str) -> None:
    found = profile(name)

    assert {*found.reads, *found.writes} <= {*KINDS}
    assert "ge" in found.prefixes, "the poll begins at or after; another prefix would lose what shares an instant"
    for reading in found.reads.values():
        assert reading.params is None or {*reading.keys, *filter(None, [reading.window])} <= reading.params
        assert reading.search or not reading.keys
    for writing in found.writes.values():
        assert writing.how <= {"create", "update", "patch"}


def test_no_code_means_two_things() -> None:
    """Codes are read without regard to the vendor: a connection may have the wrong one set."""
    meant = [(code, means) for one in PROFILES.values() for code, means in one.codes.items()]

    assert len(dict(meant)) == len(meant) == len(CODES)
    assert CODES["4122"] is Means.FILTER_IGNORED


def test_an_unknown_vendor_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'epci'.*generic, hapi, medplum"):
        profile("epci")


@pytest.mark.parametrize(
    ("software", "name"),
    [("HAPI FHIR Server", "hapi"), ("Epic", "epic"), ("Cerner FHIR", "oracle"), ("Bridge simulated EHR", None)],
)
def test_a_server_may_give_its_vendor_away(software: str, name: str | None) -> None:
    found = recognized(software)

    assert (found.name if found else None) == name
    assert recognized(None) is None


def test_what_the_server_declares_wins_over_its_profile() -> None:
    server = declares(ServiceRequest="patient authored _lastUpdated")

    found = readable("ServiceRequest", profile("epic"), server)

    assert found.params == {"patient", "authored", "_lastUpdated"}
    assert found.keys == ("patient",), "that a patient is needed cannot be declared"
    assert not readable("Appointment", profile("epic"), server).search
    assert readable("Appointment", profile("epic"), None).search


def test_parameters_declared_for_all_types_count_for_each() -> None:
    server = declares("_lastUpdated", Task="status")

    assert readable("Task", profile("generic"), server).takes("_lastUpdated")


def test_a_server_that_lists_no_parameters_is_read_by_its_profile() -> None:
    found = readable("ServiceRequest", profile("nextgen"), declares(ServiceRequest=""))

    assert found.takes("authored")
    assert found.said_by == "the profile nextgen"


def test_differences_from_the_profile_are_told_in_words() -> None:
    server = declares(ServiceRequest="patient category code authored status requester encounter _lastUpdated", Task="")

    found = disagreements(profile("oracle"), server, ["Task", "ServiceRequest", "Appointment"])

    assert found == (
        "Task can be searched; by the profile it cannot",
        "ServiceRequest is not searched by _id, subject; by the profile it is",
        "Appointment cannot be searched; by the profile it can",
    )
    assert disagreements(profile("epic"), server, ["ServiceRequest"]) == (
        "ServiceRequest is searched by _lastUpdated; by the profile it is not",
    )
    assert disagreements(profile("generic"), server, ["Task"]) == ()
