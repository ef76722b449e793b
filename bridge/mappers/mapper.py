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

    Args:
        open: The statuses in which a resource can still change.
        dates: Parameters of the time it was made or changed, best first; ``_lastUpdated`` is tried before them.
        window: The parameter of the time it is for, by which a search can be bounded.
    """

    open: tuple[str, ...]
    dates: tuple[str, ...] = ()
    window: str | None = None
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
