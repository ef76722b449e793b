"""The API's description against the API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from fastapi.testclient import TestClient

from bridge.cases import commands
from bridge.cases.intents import IntentState
from bridge.web.measures import FHIR_JSON
from bridge.web.openapi import SHOWN
from bridge.web.pages.case import DONE
from tests.unit.web.builders import NOW, Clinic

OTHERWISE = {
    "/api/v1/measures.csv": "text/csv; charset=utf-8",
    "/api/v1/measures/fhir": "application/fhir+json",
    "/api/v1/measures/trend.csv": "text/csv; charset=utf-8",
}
"""What is no JSON of ours, and what it is."""


@pytest.fixture
def description(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/v1/openapi.json").json()
    return found


def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]

    for reference in _references(description):
        assert reference.removeprefix("#/components/schemas/") in schemas


def test_every_route_says_what_it_answers(description: dict[str, Any]) -> None:
    for path, methods in description["paths"].items():
        if not path.startswith("/api/v1"):
            continue
        for operation in methods.values():
            assert operation["description"]
            ((media_type, content),) = operation["responses"]["200"]["content"].items()
            if media_type == "application/json":
                assert content["schema"]["$ref"].rsplit("/", 1)[1] in SHOWN
            else:
                assert path in OTHERWISE


def test_answers_are_what_the_description_says(clinic: Clinic, client: TestClient, description: dict[str, Any]) -> None:
    """Every GET's bytes decode, strictly, as the struct whose schema the description names."""
    case = clinic.referral()
    clinic.deliver(case, IntentState.CONFIRMED)
    clinic.park("Task/1", "unknown-status", "not known")
    clinic.read_to(NOW)

    for path, methods in description["paths"].items():
        if "get" not in methods or not path.startswith("/api/v1") or path in OTHERWISE:
            continue
        name = methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
        answer = client.get(path.format(case_id=case.id, row_id=1))
        decoded = msgspec.json.decode(answer.content, type=SHOWN[name])
        assert msgspec.json.encode(decoded) == answer.content, path


@pytest.mark.parametrize("path", OTHERWISE)
def test_what_is_no_json_of_ours_is_described_too(clinic: Clinic, client: TestClient, path: str) -> None:
    clinic.referral()
    operation = client.get("/api/v1/openapi.json").json()["paths"][path]["get"]

    answer = client.get(path)

    assert answer.headers["content-type"] == OTHERWISE[path]
    ((media_type, content),) = operation["responses"]["200"]["content"].items()
    assert answer.headers["content-type"].startswith(media_type)
    assert {one["name"] for one in operation["parameters"]} == {"by" if "trend" in path else "from", "to", "connection"}
    assert set(operation["responses"]) == {"200", "422", "503"}
    if media_type == FHIR_JSON:
        assert holds(content["schema"], answer.json())
    else:
        header = answer.text.splitlines()[0].split(",")
        assert all(f"`{column}`" in operation["responses"]["200"]["description"] for column in header)


def holds(schema: dict[str, Any], value: Any) -> bool:
    """Whether a value is what a schema says, as far as the description goes."""
    if "const" in schema:
        return bool(value == schema["const"])
    if schema["type"] == "array":
        return isinstance(value, list) and value != [] and all(holds(schema["items"], one) for one in value)
    if schema["type"] == "object":
        known = all(holds(part, value[name]) for name, part in schema.get("properties", {}).items() if name in value)
        return isinstance(value, dict) and set(schema["required"]) <= set(value) and known
    return isinstance(value, str)


def test_every_command_is_described(description: dict[str, Any]) -> None:
    known = {command.__struct_config__.tag for command in commands.AnyCommand.__args__}
    union = description["components"]["schemas"]["Command"]

    assert set(union["discriminator"]["mapping"]) == known == set(DONE)


def test_problem_is_described_as_it_is_answered(client: TestClient) -> None:
    answer = client.get("/api/v1/cases/none")

    msgspec.json.decode(answer.content, type=SHOWN["Problem"])
    assert answer.headers["content-type"] == "application/problem+json"


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
