"""
Every status code of the four resources, and its one effect on the work.

Codes: FHIR R4 4.0.1 (R4B 4.3.0 is the same) task-status, request-status, appointmentstatus and
medicationrequest-status; R5 5.0.0 adds ``ended``. What each means for coordination is ours. A code that is not
here is parked, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from bridge.cases.snapshot import Effect


class Meaning(NamedTuple):
    """What a status code does to a case, and why in one line."""

    effect: Effect
    why: str


STATUS_TABLE: Mapping[str, Mapping[str, Meaning]] = {
    "Task": {
        "draft": Meaning(Effect.DRAFTED, "Not yet handed to anybody."),
        "requested": Meaning(Effect.ASKED, "Somebody is asked to do it."),
        "received": Meaning(Effect.ASKED, "The performer has it, but has not said yes."),
        "accepted": Meaning(Effect.ACCEPTED, "The performer said yes."),
        "rejected": Meaning(Effect.DECLINED, "The performer said no: someone else must be found."),
        "ready": Meaning(Effect.ACCEPTED, "Acceptance was a given; it may begin."),
        "cancelled": Meaning(Effect.CANCELLED, "Called off before it was done."),
        "in-progress": Meaning(Effect.UNDER_WAY, "Being done."),
        "on-hold": Meaning(Effect.PAUSED, "Waits; the status reason says for what."),
        "failed": Meaning(Effect.FAILED, "Tried without success."),
        "completed": Meaning(Effect.DONE, "Done; the outputs prove it."),
        "entered-in-error": Meaning(Effect.VOID, "Should never have existed."),
    },
    "ServiceRequest": {
        "draft": Meaning(Effect.DRAFTED, "Not signed: no work yet."),
        "active": Meaning(Effect.ASKED, "Ordered: it has to happen."),
        "on-hold": Meaning(Effect.PAUSED, "Suspended by whoever ordered it."),
        "revoked": Meaning(Effect.CANCELLED, "Withdrawn by whoever ordered it."),
        "completed": Meaning(Effect.DONE, "What was ordered has happened."),
        "entered-in-error": Meaning(Effect.VOID, "Should never have existed."),
        "unknown": Meaning(Effect.UNCLEAR, "The source does not know: a person must look."),
    },
    "Appointment": {
        "proposed": Meaning(Effect.PROPOSED, "Suggested; nobody agreed to a time."),
        "pending": Meaning(Effect.AWAITING_REPLIES, "Some participants have not agreed yet."),
        "booked": Meaning(Effect.BOOKED, "Agreed by all."),
        "arrived": Meaning(Effect.ARRIVED, "The patient is there."),
        "fulfilled": Meaning(Effect.ATTENDED, "An encounter took over; the report is still to come."),
        "cancelled": Meaning(Effect.VISIT_CANCELLED, "Called off: is it still needed?"),
        "noshow": Meaning(Effect.MISSED, "The patient did not come: find out why."),
        "entered-in-error": Meaning(Effect.VOID, "Should never have existed."),
        "checked-in": Meaning(Effect.ARRIVED, "The patient is there and registered."),
        "waitlist": Meaning(Effect.WAITLISTED, "No free slot yet."),
    },
    "MedicationRequest": {
        "active": Meaning(Effect.PRESCRIBED, "Signed and in force: work only when it runs out."),
        "on-hold": Meaning(Effect.PAUSED, "Suspended; the status reason says why."),
        "cancelled": Meaning(Effect.CANCELLED, "Withdrawn before anything was given."),
        "completed": Meaning(Effect.DONE, "All that was ordered was given."),
        "entered-in-error": Meaning(Effect.VOID, "Should never have existed."),
        "stopped": Meaning(Effect.CANCELLED, "Ended early, after some was given."),
        "draft": Meaning(Effect.DRAFTED, "Waits for a signature."),
        "unknown": Meaning(Effect.UNCLEAR, "The source does not know: a person must look."),
        "ended": Meaning(Effect.DONE, "R5: given as planned, or its time is over."),
    },
}

EFFECTS: Mapping[str, Mapping[str, Effect]] = MappingProxyType(
    {kind: {code: meaning.effect for code, meaning in codes.items()} for kind, codes in STATUS_TABLE.items()}
)
"""The table without its explanations, for looking a code up."""
