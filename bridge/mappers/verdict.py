"""What becomes of a version that is not mapped: ignored or parked, each with a stable code and a reason."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Why(StrEnum):
    """Why a version is parked: a closed set, for grouping."""

    UNREADABLE = "unreadable"
    """Not JSON, not even type and id can be read, or nested beyond reason."""
    WRONG_SHAPE = "wrong-shape"
    """An element without which the resource must not be used has a wrong type."""
    MISSING_STATUS = "missing-status"
    """There is no status; an extension in its place is none."""
    UNKNOWN_STATUS = "unknown-status"
    """The status is no code of FHIR R4, R4B or R5."""
    UNKNOWN_INTENT = "unknown-intent"
    """The intent is no code of FHIR: it could mean that nobody is to act."""
    UNKNOWN_MODIFIER = "unknown-modifier-extension"
    """It carries a modifierExtension that may turn its meaning round."""
    IMPLICIT_RULES = "implicit-rules"
    """It is to be understood by rules named elsewhere."""
    INCOMPLETE = "incomplete"
    """The server sent part of it (tag SUBSETTED): what is missing would look like it was taken away."""
    OVERSIZED = "oversized"
    """Larger than coordination can need."""
    FAULT = "mapper-fault"
    """A fault of Bridge's own, to be reported."""


class Ignored(NamedTuple):
    """The version is none of Bridge's business; ``code`` groups, ``reason`` explains."""

    code: str
    reason: str


class Parked(NamedTuple):
    """The version must not be guessed at; it waits, with its raw bytes, for a person or a newer Bridge."""

    code: Why
    reason: str
