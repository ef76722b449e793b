"""
Misbehaviour that the simulated EHR can play, each by name: one module for each family.

A new behaviour is one class and one line in the ``KINDS`` of its module. ``bridge simulator --list`` prints them.
"""

from __future__ import annotations

from difflib import get_close_matches

from conformance.simulator.faults import (
    access,
    answers,
    limits,
    notifying,
    paging,
    patients,
    searching,
    timing,
    writing,
)
from conformance.simulator.faults.base import Fault, FaultKind, OptionFault
from conformance.simulator.faults.patients import merge_patients

FAMILIES: dict[str, tuple[FaultKind, ...]] = {
    "Results and pages": paging.KINDS,
    "Time": timing.KINDS,
    "Searches": searching.KINDS,
    "Limits and outages": limits.KINDS,
    "Tokens": access.KINDS,
    "Answers": answers.KINDS,
    "Writes": writing.KINDS,
    "Patients": patients.KINDS,
    "Notifications": notifying.KINDS,
}
"""All faults, by family."""

FAULTS: dict[str, FaultKind] = {kind.name: kind for kinds in FAMILIES.values() for kind in kinds}
"""All faults by name. Arguments follow ``=`` and are separated by commas: ``throttle=3,120``."""


def fault_named(spec: str) -> Fault:
    """
    Return a new fault from ``name`` or ``name=argument,argument``.

    Raises:
        ValueError: no fault has that name, or its arguments do not fit.
    """
    name, _, arguments = spec.partition("=")
    if name not in FAULTS:
        raise ValueError(f"unknown fault {name!r}; {nearest(name, FAULTS)}")
    kind = FAULTS[name]
    try:
        return kind(*(arguments.split(",") if arguments else ()))
    except (TypeError, ValueError) as error:
        reason = f": {error}" if isinstance(error, ValueError) else ""
        raise ValueError(f"fault {spec!r} does not fit {kind.written}{reason}") from error


def nearest(name: str, known: dict[str, FaultKind] | tuple[str, ...]) -> str:
    """Return a hint at what may have been meant by an unknown *name*."""
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"


__all__ = ["FAMILIES", "FAULTS", "Fault", "FaultKind", "OptionFault", "fault_named", "merge_patients", "nearest"]
