"""
Mappers: one received version in, one Snapshot out, or the reason why not. Pure.

One file per resource type exports ``MAPPER``; this package collects them and refuses two for one type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bridge.cases.snapshot import Snapshot
from bridge.errors import SourceError
from bridge.fhir.source import SourceVersion
from bridge.mappers import appointment, medication_request, service_request, task
from bridge.mappers.mapper import Mapper
from bridge.mappers.verdict import Ignored, Parked, Why

__all__ = ["MAPPERS", "MOST_BYTES", "Ignored", "Mapper", "Parked", "Why", "collect", "normalize"]

MOST_BYTES = 2 * 1024 * 1024
"""A resource larger than this is parked: coordination needs a few kilobytes (rule ours)."""


def collect(mappers: Iterable[Mapper]) -> Mapping[str, Mapper]:
    """
    Return the mappers by resource type.

    Raises:
        ValueError: Two map the same type.
    """
    found: dict[str, Mapper] = {}
    for mapper in mappers:
        if mapper.resource in found:
            raise ValueError(f"two mappers for {mapper.resource}")
        found[mapper.resource] = mapper
    return found


MAPPERS = collect(module.MAPPER for module in (task, service_request, appointment, medication_request))


def normalize(version: SourceVersion, *, base_url: str, fhir_version: str = "R4") -> Snapshot | Ignored | Parked:
    """
    Read one version. Never raises, whatever a server sends.

    Args:
        base_url: The connection's base: absolute references under it are its own.
        fhir_version: The connection's FHIR family. Every mapper reads R4, R4B and R5 shapes alike; elements
            of R5 on another family are noted.
    """
    if version.issue is not None:
        return Parked(Why.UNREADABLE, version.issue)
    mapper = MAPPERS.get(version.type)
    if mapper is None:
        return Ignored("out-of-scope", f"{version.type} is not a type that Bridge coordinates")
    if len(version.raw) > MOST_BYTES:
        return Parked(Why.OVERSIZED, f"larger than {MOST_BYTES} bytes")
    try:
        return mapper.normalize(version, base_url, fhir_version)
    except SourceError as error:
        return Parked(Why(error.code), str(error))
    except Exception as error:  # noqa: BLE001
        # One resource must never stop its page, whatever is wrong with Bridge: it is parked. Only the class
        # is named, because the message of an exception may quote a patient.
        return Parked(Why.FAULT, f"mapping failed ({type(error).__name__}); please report it")
