"""Writes that are doubled, refused without a reason, or refused for ever."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from conformance.simulator.dates import parse_span
from conformance.simulator.ehr import Ehr, Writing
from conformance.simulator.faults.base import Fault, FaultKind, OptionFault, natural, seconds
from conformance.simulator.parameters import PARAMETERS
from conformance.simulator.wire import FhirError, Json

_ZONE = re.compile(r"(Z|[+-]\d\d:\d\d)$")


class WedgedUpdates(Fault):
    """After every so many updates, the resource that was updated can never be updated again."""

    def __init__(self, every: str = "3") -> None:
        self._every = natural(every)
        self._seen = 0
        self._wedged: set[tuple[str, str]] = set()

    def storing(self, writing: Writing, ehr: Ehr) -> None:
        place = (writing.type, writing.id)
        if place in self._wedged:
            raise _conflict(f"The operation has failed with a version constraint failure on {writing.type}")
        if writing.method in {"PUT", "PATCH"} and writing.head is not None:
            self._seen += 1
            if self._seen % self._every == 0:
                self._wedged.add(place)


class SharedIds(Fault):
    """Refuse to create a resource under an id that a resource of another type has."""

    def storing(self, writing: Writing, ehr: Ehr) -> None:
        if writing.head is not None:
            return
        others = PARAMETERS.keys() - {writing.type}
        if any(ehr.store.head(type_, writing.id) is not None for type_ in others):
            raise _conflict(f"The id {writing.id} is in use")


class ConflictStorm(Fault):
    """Refuse the next writes to each resource with a conflict, as if somebody were always faster."""

    def __init__(self, times: str = "3") -> None:
        self._times = natural(times)
        self._seen: dict[tuple[str, str], int] = {}

    def storing(self, writing: Writing, ehr: Ehr) -> None:
        place = (writing.type, writing.id)
        seen = self._seen.get(place, 0)
        if writing.head is not None and seen < self._times:
            self._seen[place] = seen + 1
            raise FhirError(ehr.options.stale_write_status, "conflict", "Somebody else changed this resource")


class DstPeriods(Fault):
    """Refuse a Period whose end is earlier by the wall clock than its start, although it is later in time."""

    def storing(self, writing: Writing, ehr: Ehr) -> None:
        for period in _periods(writing.resource):
            start, end = period["start"], period["end"]
            if _wall_clock(end) < _wall_clock(start):
                raise FhirError(400, "invariant", f"per-1: the end {end} is before the start {start}")


class PatchOnly(Fault):
    """Take changes of what is there as JSON Patch with ``If-Match`` only."""

    def storing(self, writing: Writing, ehr: Ehr) -> None:
        if writing.method == "PUT":
            raise FhirError(405, "not-supported", "Update is not supported: send a JSON Patch")
        if writing.method == "PATCH" and "if-match" not in writing.request.headers:
            raise FhirError(412, "conflict", "A patch needs If-Match")


def _periods(value: Any) -> Iterator[Json]:
    if isinstance(value, list):
        for item in value:
            yield from _periods(item)
    elif isinstance(value, dict):
        if isinstance(value.get("start"), str) and isinstance(value.get("end"), str):
            yield value
        for item in value.values():
            yield from _periods(item)


def _wall_clock(text: str) -> int:
    """Return a time as its clock shows it, whatever the zone."""
    try:
        return parse_span(_ZONE.sub("Z", text) if "T" in text else text)[0]
    except ValueError as error:
        raise FhirError(400, "structure", str(error)) from error


def _conflict(text: str) -> FhirError:
    return FhirError(409, "conflict", text)


KINDS = (
    FaultKind(
        "conditional-create-race",
        "[SECONDS]",
        "If-None-Exist does not see what is younger than that, so duplicates arise; then 412 for ever",
        "hapi-fhir #3141, #4597; microsoft/fhir-server #1382; medplum #4878; LinuxForHealth/FHIR #2051",
        lambda age="5": OptionFault(conditional_blindness=seconds(age)),
    ),
    FaultKind(
        "wedged-updates",
        "[EVERY]",
        "after every third update that resource answers 409 to every write, for ever",
        "hapi-fhir #5288: concurrent updates left a resource that could never be updated again",
        WedgedUpdates,
    ),
    FaultKind(
        "shared-ids",
        "",
        "a create under an id that another type's resource has is answered 409",
        "hapi-fhir #7152",
        SharedIds,
    ),
    FaultKind(
        "conflict-storm",
        "[TIMES]",
        "the next 3 writes to each resource that is there are answered as stale",
        "ours",
        ConflictStorm,
    ),
    FaultKind(
        "dst-periods",
        "",
        "a Period from 01:59:26-04:00 to 01:57:26-05:00 is refused, although its end is an hour later",
        "hapi-fhir #873",
        DstPeriods,
    ),
    FaultKind(
        "patch-only",
        "",
        "PUT is refused; PATCH needs If-Match (412)",
        "Oracle Health R4, communication.md, appointment.md",
        PatchOnly,
    ),
)
