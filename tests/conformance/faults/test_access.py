"""Tokens: asked for, expired, rationed, not given."""

from __future__ import annotations

import base64
import json

import httpx
import pytest

from conformance.simulator import ManualClock, Simulator


def assertion(clock: ManualClock, **lasting: float) -> str:
    """Return an unsigned JWT that expires then."""
    now = clock().timestamp()
    claims = json.dumps({"exp": now + lasting.get("seconds", 60)}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}."


def asked(fhir: httpx.Client, clock: ManualClock, **lasting: float) -> httpx.Response:
    form = {"grant_type": "client_credentials", "scope": "system/*.rs", "client_assertion": assertion(clock, **lasting)}
    return fhir.post("token", data=form)


def read(fhir: httpx.Client, token: str) -> int:
    return fhir.get("Task", headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_token_opens_until_it_expires(simulator: Simulator, fhir: httpx.Client, clock: ManualClock) -> None:
    simulator.add_fault("tokens=300")
    token = asked(fhir, clock).json()

    fresh = read(fhir, token["access_token"])
    clock.advance(seconds=300)

    assert token["expires_in"] == 300
    assert (fresh, read(fhir, token["access_token"]), read(fhir, "made-up")) == (200, 401, 401)
    assert fhir.get("metadata").status_code == 200


def test_the_token_endpoint_can_be_discovered(simulator: Simulator, fhir: httpx.Client, clock: ManualClock) -> None:
    simulator.add_fault("tokens")

    found = fhir.get(".well-known/smart-configuration").json()["token_endpoint"]

    assert found == "http://ehr.example/fhir/token"


def test_only_so_many_tokens_are_given_in_an_hour(simulator: Simulator, fhir: httpx.Client, clock: ManualClock) -> None:
    simulator.add_fault("tokens=300,2")

    statuses = [asked(fhir, clock).status_code for _ in range(3)]
    clock.advance(hours=1)

    assert statuses == [200, 200, 429]
    assert asked(fhir, clock).status_code == 200


@pytest.mark.parametrize("seconds", [-1, 301, 600])
def test_an_assertion_that_is_over_or_too_long_is_refused(
    simulator: Simulator, fhir: httpx.Client, clock: ManualClock, seconds: float
) -> None:
    simulator.add_fault("tokens")

    assert asked(fhir, clock, seconds=seconds).status_code == 400


def test_every_second_token_is_not_given(simulator: Simulator, fhir: httpx.Client, clock: ManualClock) -> None:
    simulator.add_fault("tokens-fail=503")
    simulator.add_fault("tokens")

    assert [asked(fhir, clock).status_code for _ in range(4)] == [200, 503, 200, 503]
