"""
The route plan: for each thing we want to be true in an EHR, the way this EHR lets us say it.

Made from what the server declares (CapabilityStatement), its vendor profile and the connection's switches, and
shown before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bridge.cases.intents import IntentKind
from bridge.fhir.capability import Capability
from bridge.fhir.vendors import VendorProfile


class How(StrEnum):
    """The ways to say something."""

    PUT_OWN_ID = "put-own-id"
    """PUT to an id we choose: repeating it cannot make a second one."""
    CONDITIONAL_CREATE = "conditional-create"
    """Search by our identifier, then POST with ``If-None-Exist``."""
    UPDATE = "update"
    """PUT over the version we read, with ``If-Match``."""
    NOT_WRITABLE = "not-writable"
    """This EHR offers no safe way."""


@dataclass(frozen=True)
class Route:
    """How one kind of intent is written, and why that way, in words for IT."""

    how: How
    why: str


RoutePlan = Mapping[IntentKind, Route]


def route_plan(capability: Capability, profile: VendorProfile, *, writes: bool = True) -> RoutePlan:
    """Return the way for every kind of intent; one without a safe way is ``not-writable``, with the reason."""
    if not writes:
        off = Route(How.NOT_WRITABLE, "writing is switched off for this connection")
        return dict.fromkeys(IntentKind, off)
    task, message = _create(capability, profile, "Task"), _create(capability, profile, "Communication")
    if task.how is not How.NOT_WRITABLE and not capability.supports("Task", "update"):
        task = Route(How.NOT_WRITABLE, "the server declares no update of Task: its status could not be kept true")
    return {
        IntentKind.COORDINATION_TASK: task,
        IntentKind.SOURCE_TASK: _update(capability),
        IntentKind.STATUS_MESSAGE: message,
        IntentKind.OUTREACH_RECORD: message,
        IntentKind.RETRACTION: task,
    }


def _create(capability: Capability, profile: VendorProfile, kind: str) -> Route:
    declared = capability.of(kind)
    if declared.update_create and profile.own_ids and capability.supports(kind, "update"):
        return Route(How.PUT_OWN_ID, f"the server declares updateCreate for {kind}")
    if not capability.supports(kind, "create"):
        return Route(How.NOT_WRITABLE, f"the server declares no create of {kind}")
    if declared.conditional_create and "identifier" in declared.search_params:
        return Route(How.CONDITIONAL_CREATE, f"the server declares conditionalCreate for {kind}")
    if "identifier" in declared.search_params:
        return Route(
            How.CONDITIONAL_CREATE,
            f"the server can search {kind} by identifier; without conditionalCreate we look before every create",
        )
    return Route(How.NOT_WRITABLE, f"the server offers no way to find our {kind} again: a repeat could double it")


def _update(capability: Capability) -> Route:
    if capability.supports("Task", "read") and capability.supports("Task", "update"):
        return Route(How.UPDATE, "the server declares read and update of Task")
    return Route(How.NOT_WRITABLE, "the server declares no update of Task")
