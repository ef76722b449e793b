"""Vendor profiles: one registry, and every departure has its evidence."""

from __future__ import annotations

from dataclasses import fields

import pytest

from bridge.errors import ConfigError
from bridge.fhir.vendors import PROFILES, VendorProfile, profile


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_that_departs_from_the_standard_says_why(name: str) -> None:
    found, usual = profile(name), VendorProfile(name)

    departs = any(
        getattr(found, one.name) != getattr(usual, one.name) for one in fields(VendorProfile) if one.name != "evidence"
    )
    assert found.name == name
    assert found.evidence or not departs


def test_an_unknown_vendor_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'epci'.*generic, hapi, medplum"):
        profile("epci")
