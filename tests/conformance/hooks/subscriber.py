"""A subscriber that keeps what it is told, and short ways to subscribe."""

from __future__ import annotations

import json
from typing import Any

import httpx

from conformance.simulator import ManualClock, Reply, Ring, Simulator

from ..plain import Json, a_task

ENDPOINT = "http://127.0.0.1:9/hooks"
TOPIC = "http://ehr.example/SubscriptionTopic/Task"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-"


class Subscriber:
    """A sender that keeps each notification; ``answers`` with a status, or None while it is down."""

    def __init__(self) -> None:
        self.rings: list[Ring] = []
        self.answers: int | None = 204
        self.body = b""

    def __call__(self, ring: Ring) -> Reply | None:
        self.rings.append(ring)
        return None if self.answers is None else Reply(self.answers, self.body)

    def taken(self) -> list[Ring]:
        """Return what came since the last call."""
        rings, self.rings = self.rings, []
        return rings


def classic(criteria: str = "Task?", **channel: Any) -> Json:
    """Return an R4 Subscription by criteria."""
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "test",
        "criteria": criteria,
        "channel": {"type": "rest-hook", "endpoint": ENDPOINT, **channel},
    }


def backport(
    content: str = "id-only", *, filters: tuple[str, ...] = (), heartbeat: int | None = None, most: int = 1
) -> Json:
    """Return an R4 or R4B Subscription to a topic."""
    channel: Json = {
        "type": "rest-hook",
        "endpoint": ENDPOINT,
        "header": ["Authorization: Bearer secret"],
        "payload": "application/fhir+json",
        "_payload": {"extension": [{"url": f"{BACKPORT}payload-content", "valueCode": content}]},
        "extension": [{"url": f"{BACKPORT}max-count", "valuePositiveInt": most}],
    }
    if heartbeat is not None:
        channel["extension"].append({"url": f"{BACKPORT}heartbeat-period", "valueUnsignedInt": heartbeat})
    wanted = [{"url": f"{BACKPORT}filter-criteria", "valueString": each} for each in filters]
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "test",
        "criteria": TOPIC,
        **({"_criteria": {"extension": wanted}} if wanted else {}),
        "channel": channel,
    }


def native(**elements: Any) -> Json:
    """Return an R5 Subscription."""
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "topic": TOPIC,
        "channelType": {"code": "rest-hook"},
        "endpoint": ENDPOINT,
        "content": "id-only",
        "parameter": [{"name": "Authorization", "value": "Bearer secret"}],
        **elements,
    }


class Office:
    """One EHR with one Subscription, its clock and its subscriber."""

    def __init__(self, simulator: Simulator, clock: ManualClock, fhir: httpx.Client) -> None:
        self.simulator, self.clock, self.fhir = simulator, clock, fhir
        self.subscriber = Subscriber()
        simulator.hooks.sender = self.subscriber

    def subscribe(self, subscription: Json) -> str:
        """Create a Subscription, let the server take it up, and return its id."""
        made = self.fhir.post("Subscription", json=subscription)
        assert made.status_code == 201, made.text
        self.passed()
        return str(made.json()["id"])

    def passed(self, **time: float) -> list[Ring]:
        """Let time pass and return what was sent."""
        self.clock.advance(**time)
        self.simulator.deliver()
        return self.subscriber.taken()

    def change(self, id_: str = "t", **elements: Any) -> None:
        """Have the clinic store a Task."""
        self.simulator.put(a_task(id_, **elements))

    def status(self, id_: str) -> str:
        """Return what the Subscription says of itself."""
        return str(self.fhir.get(f"Subscription/{id_}").json()["status"])


def told(ring: Ring) -> Json:
    """Return the status resource of a topic Bundle."""
    status: Json = json.loads(ring.body)["entry"][0]["resource"]
    return status


def counter(ring: Ring) -> int:
    """Return how many events the server says it has told."""
    status = told(ring)
    if status["resourceType"] == "SubscriptionStatus":
        return int(status["eventsSinceSubscriptionStart"])
    parameters = {each["name"]: each for each in status["parameter"]}
    return int(parameters["events-since-subscription-start"]["valueString"])
