"""Notifications as Bundles: as the guides say, and as HAPI and athenahealth write them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from conformance.simulator.clock import instant
from conformance.simulator.hooks.subscription import Wish
from conformance.simulator.store import Version
from conformance.simulator.wire import Json, encode

_NAMES = uuid.uuid5(uuid.NAMESPACE_URL, "http://ehr.example/notifications")
_PROFILE = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-status-r4"


@dataclass(frozen=True, slots=True)
class Event:
    """One change that a Subscription is told of, with the number that it is told."""

    number: int
    version: Version
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """
    One notification, before it is written.

    Attributes:
        kind: FHIR R5 subscription-notification-type.
        counter: The number of events that the server says it has told.
        base: The server's address; relative references where it is empty.
    """

    subscription: str
    wish: Wish
    status: str
    kind: str
    counter: int
    events: Sequence[Event]
    base: str
    fhir_version: str
    form: str
    at: datetime

    @property
    def native(self) -> bool:
        return self.fhir_version.startswith("5")

    def bundle(self) -> bytes:
        """Return the Bundle."""
        resource = self.status_resource()
        url = f"Subscription/{self.subscription}/$status"
        first: Json = {"fullUrl": f"urn:uuid:{self._uuid()}", "resource": resource}
        if self.form == "hapi":
            first["fullUrl"] = self._uuid()
        else:
            first |= {"request": {"method": "GET", "url": url}, "response": {"status": "200"}}
        entries = [first]
        if self.wish.content != "empty" and self.kind in {"event-notification", "query-event"}:
            entries += [entry for event in self.events for entry in self._entries(event)]
        return encode(
            {
                "resourceType": "Bundle",
                "id": self._uuid(),
                "type": "subscription-notification" if self.native else "history",
                "timestamp": instant(self.at),
                "entry": entries,
            }
        )

    def status_resource(self) -> Json:
        """Return the status alone: Parameters in R4, SubscriptionStatus later and at athenahealth."""
        if self.fhir_version.startswith("4.0") and self.form != "athenahealth":
            return self._parameters()
        status: Json = {
            "resourceType": "SubscriptionStatus",
            "id": self._uuid(),
            "status": self.status,
            "type": self.kind,
            "eventsSinceSubscriptionStart": str(self.counter),
            "subscription": {"reference": self._absolute(f"Subscription/{self.subscription}")},
            "topic": self.wish.topic,
        }
        events = [self._event(event) for event in self._told()]
        return status | ({"notificationEvent": events} if events else {})

    def _parameters(self) -> Json:
        reference = self._absolute(f"Subscription/{self.subscription}")
        parameters: list[Json] = [
            {"name": "subscription", "valueReference": {"reference": reference}},
            {"name": "topic", "valueCanonical": self.wish.topic},
            {"name": "status", "valueCode": self.status},
            {"name": "type", "valueCode": self.kind},
            {"name": "events-since-subscription-start", "valueString": str(self.counter)},
        ]
        parameters += [{"name": "notification-event", "part": self._parts(event)} for event in self._told()]
        return {
            "resourceType": "Parameters",
            "id": self._uuid(),
            "meta": {"profile": [_PROFILE]},
            "parameter": parameters,
        }

    def _told(self) -> Sequence[Event]:
        return self.events if self.kind in {"event-notification", "query-event"} else ()

    def _parts(self, event: Event) -> list[Json]:
        parts: list[Json] = [{"name": "event-number", "valueString": str(event.number)}]
        if self.form == "hapi":
            parts.append({"name": "timestamp", "valueDate": instant(event.at)[:10]})
        else:
            parts.append({"name": "timestamp", "valueInstant": instant(event.at)})
        if self.wish.content != "empty":
            parts.append({"name": "focus", "valueReference": {"reference": self._absolute(event.version.reference)}})
        return parts

    def _event(self, event: Event) -> Json:
        told: Json = {"eventNumber": str(event.number)}
        if self.form != "hapi":
            told["timestamp"] = instant(event.at)
        if self.form == "athenahealth":
            told["id"] = _key(event)
        if self.wish.content != "empty":
            told["focus"] = {"reference": self._absolute(event.version.reference)}
        return told

    def _entries(self, event: Event) -> list[Json]:
        version = event.version
        method = "POST" if version.number == 1 else "DELETE" if version.deleted else "PUT"
        request = {"method": method, "url": version.type if method == "POST" else version.reference}
        entry: Json = {"fullUrl": self._absolute(version.reference), "request": request}
        if self.wish.content == "full-resource" and not version.deleted:
            entry["resource"] = msgspec.Raw(version.raw)
        if self.form != "hapi":
            entry["response"] = {"status": {"POST": "201", "PUT": "200", "DELETE": "204"}[method]}
        return [self._audit(event)] if self.form == "athenahealth" else [entry]

    def _audit(self, event: Event) -> Json:
        key = _key(event)
        resource = {
            "resourceType": "AuditEvent",
            "id": key,
            "recorded": instant(event.at),
            "type": {"code": "rest"},
            "agent": [{"requestor": False}],
            "source": {"observer": {"display": "athenahealth"}},
            "entity": [{"what": {"reference": self._absolute(event.version.reference)}}],
        }
        request = {"method": "GET", "url": f"AuditEvent/{key}"}
        return {"fullUrl": f"urn:uuid:{key}", "resource": resource, "request": request, "response": {"status": "200"}}

    def _absolute(self, reference: str) -> str:
        return reference if self.form == "hapi" or not self.base else f"{self.base}/{reference}"

    def _uuid(self) -> str:
        told = ",".join(event.version.versioned for event in self.events)
        return str(uuid.uuid5(_NAMES, f"{self.subscription} {self.kind} {self.counter} {told} {self.at}"))


def _key(event: Event) -> str:
    return str(uuid.uuid5(_NAMES, event.version.versioned))
