"""What a mapper is: one resource type, how it is searched for, and the pure function that reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bridge.cases.snapshot import Snapshot
from bridge.fhir.source import SourceVersion


@dataclass(frozen=True)
class Search:
    """
    R4 search parameters by which a poll can find changes, on the server or per patient.

    ``dates`` are those that hold an upper bound of nothing but creation or business time, best first;
    ``_lastUpdated`` is tried before them.
    """

    dates: tuple[str, ...]
    patient: str = "patient"
    status: str = "status"


@dataclass(frozen=True)
class Mapper:
    """
    Reads one resource type.

    ``normalize`` takes a version, the connection's base URL and its FHIR version, and returns a Snapshot; it
    raises SourceError for a version that must be parked.
    """

    resource: str
    search: Search
    normalize: Callable[[SourceVersion, str, str], Snapshot]
