"""EHRs by name: what each shows of FHIR, what it wants of writes, and its habits as faults."""

from __future__ import annotations

from difflib import get_close_matches

from conformance.simulator.vendors import ambulatory, epic, oracle, servers
from conformance.simulator.vendors.base import Vendor

VENDORS: dict[str, Vendor] = {
    vendor.name: vendor
    for vendor in (
        servers.GENERIC,
        epic.VENDOR,
        oracle.VENDOR,
        ambulatory.ATHENAHEALTH,
        ambulatory.MEDITECH,
        ambulatory.ECLINICALWORKS,
        ambulatory.NEXTGEN,
        ambulatory.CANVAS,
        servers.MEDPLUM,
        servers.HAPI,
        servers.AZURE,
        servers.GOOGLE,
        servers.HEALTHLAKE,
    )
}
"""All EHRs by name."""


def vendor_named(name: str) -> Vendor:
    """
    Return the EHR called *name*.

    Raises:
        ValueError: there is none; the message has the nearest name.
    """
    if name in VENDORS:
        return VENDORS[name]
    close = get_close_matches(name, VENDORS, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(VENDORS)}"
    raise ValueError(f"unknown vendor {name!r}; {hint}")


__all__ = ["VENDORS", "Vendor", "vendor_named"]
