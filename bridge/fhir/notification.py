"""
Notifications: that something changed at the EHR, in every form that servers send it.

A notification is a hint and no more: what it says of a resource's content is not read, its counter is no cursor.
What is taken from it is which resources to read again. Forms (dates: when seen or published):

- Subscriptions R5 Backport IG 1.1.0 in R4: a ``history`` Bundle whose first entry is a Parameters resource.
- The same in R4B, and athenahealth's in R4: a SubscriptionStatus in its place.
- R5: a ``subscription-notification`` Bundle with a SubscriptionStatus.
- HAPI 8.0.0 (2026-11): event numbers as strings, no timestamps or ``valueDate``, entries without request or
  response, a deletion as an entry that has only a request; builds of 2023 wrote the focus ``Task/Task/1``.
- Older drafts: no events in the status, the resources alone say what changed.
- Aidbox's AidboxSubscriptionStatus, which is a SubscriptionStatus by another name (its documentation, 2026).

What else rings, and how, is ``hook``'s to know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from bridge.errors import SourceError
from bridge.fhir.reference import parse_reference
from bridge.fhir.times import instant_in


class NotificationKind(StrEnum):
    """What a topic notification is (FHIR R5 subscription-notification-type)."""

    HANDSHAKE = "handshake"
    HEARTBEAT = "heartbeat"
    EVENT = "event-notification"
    STATUS = "query-status"
    EVENTS = "query-event"


class Event(msgspec.Struct, frozen=True):
    """
    One event of a notification.

    ``number`` and ``key`` are the server's, for diagnosis: HAPI 8.0.0 gives several events one number, and
    athenahealth numbers within each Bundle. ``focus`` is ``Type/id`` at the connection's own base.
    """

    number: int | None = None
    key: str | None = None
    at: datetime | None = None
    focus: str | None = None


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """
    One topic notification.

    ``counter`` is how many events the server says it has told since the subscription began. ``foci`` are the
    resources to read again, each once. ``elsewhere`` counts references that are not at this connection's base:
    they are never followed. ``complete`` is whether every event named its resource; where not, the streams of
    the subscription have to be polled.
    """

    kind: NotificationKind
    subscription: str | None = None
    topic: str | None = None
    status: str | None = None
    counter: int | None = None
    events: tuple[Event, ...] = ()
    foci: tuple[str, ...] = ()
    elsewhere: int = 0
    complete: bool = True
    errors: tuple[str, ...] = ()


_TWICE = re.compile(r"([A-Z][A-Za-z]+)/(\1/.+)", re.ASCII)
_CODE = re.compile(r"[A-Za-z0-9_.\-]{1,64}", re.ASCII)
_BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError)
_STATUS_TYPES = ("Parameters", "SubscriptionStatus", "AidboxSubscriptionStatus")
_OF_RESOURCES = ("history", "subscription-notification", "collection", "transaction", "batch", "searchset")
_MOST_EVENTS = 10_000
"""A Bundle that tells of more is read as one that tells of everything (rule ours)."""

_AROUND = frozenset({"AuditEvent", "Bundle", "MessageHeader", "OperationOutcome", "Provenance", *_STATUS_TYPES})
"""What is sent around, or about, a resource that changed: where nothing else is named, what changed is not known."""
_ONLY_OF_STATUS = frozenset({"subscription", "notification-event", "events-since-subscription-start"})
_KEY = re.compile(r"[!-~]{1,128}", re.ASCII)
_LARGEST = 10**18


def read_notification(body: bytes, *, base_url: str) -> Notification:
    """
    Return what a notification Bundle says.

    Raises:
        SourceError: It is no notification (``unreadable-notification``); the message has no data of it.
    """
    bundle = _bundle(body)
    return _of_bundle(bundle, base_url)


def _of_bundle(bundle: Mapping[str, Any], base_url: str) -> Notification:
    entries = _entries(bundle)
    for number, entry in enumerate(entries):
        resource = entry.get("resource")
        if isinstance(resource, dict) and _is_status(resource):
            said = _status(resource)
            return _notification(said, [*entries[:number], *entries[number + 1 :]], base_url)
    if bundle.get("type") in _OF_RESOURCES and any(_pointer(entry) for entry in entries):
        return _notification(_Status(NotificationKind.EVENT), entries, base_url)
    raise unreadable("no entry is a subscription's status (Parameters or SubscriptionStatus)")


def read_status(body: bytes, *, base_url: str) -> Notification:
    """
    Return what ``Subscription/id/$status`` answered: a searchset of one status, or the status alone.

    Raises:
        SourceError: It holds no status (``unreadable-notification``).
    """
    document = _document(body)
    if document.get("resourceType") in _STATUS_TYPES:
        return _notification(_status(document), (), base_url)
    return read_notification(body, base_url=base_url)


def read_document(document: object, *, base_url: str) -> Notification:
    """
    Return what a document says: a notification Bundle, a Bundle of changed resources (HAPI with
    ``payload-search-criteria``), a status alone, or the changed resource itself.

    Raises:
        SourceError: It is none of these (``unreadable-notification``).
    """
    if not isinstance(document, dict):
        raise unreadable("the body is not a resource")
    if document.get("resourceType") == "Bundle":
        return _of_bundle(document, base_url)
    if _is_status(document):
        return _notification(_status(document), (), base_url)
    own = _pointer({"resource": document})
    ref = local(own, base_url) if own is not None else None
    if ref is None:
        raise unreadable("the body is neither a notification nor a resource with an id")
    return Notification(kind=NotificationKind.EVENT, foci=(ref,), complete=ref.partition("/")[0] not in _AROUND)


# Reading the Bundle ---------------------------------------------------------------------------------------


def decode(body: bytes) -> object:
    """
    Return the JSON of a body.

    Raises:
        SourceError: It is none (``unreadable-notification``).
    """
    try:
        return msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except _BAD_JSON as error:
        raise unreadable(f"the body is not JSON ({type(error).__name__})") from None


def _document(body: bytes) -> dict[str, Any]:
    document = decode(body)
    if not isinstance(document, dict):
        raise unreadable("the body is not a resource")
    return document


def _bundle(body: bytes) -> dict[str, Any]:
    document = _document(body)
    if document.get("resourceType") != "Bundle":
        raise unreadable("the body is not a Bundle")
    return document


def _entries(bundle: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in _list(bundle.get("entry")) if isinstance(entry, dict)]


def unreadable(words: str) -> SourceError:
    """Return the refusal of what is no notification; *words* repeat nothing of it."""
    return SourceError("unreadable-notification", words)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> int | None:
    """Return a count written as number or string; servers write both."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    return value if isinstance(value, int) and 0 <= value < _LARGEST else None


# The status: Parameters or SubscriptionStatus, as one shape ------------------------------------------------


class _Status(msgspec.Struct, frozen=True):
    kind: str | None
    subscription: Any = None
    topic: str | None = None
    status: str | None = None
    counter: int | None = None
    events: tuple[dict[str, Any], ...] = ()
    errors: tuple[str, ...] = ()


def _is_status(resource: Mapping[str, Any]) -> bool:
    """Whether it is a Subscription's status: Parameters are for much else (a message's, an operation's)."""
    if resource.get("resourceType") != "Parameters":
        return resource.get("resourceType") in _STATUS_TYPES
    given = [one for one in _list(resource.get("parameter")) if isinstance(one, dict)]
    names = {_text(one.get("name")) for one in given}
    kinds = {_text(_value(one)) for one in given if one.get("name") == "type"}
    return not names.isdisjoint(_ONLY_OF_STATUS) or not kinds.isdisjoint(NotificationKind)


def _status(resource: Mapping[str, Any]) -> _Status:
    said = _parameters(resource) if resource["resourceType"] == "Parameters" else resource
    events = tuple(event for event in _list(said.get("notificationEvent")) if isinstance(event, dict))
    return _Status(
        _text(said.get("type")),
        said.get("subscription"),
        _text(said.get("topic")),
        _text(said.get("status")),
        _number(said.get("eventsSinceSubscriptionStart")),
        events,
        tuple(_codes(_list(said.get("error")))),
    )


_NAMES = {
    "subscription": "subscription",
    "topic": "topic",
    "status": "status",
    "type": "type",
    "events-since-subscription-start": "eventsSinceSubscriptionStart",
    "event-number": "eventNumber",
    "timestamp": "timestamp",
    "focus": "focus",
}


def _parameters(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Parameters resource in the shape of a SubscriptionStatus."""
    said: dict[str, Any] = {"notificationEvent": [], "error": []}
    for parameter in _list(resource.get("parameter")):
        if not isinstance(parameter, dict):
            continue
        name, value = parameter.get("name"), _value(parameter)
        if name == "notification-event":
            said["notificationEvent"].append(_event_parts(parameter))
        elif name == "error":
            said["error"].append(value)
        elif isinstance(name, str) and name in _NAMES:
            said[_NAMES[name]] = value
    return said


def _event_parts(parameter: Mapping[str, Any]) -> dict[str, Any]:
    event: dict[str, Any] = {"id": parameter.get("id")}
    for part in _list(parameter.get("part")):
        if isinstance(part, dict) and isinstance(part.get("name"), str) and part["name"] in _NAMES:
            event[_NAMES[part["name"]]] = _value(part)
    return event


def _value(parameter: Mapping[str, Any]) -> Any:
    """Return ``value[x]`` whatever its type is called: HAPI writes instants as ``valueDate``."""
    return next((value for name, value in parameter.items() if name.startswith("value")), None)


def _codes(errors: Sequence[Any]) -> Iterator[str]:
    for error in errors:
        for coding in _list(error.get("coding")) if isinstance(error, dict) else ():
            code = coding.get("code") if isinstance(coding, dict) else None
            if isinstance(code, str) and _CODE.fullmatch(code):
                yield code


# What to read again ----------------------------------------------------------------------------------------


def _notification(said: _Status, others: Sequence[Mapping[str, Any]], base_url: str) -> Notification:
    kind = _kind(said, others)
    events = tuple(_event(event, base_url) for event in said.events[:_MOST_EVENTS])
    named = [event.focus for event in events if event.focus is not None]
    pointed = [_pointer(entry) for entry in others[:_MOST_EVENTS]]
    here = [local(text, base_url) for text in pointed if text is not None]
    foreign = sum(ref is None for ref in here) + sum(
        event.focus is None and _reference(raw.get("focus")) is not None
        for event, raw in zip(events, said.events, strict=False)
    )
    foci = dict.fromkeys([*named, *(ref for ref in here if ref is not None)])
    counts = len(said.events) <= _MOST_EVENTS and len(others) <= _MOST_EVENTS
    kinds = {ref.partition("/")[0] for ref in foci}
    told = all(event.focus is not None for event in events) if events else not kinds <= _AROUND
    return Notification(
        kind=kind,
        subscription=_subscription(said.subscription),
        topic=said.topic,
        status=said.status,
        counter=said.counter,
        events=events,
        foci=tuple(foci),
        elsewhere=foreign,
        complete=kind not in (NotificationKind.EVENT, NotificationKind.EVENTS) or (counts and told),
        errors=said.errors,
    )


def _kind(said: _Status, others: Sequence[object]) -> NotificationKind:
    """Return what is told; a server that leaves the type out tells of events."""
    if said.kind is None and not (said.events or others or said.counter is not None):
        raise unreadable("the subscription's status has no type")
    try:
        return NotificationKind(said.kind or NotificationKind.EVENT)
    except ValueError:
        raise unreadable("the notification is of an unknown type") from None


def _event(event: Mapping[str, Any], base_url: str) -> Event:
    reference = _reference(event.get("focus"))
    return Event(
        _number(event.get("eventNumber")),
        _key(event.get("id")),
        instant_in(event.get("timestamp")),
        local(reference, base_url) if reference is not None else None,
    )


def _key(value: Any) -> str | None:
    """Return the sender's own name for an event, where it is one that can be kept."""
    return value if isinstance(value, str) and _KEY.fullmatch(value) is not None else None


def _reference(value: Any) -> str | None:
    return _text(value.get("reference")) if isinstance(value, dict) else None


def _subscription(value: Any) -> str | None:
    """Return the subscription's id, or its identifier where it is named by that."""
    reference = _reference(value)
    if reference is not None:
        return parse_reference(reference).id or reference
    identifier = value.get("identifier") if isinstance(value, dict) else None
    return _text(identifier.get("value")) if isinstance(identifier, dict) else None


def _pointer(entry: Mapping[str, Any]) -> str | None:
    """Return the reference of the resource that an entry is about: by its request, its content or its address."""
    request = entry.get("request")
    url = _text(request.get("url")) if isinstance(request, dict) else None
    if url is not None and parse_reference(url).id is not None:
        return url
    resource = entry.get("resource")
    if isinstance(resource, dict):
        kind, own_id = _text(resource.get("resourceType")), _text(resource.get("id"))
        if kind is not None and own_id is not None:
            return f"{kind}/{own_id}"
    address = _text(entry.get("fullUrl"))
    return address if address is not None and parse_reference(address).id is not None else None


def local(reference: str, base_url: str) -> str | None:
    """Return ``Type/id`` where *reference* is at our base (HAPI builds of 2023 wrote the type twice), else ``None``."""
    twice = _TWICE.fullmatch(reference)
    return parse_reference(twice[2] if twice else reference, base_url=base_url).ref
