"""
Vendors' own events: what clouds send where others have Subscriptions. As with those, only the names are taken.

- Azure Health Data Services by Event Grid: one event or an array of them, in Event Grid's schema or as CloudEvents 1.0
  (Microsoft's documentation, 2022): ``data`` names account, type and id.
- Google Cloud Healthcare by Pub/Sub push: an envelope whose ``data`` is, in base64, the resource or no more than its
  name; large or busy stores send the name whatever was asked for (Google's documentation, 2026).
- Any other CloudEvent (1.0) whose ``data`` is a FHIR resource or a notification.

Event Grid sends nothing before its address has answered a question (``validation_code``).
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

_VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"
_CODE = re.compile(r"[A-Za-z0-9\-]{1,128}", re.ASCII)
_NAME = re.compile(r"projects/[^\s?#]{1,1024}/fhirStores/[^/\s?#]{1,256}/fhir/[A-Z][^\s?#]{1,256}", re.ASCII)


class Told(msgspec.Struct, frozen=True):
    """
    What one event is about.

    Args:
        url: The resource's address, where the event names it.
        document: The resource or Bundle that it carries.
    """

    url: str | None = None
    document: Mapping[str, Any] | None = None


def read_events(document: object, base_url: str) -> list[Told] | None:
    """Return what *document* tells, an empty ``Told`` for an event that is not understood; ``None`` if it is none."""
    if isinstance(document, list):
        events = [_event(one, base_url) for one in document]
        return [one or Told() for one in events] if any(one is not None for one in events) else None
    one = _event(document, base_url)
    return None if one is None else [one]


def read_name(text: bytes, base_url: str) -> str | None:
    """Return the address of a resource that Google names: alone, where Pub/Sub sends without an envelope."""
    name = text.strip().decode("ascii", "replace")
    if _NAME.fullmatch(name) is None:
        return None
    parts = urlsplit(base_url)
    version, mark, _ = parts.path.lstrip("/").partition("/projects/")
    return f"{parts.scheme}://{parts.netloc}/{version}/{name}" if mark else f"https://{name}"


def validation_code(document: object) -> str | None:
    """Return the code that Event Grid wants to have back before it sends anything (its documentation, 2022)."""
    first = document[0] if isinstance(document, list) and document else None
    if not isinstance(first, dict) or first.get("eventType") != _VALIDATION:
        return None
    data = first.get("data")
    code = data.get("validationCode") if isinstance(data, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) is not None else None


def _event(event: object, base_url: str) -> Told | None:
    if not isinstance(event, dict) or "resourceType" in event:
        return _azure(event) if isinstance(event, dict) else None
    if isinstance(event.get("message"), dict) and "subscription" in event:
        return _pushed(event["message"], base_url)
    if "specversion" not in event and "eventType" not in event:
        return None
    data = event.get("data")
    if data is None and isinstance(event.get("data_base64"), str):
        data = _json(_plain(event["data_base64"]))
    if not isinstance(data, dict):
        return Told()
    return _azure(data) or Told(document=data)


def _azure(data: Mapping[str, Any]) -> Told | None:
    """Return the resource that Azure names; its binary CloudEvents are this alone."""
    account, kind, own_id = (data.get(name) for name in ("resourceFhirAccount", "resourceType", "resourceFhirId"))
    if not (isinstance(account, str) and isinstance(kind, str) and isinstance(own_id, str)):
        return None
    return Told(url=f"https://{account}/{kind}/{own_id}")


def _pushed(message: Mapping[str, Any], base_url: str) -> Told:
    body = _plain(message.get("data"))
    name = read_name(body, base_url)
    if name is not None:
        return Told(url=name)
    document = _json(body)
    return Told(document=document) if isinstance(document, dict) else Told()


def _plain(text: object) -> bytes:
    try:
        return b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        return b""


def _json(body: bytes) -> Mapping[str, Any] | Sequence[Any] | None:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    return document if isinstance(document, dict | list) else None
