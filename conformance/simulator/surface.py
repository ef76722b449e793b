"""
The part of FHIR that one EHR shows to those outside: which types, interactions and searches, which writes.

Without a surface the server shows all it has. The clinic's own screens are never held to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from conformance.simulator.wire import FhirError, Json

Rule = Callable[[str, Json | None, Json | None], None]
"""Refuses a write with a ``FhirError``: method, the resource before it, the resource after it."""

_PAGING = frozenset({"_sort", "_include", "_revinclude", "_elements", "_summary", "_total", "_count"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeSurface:
    """
    What may be done with one resource type.

    Attributes:
        interactions: Codes of FHIR R4 type-restful-interaction.
        parameters: Search parameters it knows beside those that only shape the answer; None for all.
        needs: Sets of parameters one of which must be there as a whole; empty where a search may be type-wide.
        needs_code: Issue code and text of the refusal of a search without them.
        writes: What a write must keep to.
    """

    interactions: frozenset[str]
    parameters: frozenset[str] | None = None
    needs: tuple[frozenset[str], ...] = ()
    needs_code: str | None = None
    writes: tuple[Rule, ...] = ()

    def knows(self, name: str) -> bool:
        """Tell whether a search may carry the parameter *name*, with or without a modifier."""
        plain = name.partition(":")[0]
        return self.parameters is None or plain in self.parameters or plain in _PAGING

    def check_search(self, type_: str, names: set[str]) -> None:
        """
        Refuse a search that is wider than this EHR allows.

        Raises:
            FhirError: 400, naming what must be given.
        """
        if not self.needs or any(wanted <= names for wanted in self.needs):
            return
        ways = " or ".join(" + ".join(sorted(wanted)) for wanted in self.needs)
        text = f"A search on {type_} needs {ways}"
        raise FhirError(400, "required", f"{self.needs_code}: {text}" if self.needs_code else text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """
    What one EHR shows.

    Attributes:
        types: The types it has; any other is not found.
        system: Interactions on the base: ``transaction``, ``batch``, ``history-system``.
        software: Name and version in its CapabilityStatement.
        needs_if_match: Refuse an update or a patch without ``If-Match`` (412).
        versioning: What it declares of versions (FHIR R4 versioning-policy).
    """

    types: Mapping[str, TypeSurface]
    system: frozenset[str] = frozenset()
    software: tuple[str, str] = ("Bridge simulated EHR", "1")
    needs_if_match: bool = False
    versioning: str = "versioned"

    def check(self, type_: str, interaction: str) -> None:
        """
        Refuse what this EHR does not do.

        Raises:
            FhirError: 404 for a type it has not, 405 for an interaction.
        """
        here = self.types.get(type_)
        if here is None:
            raise FhirError(404, "not-supported", f"Unknown resource type {type_!r}")
        if interaction not in here.interactions:
            raise FhirError(405, "not-supported", f"{interaction} is not supported for {type_}")

    def check_system(self, interaction: str) -> None:
        """
        Refuse an interaction on the base that this EHR does not do.

        Raises:
            FhirError: 405.
        """
        if interaction not in self.system:
            raise FhirError(405, "not-supported", f"{interaction} is not supported")


def either(*ways: str) -> tuple[frozenset[str], ...]:
    """Return sets of parameters from texts: ``either("_id", "patient date")`` is ``_id``, or both of the others."""
    return tuple(frozenset(way.split()) for way in ways)
