"""What holds for every request and every answer (security checks S13 to S16, S52, S53)."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from bridge.web.guard import POLICY
from tests.unit.web.builders import Clinic

OURS = {"Sec-Fetch-Site": "same-origin"}
PAGES = [
    "/",
    "/connections",
    "/review",
    "/measures",
    "/measures/trend",
    "/api/v1/cases",
    "/api/v1/connections",
    "/api/v1/measures.csv",
    "/metrics",
    "/health/live",
    "/nothing-here",
]


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_carries_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers

    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers
    assert "set-cookie" not in headers


def test_policy_allows_nothing_inline() -> None:
    assert "unsafe" not in POLICY
    assert "default-src 'self'" in POLICY


def test_refusals_carry_them_too(client: TestClient) -> None:
    refused = client.get("/", headers={"Host": "evil.example"})

    assert refused.headers["content-security-policy"] == POLICY


def test_transport_security_is_promised_over_tls_only(clinic: Clinic) -> None:
    client = clinic.client()

    assert "strict-transport-security" not in client.get("/").headers
    client.base_url = client.base_url.copy_with(scheme="https")
    assert client.get("/").headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.2",
        "",
        "[::",
        "a@127.0.0.1.x",
    ],
)
def test_other_names_are_not_answered(client: TestClient, host: str) -> None:
    """DNS rebinding: a name of an attacker's that resolves to this computer."""
    assert client.get("/api/v1/cases", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:8000", "bridge.example"])
def test_our_names_are_answered(host: str) -> None:
    clinic = Clinic(allowed_hosts=frozenset({"bridge.example"}))

    assert clinic.client().get("/api/v1/cases", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://testserver.evil.example"},
        {},
    ],
    ids=str,
)
def test_form_from_elsewhere_does_nothing(clinic: Clinic, headers: dict[str, str]) -> None:
    case = clinic.referral()

    answer = clinic.client().post(
        f"/cases/{case.id}/commands/note", data={"text": "x", "version": str(case.version)}, headers=headers
    )

    assert answer.status_code == 403
    assert clinic.case(case) == case


@pytest.mark.parametrize("headers", [OURS, {"Origin": "http://testserver"}, {"Sec-Fetch-Site": "none"}], ids=str)
def test_form_of_our_own_is_taken(clinic: Clinic, headers: dict[str, str]) -> None:
    case = clinic.referral()

    answer = clinic.client().post(
        f"/cases/{case.id}/commands/note", data={"text": "x", "version": str(case.version)}, headers=headers
    )

    assert answer.status_code == 303


def test_script_of_another_site_cannot_command(clinic: Clinic, client: TestClient) -> None:
    case = clinic.referral()

    answer = client.post(
        f"/api/v1/cases/{case.id}/commands",
        json={"command": "note", "text": "x"},
        headers={"If-Match": f'"{case.version}"', "Origin": "https://evil.example"},
    )

    assert answer.status_code == 403


def test_static_files_are_kept_for_ever_under_an_address_that_changes_with_them(client: TestClient) -> None:
    page = client.get("/").text
    address = page.split('<link rel="stylesheet" href="')[1].split('"')[0]

    answer = client.get(address)

    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert client.get(address.partition("?")[0]).headers["cache-control"] == "no-store"


def test_folder_of_static_files_is_not_left(client: TestClient) -> None:
    assert client.get("/static/..%2fapp.py").status_code == 404
    assert client.get("/static/").status_code == 404


def test_no_documentation_pages_that_load_from_elsewhere(client: TestClient) -> None:
    assert client.get("/docs").status_code == 404
    assert client.get("/redoc").status_code == 404
