"""
What differs between EHRs: one profile each, with where and when it was seen.

What a server's CapabilityStatement declares wins over its profile (``compare``); nothing else in Bridge asks
for a vendor's name. A new EHR is one file here and one name in the list below.
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge.errors import ConfigError
from bridge.fhir.vendors import (
    athenahealth,
    azure,
    canvas,
    eclinicalworks,
    epic,
    generic,
    google,
    gravity,
    hapi,
    healthlake,
    meditech,
    medplum,
    nextgen,
    oracle,
)
from bridge.fhir.vendors.profile import Means, Reading, VendorProfile, Writing

__all__ = ["CODES", "PROFILES", "Means", "Reading", "VendorProfile", "Writing", "codes_for", "profile", "recognized"]

_MODULES = (
    generic,
    hapi,
    medplum,
    gravity,
    azure,
    google,
    healthlake,
    epic,
    oracle,
    athenahealth,
    meditech,
    eclinicalworks,
    nextgen,
    canvas,
)

PROFILES: Mapping[str, VendorProfile] = {module.PROFILE.name: module.PROFILE for module in _MODULES}

CODES: Mapping[str, Means] = {code: means for one in PROFILES.values() for code, means in one.codes.items()}
"""Every vendor's codes: no two mean different things by one, and a connection may have the wrong vendor set."""


def codes_for(means: Means) -> frozenset[str]:
    """Return the codes that mean this, whoever uses them."""
    return frozenset(code for code, meant in CODES.items() if meant is means)


def profile(name: str) -> VendorProfile:
    """
    Return the profile called *name*.

    Raises:
        ConfigError: There is none; the message lists those there are.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise ConfigError(f"vendor {name!r} is not known; expected one of {', '.join(PROFILES)}") from None


def recognized(software: str | None) -> VendorProfile | None:
    """Return the profile that a server's name for its own software gives away."""
    said = (software or "").lower()
    return next((one for one in PROFILES.values() if any(word in said for word in one.software)), None)
