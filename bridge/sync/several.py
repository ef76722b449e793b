"""
Reading many resources by name, some of which the EHR may refuse: those hold up no others.

An EHR may close a single record (a patient behind break-the-glass; a Task of another department) and refuse a whole
search for its sake, so that a search that is refused is asked again in halves.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from bridge.errors import Refused
from bridge.fhir.client import FhirClient
from bridge.fhir.source import SourceVersion

MOST_REFUSALS = 16
"""From so many in a row on, it is the type that is refused, not its resources one by one (rule ours)."""

log = logging.getLogger(__name__)


@dataclass
class Several:
    """What was found, and what was refused, with what the EHR said."""

    found: list[SourceVersion] = field(default_factory=list)
    refused: dict[str, Refused] = field(default_factory=dict)


def read_several(client: FhirClient, refs: Sequence[str]) -> Several:
    """
    Return what the EHR shows of *refs*, and what it refuses; what is in neither it did not find.

    Where it goes on refusing, it refuses the type, and is not asked for each.

    Raises:
        RemoteError: It does not answer, or says 401.
    """
    result, in_a_row = Several(), 0
    left = [list(refs)] if refs else []
    last: Refused | None = None
    while left and in_a_row < MOST_REFUSALS:
        some = left.pop()
        try:
            result.found += client.batch_read(some)
        except Refused as error:
            in_a_row, last, half = in_a_row + 1, error, len(some) // 2
            left += [some[half:], some[:half]] if half else []
            if not half:
                log.warning("the EHR refuses %s: %s", some[0], error)
                result.refused[some[0]] = error
        else:
            in_a_row = 0
    if last is not None:
        result.refused |= {ref: last for some in left for ref in some}
    return result
