"""What a mapper is: one resource type and the pure function that reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bridge.cases.snapshot import Snapshot
from bridge.fhir.source import SourceVersion


@dataclass(frozen=True)
class Mapper:
    """
    Reads one resource type.

    ``normalize`` takes a version and the connection's base URL and returns its Snapshot; it raises SourceError
    for a version that must be parked.
    """

    resource: str
    normalize: Callable[[SourceVersion, str], Snapshot]
