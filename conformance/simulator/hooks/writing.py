"""Notifications as requests, and which answers to them count."""

from __future__ import annotations

import hashlib
import hmac

from conformance.simulator.hooks.habits import Habits
from conformance.simulator.hooks.notices import Event, Notice
from conformance.simulator.hooks.sender import Reply, Ring
from conformance.simulator.hooks.subscription import Wish
from conformance.simulator.wire import FHIR_JSON, FhirError, decode


def classic_ring(subscription: str, wish: Wish, event: Event, habits: Habits) -> Ring:
    """
    Return a classic rest-hook: an empty POST, or the resource.

    HAPI 8.0.0 sends a resource, new or changed, as PUT below the endpoint with ``If-Match``, seen 2026-11.
    """
    version = event.version
    method, url, body, headers = "POST", wish.endpoint, b"", dict(wish.headers)
    if wish.content != "empty":
        body = version.raw
        headers |= {"Content-Type": FHIR_JSON}
        if not habits.classic_post:
            method, url = "PUT", f"{wish.endpoint.rstrip('/')}/{version.reference}"
            headers |= {"If-Match": f'"{version.number}"'}
    return Ring(
        subscription,
        "classic",
        method,
        url,
        _signed(headers, body, wish, habits),
        body,
        (event.number,),
        wish.timeout_seconds or habits.timeout_seconds,
    )


def topic_ring(wish: Wish, notice: Notice, habits: Habits) -> Ring:
    """Return a notification Bundle as a POST to the endpoint."""
    body = notice.bundle()
    return Ring(
        notice.subscription,
        notice.kind,
        "POST",
        wish.endpoint,
        _signed({**wish.headers, "Content-Type": FHIR_JSON}, body, wish, habits),
        body,
        tuple(event.number for event in notice.events),
        wish.timeout_seconds or habits.timeout_seconds,
    )


def is_accepted(ring: Ring, reply: Reply | None, habits: Habits) -> bool:
    """
    Tell whether the subscriber has it.

    HAPI 8.0.0 takes 204 or a Bundle for an answer to a topic Bundle; a 200 with an OperationOutcome, ``{}`` or
    nothing is sent again (HAPI-1814, seen 2026-11).
    """
    if reply is None or not 200 <= reply.status < 300:
        return False
    if ring.kind == "classic" or not habits.bundle_in_answer or reply.status == 204:
        return True
    try:
        body = decode(reply.body)
    except FhirError:
        return False
    return isinstance(body, dict) and body.get("resourceType") == "Bundle"


def _signed(headers: dict[str, str], body: bytes, wish: Wish, habits: Habits) -> dict[str, str]:
    """Add the HMAC of the body: ``sha256=...`` in ``X-Hub-Signature`` (WebSub), bare hex elsewhere."""
    if habits.signature is None or wish.secret is None:
        return headers
    kept = {name: value for name, value in headers.items() if name.lower() != "x-hub-secret"}
    digest = hmac.new(wish.secret.encode(), body, hashlib.sha256).hexdigest()
    prefix = "sha256=" if habits.signature == "X-Hub-Signature" else ""
    return {**kept, habits.signature: f"{prefix}{digest}"}
