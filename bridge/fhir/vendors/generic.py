"""A server nobody told us anything about: what it declares is believed, and everything is tried before it is used."""

from __future__ import annotations

from bridge.fhir.vendors.profile import VendorProfile

PROFILE = VendorProfile("generic", title="any FHIR server")
