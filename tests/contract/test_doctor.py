"""What ``bridge doctor`` finds on a real server: PostgreSQL, and an EHR behind TLS."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.probes import postgresql, tls
from tests.contract.test_fhir_client_tls import OPENSSL, certificate, secure  # noqa: F401 - fixtures
from tests.contract.wire import Wire

needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="makes its certificates with openssl")


@pytest.mark.postgres
def test_postgresql_tells_its_version_whether_it_is_durable_how_fast_and_what_time_it_is(postgres_url: str) -> None:
    found = {one.topic: one for one in postgresql(postgres_url)}

    assert found["database engine"].found.startswith("PostgreSQL ")
    assert found["database commit"].found.startswith("a durable commit takes ")
    assert "fsync" in found["database durability"].found
    assert found["database durability"].ok is ("off" not in found["database durability"].found)
    assert found["clock"].ok


@needs_openssl
def test_a_certificate_is_told_with_its_last_day_and_whether_that_is_soon(
    secure: Wire,  # noqa: F811
    certificate: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    base_url, now = f"https://localhost:{secure.port}/fhir", datetime.now(UTC)

    (soon,) = tls("TLS", base_url, 20, now)
    (fine,) = tls("TLS", base_url, 20, now - timedelta(days=30))

    assert soon.found.startswith("TLSv1.3, its certificate is valid until ")
    assert (soon.ok, fine.ok) == (False, True)
    assert "have it renewed" in soon.advice


@needs_openssl
def test_a_certificate_that_nobody_vouches_for_is_told(secure: Wire) -> None:  # noqa: F811
    (found,) = tls("TLS", f"https://localhost:{secure.port}/fhir", 20, datetime.now(UTC))

    assert (found.ok, found.reached) == (False, False)
    assert "not trusted" in found.found
    assert "SSL_CERT_FILE" in found.advice


def test_http_to_another_computer_is_told_and_to_this_one_is_not() -> None:
    now = datetime.now(UTC)

    assert [one.ok for one in tls("TLS", "http://ehr.example/fhir", 5, now)] == [True]
    assert list(tls("TLS", "http://127.0.0.1:8080/fhir", 5, now)) == []
    assert list(tls("TLS", "https://127.0.0.1:1/fhir", 5, now)) == []
