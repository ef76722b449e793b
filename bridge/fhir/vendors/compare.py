"""
What a server declares, laid over what its vendor's profile says: the server wins, and the difference is told.

A CapabilityStatement says which types and search parameters there are. It cannot say that a search needs a
patient (FHIR R4 has no element for it), so that comes from the profile alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bridge.fhir.capability import Capability
from bridge.fhir.vendors.profile import Reading, VendorProfile

LAST_UPDATED = "_lastUpdated"


@dataclass(frozen=True)
class Readable:
    """
    How a resource type can be read on one server.

    Args:
        search: Whether it can be searched for.
        params: The search parameters there are; ``None`` where nobody says.
        keys, window: As in ``Reading``.
        said_by: Who says so, in words.
        count: The parameter that asks for a page's size.
    """

    search: bool
    params: frozenset[str] | None
    keys: tuple[str, ...]
    window: str | None
    said_by: str
    count: str = "_count"

    def takes(self, param: str) -> bool:
        """Whether a search may carry *param*, as far as anybody says."""
        return self.params is None or param in self.params


def readable(kind: str, vendor: VendorProfile, capability: Capability | None) -> Readable:
    """
    Return how *kind* can be read.

    Args:
        capability: What the server declares; ``None`` where it declares nothing that could be read.
    """
    known = vendor.reading(kind)
    if capability is None or not capability.types:
        return Readable(
            known.search, known.params, known.keys, known.window, f"the profile {vendor.name}", vendor.count
        )
    declared = capability.of(kind).search_params
    everywhere = declared | capability.common_params
    search = "search-type" in capability.of(kind).interactions
    return Readable(
        search=search,
        params=everywhere if declared else known.params,
        keys=known.keys,
        window=known.window,
        said_by="the CapabilityStatement" if declared or not search else f"the profile {vendor.name}",
        count=vendor.count if vendor.count in everywhere or not declared else "_count",
    )


def disagreements(vendor: VendorProfile, capability: Capability, kinds: Iterable[str]) -> tuple[str, ...]:
    """Return where the server declares otherwise than its profile says, in words; the server is believed."""
    return tuple(words for kind in kinds if kind in vendor.reads for words in _of_type(kind, vendor, capability))


def _of_type(kind: str, vendor: VendorProfile, capability: Capability) -> Iterator[str]:
    known, declared = vendor.reading(kind), capability.of(kind)
    search = "search-type" in declared.interactions
    if search is not known.search:
        says, has = ("can", "cannot") if search else ("cannot", "can")
        yield f"{kind} {says} be searched; by the profile it {has}"
        return
    params = declared.search_params | capability.common_params
    if not search or known.params is None or not params:
        return
    yield from _of_params(kind, known, params)


def _of_params(kind: str, known: Reading, params: frozenset[str]) -> Iterator[str]:
    assert known.params is not None
    if LAST_UPDATED in params and LAST_UPDATED not in known.params:
        yield f"{kind} is searched by {LAST_UPDATED}; by the profile it is not"
    missing = sorted(known.params - params)
    if missing:
        yield f"{kind} is not searched by {', '.join(missing)}; by the profile it is"
