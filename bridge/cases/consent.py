"""
By which ways a patient does not want to be approached.

What a patient says in one attempt, or to anybody who records it, holds for all of the patient's cases on the
connection from then on, until the patient says otherwise (rule ours; 45 CFR 164.522(b) has a provider honour how
somebody wants to be contacted). FHIR R4 has no element of the four types or of Patient that says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from bridge.cases.model import Attempt
from bridge.cases.terms import Channel
from bridge.errors import CommandRefused


def unwanted(attempts: Iterable[Attempt], at: datetime) -> dict[Channel, datetime]:
    """Return the ways that the patient had refused by *at*, and not agreed to since; each with when."""
    found: dict[Channel, datetime] = {}
    for attempt in sorted((one for one in attempts if one.at <= at), key=lambda one: (one.at, one.id)):
        found.update(dict.fromkeys(attempt.refuses, attempt.at))
        for channel in attempt.agrees:
            found.pop(channel, None)
    return found


def check_consent(
    channel: Channel, refuses: Iterable[Channel], agrees: Iterable[Channel], attempts: Iterable[Attempt], at: datetime
) -> None:
    """
    Refuse an attempt by a way that the patient did not want any more, unless they agreed to it in that very attempt.

    Args:
        refuses, agrees: What the patient said in this attempt.
        attempts: All that were made before, on whichever of the patient's cases.

    Raises:
        CommandRefused: The message says since when, and what would do.
    """
    both = sorted(set(refuses) & set(agrees))
    if both:
        raise CommandRefused(f"The patient cannot both refuse and agree to {', '.join(both)}.")
    found = unwanted(attempts, at)
    if channel in found and channel not in set(agrees):
        raise CommandRefused(
            f"The patient has not wanted to be approached by {channel} since {found[channel].date()}. Use another way; "
            f"where they want it again, record that they agree to {channel}."
        )
