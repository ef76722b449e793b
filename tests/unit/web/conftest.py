"""A clinic for each test."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from tests.unit.web.builders import Clinic


@pytest.fixture
def clinic() -> Clinic:
    """Return an empty clinic."""
    return Clinic()


@pytest.fixture
def client(clinic: Clinic) -> TestClient:
    """Return a client of the clinic's web view."""
    return clinic.client()
