"""What a server declares is believed; what cannot be read is not declared."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.errors import SourceError
from bridge.fhir.capability import Capability, TypeCapability, parse_capability
from conformance.simulator import Simulator, client_of


def statement(*resources: Any, **more: Any) -> bytes:
    rest = [{"mode": "server", "resource": list(resources)}]
    return json.dumps({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": rest, **more}).encode()


def test_what_is_declared_is_read() -> None:
    task = {
        "type": "Task",
        "interaction": [{"code": "read"}, {"code": "create"}, {"code": "update"}],
        "searchParam": [{"name": "identifier", "type": "token"}],
        "updateCreate": True,
        "conditionalCreate": True,
    }

    found = parse_capability(statement(task, {"type": "Patient"}, software={"name": "HAPI FHIR Server"}))

    assert (found.family, found.software) == ("R4", "HAPI FHIR Server")
    assert found.of("Task") == TypeCapability(
        frozenset({"read", "create", "update"}), frozenset({"identifier"}), update_create=True, conditional_create=True
    )
    assert found.supports("Task", "create")
    assert not found.supports("Patient", "read")
    assert not found.supports("Appointment", "read"), "what is not mentioned is not declared"


@pytest.mark.parametrize(
    ("version", "family"),
    [
        ("4.0.1", "R4"),
        ("4.0.0", "R4"),
        ("4.1.0", "R4B"),
        ("4.3.0", "R4B"),
        ("5.0.0", "R5"),
        ("3.0.2", "3.0.2"),
        (None, ""),
    ],
)
def test_a_version_belongs_to_a_family(version: str | None, family: str) -> None:
    assert parse_capability(statement(fhirVersion=version)).family == family


@pytest.mark.parametrize(
    "odd",
    [
        None,
        5,
        {},
        {"type": 5},
        {"type": "Task", "interaction": 5},
        {"type": "Task", "searchParam": [5]},
        {"type": "Task", "interaction": [None, {}, {"code": 5}]},
        {"type": "Task", "updateCreate": "true", "conditionalCreate": 1},
    ],
)
def test_an_odd_declaration_declares_nothing_and_costs_no_other(odd: Any) -> None:
    found = parse_capability(statement(odd, {"type": "Patient", "interaction": [{"code": "read"}]}))

    assert found.of("Task") == TypeCapability()
    assert found.supports("Patient", "read")


def test_what_a_server_declares_of_itself_as_a_client_is_no_offer() -> None:
    rest = [{"mode": "client", "resource": [{"type": "Task", "interaction": [{"code": "read"}]}]}, None]

    assert parse_capability(statement(rest=rest)) == Capability("R4")


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"{}", b"[]", b"<html>", b"\xff", b'{"resourceType":"Bundle"}', b"[" * 10**5]
)
def test_what_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(SourceError) as refused:
        parse_capability(raw)

    assert refused.value.code == "unreadable-capability"


def test_the_simulated_ehr_declares_itself() -> None:
    found = parse_capability(client_of(Simulator()).get("metadata").content)

    assert found.family == "R4"
    assert {"read", "create", "update"} <= found.of("Task").interactions
    assert "identifier" in found.of("Task").search_params
