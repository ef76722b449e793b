"""A world whose EHR keeps Subscriptions, and whose Bridge makes them. It rings only when the test does."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import httpx

from bridge.fhir.notification import Notification, NotificationKind
from bridge.store.rows import Subscribed
from bridge.sync.connector import Connector
from bridge.sync.notify import Doorbell
from bridge.sync.subscribe import LOOK_EVERY, Subscriber
from bridge.wiring import make_subscriber
from tests.unit.sync.world import World, patient

SECRET = "a-secret-of-this-test"
HERE = "https://bridge.example"
HOOK = f"{HERE}/hooks/main/{SECRET}"

Json = dict[str, Any]


class Registry(httpx.BaseTransport):
    """
    Keeps an EHR's Subscriptions in front of the rest of it.

    Each is stored as it comes and stays ``requested`` until ``activate``. ``quotes`` makes it refuse writes and
    quote them, ``loses`` carries out a write and gives no answer.
    """

    def __init__(self, inner: httpx.BaseTransport, *, family: str = "4.0.1", **more: Any) -> None:
        self._inner, self.family = inner, family
        self.own_ids: bool = more.get("own_ids", True)
        self.conditional: bool = more.get("conditional", True)
        self.searchable: bool = more.get("searchable", True)
        self.declared: bool = more.get("declared", True)
        self.operations: tuple[str, ...] = more.get("operations", ())
        self.kept: dict[str, Json] = {}
        self.made = 0
        self.quotes = self.loses = False
        self.status: Callable[[str], Json] = self._status
        self.events: Callable[[str, int, int], Json] = lambda _, since, until: {}
        self.asked_events: list[tuple[int, int]] = []

    def activate(self, state: str = "active") -> None:
        """Say of every Subscription that it is in *state*."""
        for one in self.kept.values():
            one["status"] = state

    def by_hand(self, own_id: str, criteria: str, endpoint: str, **more: Any) -> None:
        """Keep a Subscription that somebody made."""
        channel = {"type": "rest-hook", "endpoint": endpoint}
        self._keep(own_id, {"criteria": criteria, "reason": "by hand", "channel": channel, "status": "active", **more})

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        parts = request.url.path.removeprefix("/fhir/").split("/")
        if parts == ["metadata"]:
            return self._metadata(request)
        if parts[0] != "Subscription":
            return self._inner.handle_request(request)
        if not self.declared:
            return httpx.Response(404, request=request)
        return self._answer(request, *parts[1:])

    def _answer(self, request: httpx.Request, own_id: str = "", operation: str = "") -> httpx.Response:
        if operation:
            return self._operate(request, own_id, operation)
        if request.method in ("POST", "PUT"):
            return self._write(request, own_id)
        if request.method == "DELETE":
            return httpx.Response(204 if self.kept.pop(own_id, None) else 404, request=request)
        if own_id:
            found = self.kept.get(own_id)
            return httpx.Response(200 if found else 404, json=found or {}, request=request)
        return self._bundle(request, list(self.kept.values()))

    def _operate(self, request: httpx.Request, own_id: str, operation: str) -> httpx.Response:
        if own_id not in self.kept or operation.removeprefix("$") not in self.operations:
            return httpx.Response(404, request=request)
        if operation == "$status":
            return httpx.Response(200, json=self.status(own_id), request=request)
        since, until = (int(request.url.params[f"events{end}Number"]) for end in ("Since", "Until"))
        self.asked_events.append((since, until))
        return httpx.Response(200, json=self.events(own_id, since, until), request=request)

    def _status(self, own_id: str) -> Json:
        return {"resourceType": "SubscriptionStatus", "type": "query-status", "status": self.kept[own_id]["status"]}

    def _write(self, request: httpx.Request, own_id: str) -> httpx.Response:
        if self.quotes:
            issue = {"severity": "error", "code": "invalid", "diagnostics": f"unfit: {request.content.decode()}"}
            outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
            return httpx.Response(422, json=outcome, request=request)
        resource = json.loads(request.content)
        wanted = parse_qs(request.headers.get("If-None-Exist", "")).get("url") if self.conditional else None
        same = [one for one in self.kept.values() if wanted and one["channel"]["endpoint"] == wanted[0]]
        if same:
            return self._written(request, 200, same[0])
        if not own_id:
            self.made += 1
            own_id = str(self.made)
        elif own_id not in self.kept and not self.own_ids:
            return httpx.Response(405, request=request)
        created = own_id not in self.kept
        self._keep(own_id, resource)
        if self.loses:
            self.loses = False
            raise httpx.ReadTimeout("no answer", request=request)
        return self._written(request, 201 if created else 200, self.kept[own_id])

    def _keep(self, own_id: str, resource: Json) -> None:
        version = int(self.kept.get(own_id, {}).get("meta", {}).get("versionId", "0")) + 1
        meta = {**resource.get("meta", {}), "versionId": str(version)}
        self.kept[own_id] = {**resource, "resourceType": "Subscription", "id": own_id, "meta": meta}

    def _written(self, request: httpx.Request, status: int, resource: Json) -> httpx.Response:
        headers = {"Location": f"http://ehr.example/fhir/Subscription/{resource['id']}"}
        return httpx.Response(status, json=resource, headers=headers, request=request)

    def _bundle(self, request: httpx.Request, found: list[Json]) -> httpx.Response:
        entries = [{"resource": one, "search": {"mode": "match"}} for one in found]
        bundle = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
        return httpx.Response(200, json=bundle, request=request)

    def _metadata(self, request: httpx.Request) -> httpx.Response:
        answer = self._inner.handle_request(request)
        answer.read()
        statement = json.loads(answer.content)
        statement["fhirVersion"] = self.family
        others = [one for one in statement["rest"][0]["resource"] if one["type"] != "Subscription"]
        interactions = ["read", "create", "update", "delete", *(["search-type"] if self.searchable else [])]
        own: Json = {
            "type": "Subscription",
            "interaction": [{"code": code} for code in interactions],
            "updateCreate": self.own_ids,
            "conditionalCreate": self.conditional,
            "searchParam": [{"name": "url", "type": "uri"}],
            "operation": [{"name": f"${name}", "definition": "http://example.org"} for name in self.operations],
        }
        statement["rest"][0]["resource"] = [*others, own] if self.declared else others
        return httpx.Response(200, json=statement, request=request)


class Ringing(World):
    """An EHR that could ring, a Bridge that listens, and a first poll that is over."""

    def __init__(self, registry: Json | None = None, **connection: Any) -> None:
        self._more = registry or {}
        self.registry: Registry
        self._first = True
        super().__init__(
            **{"subscribe": "auto", "subscribe_url": HERE, "hook_secret": SECRET, "read": ["Task"], **connection}
        )
        self.ehr.put(patient())
        self.sync()

    def way(self) -> httpx.BaseTransport:
        if self._first:
            self.registry, self._first = Registry(super().way(), **self._more), False
        return self.registry

    def new_bridge(self) -> Connector:
        connector = super().new_bridge()
        section = self.settings.connections["main"]
        return dataclasses.replace(connector, subscriber=make_subscriber(connector, section))

    @property
    def subscriber(self) -> Subscriber:
        """What keeps the Subscriptions."""
        assert self.bridge.subscriber is not None
        return self.bridge.subscriber

    def tend(self, minutes: float = LOOK_EVERY.total_seconds() / 60) -> None:
        """Let time pass and look after the Subscriptions once."""
        self.clock.advance(minutes=minutes)
        self.requests.clear()
        self.subscriber.tend()

    def subscribe(self) -> None:
        """Have every Subscription made and active, and what that asks for read."""
        self.tend()
        self.registry.activate()
        self.tend()
        self.bridge.answer()
        self.clock.advance(minutes=5)

    def rows(self) -> list[Subscribed]:
        """Return what is kept of the Subscriptions."""
        with self.store.reading() as tx:
            return tx.subscribed("main")

    @property
    def row(self) -> Subscribed:
        """What is kept of the only one."""
        (row,) = self.rows()
        return row

    @property
    def remote(self) -> Json:
        """The only one as the EHR has it."""
        (found,) = self.registry.kept.values()
        return found

    def hints(self) -> set[str]:
        """Return what is to be read again."""
        with self.store.reading() as tx:
            return {hint.ref for hint in tx.hints("main", 1000)}

    def ring(self, *refs: str, **said: Any) -> None:
        """Ring for *refs*, as the receiver does."""
        notification = Notification(**{"kind": NotificationKind.EVENT, "foci": refs, **said})
        bell = Doorbell(self.store, self.clock)
        bell.ring("main", refs, notification)
        bell.close()
