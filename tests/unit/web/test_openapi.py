"""The API's description against the API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from fastapi.testclient import TestClient

from bridge.cases import commands
from bridge.cases.intents import IntentState
from bridge.web.openapi import SHOWN
from bridge.web.pages.case import DONE
from tests.unit.web.builders import NOW, Clinic


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
            content = operation["responses"]["200"]["content"]["application/json"]["schema"]
            assert content["$ref"].rsplit("/", 1)[1] in SHOWN
            assert operation["description"]


def test_answers_are_what_the_description_says(clinic: Clinic, client: TestClient, description: dict[str, Any]) -> None:
    """Every GET's bytes decode, strictly, as the struct whose schema the description names."""
    case = clinic.referral()
    clinic.deliver(case, IntentState.CONFIRMED)
    clinic.park("Task/1", "unknown-status", "not known")
    clinic.read_to(NOW)

    for path, methods in description["paths"].items():
        if "get" not in methods or not path.startswith("/api/v1"):
            continue
        name = methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
        answer = client.get(path.format(case_id=case.id, row_id=1))
        decoded = msgspec.json.decode(answer.content, type=SHOWN[name])
        assert msgspec.json.encode(decoded) == answer.content, path


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
