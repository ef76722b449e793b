"""
Subscriptions: what asks an EHR to tell of changes, as R4, R4B and R5 write it.

Three flavors. *Classic* (R4, R4B): a search of one type; the server rings at an address that names the type, with
nothing in it, so that no patient's data travels. *Backport* (R4, R4B): a topic, in the shape of the Subscriptions
R5 Backport IG 1.1.0. *Native* (R5): a topic. Topics are asked for ids alone.

A classic criterion names no status: a server judges the new content only, so that what leaves the criterion would
leave without a word (FHIR R4 subscription.html). A Subscription of ours is known by the mark in its ``reason``,
the one element that every version has and every server keeps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from bridge.errors import SourceError
from bridge.fhir.times import format_instant, instant_in

_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
_CHANNELS = "http://terminology.hl7.org/CodeSystem/subscription-channel-type"
_TYPES = "http://hl7.org/fhir/StructureDefinition/"
_KEYS = "urn:bridge:subscription"
_SIGNED_WITH = "https://www.medplum.com/fhir/StructureDefinition/subscription-secret"
_FHIR_JSON = "application/fhir+json"
_MARK = re.compile(r"\((bridge-[0-9a-f]{24})\)")
_CRITERION = re.compile(r"([A-Z][A-Za-z]{1,63})(?:\?.*)?", re.ASCII)


class Flavor(StrEnum):
    """Which of the three ways a Subscription is written in."""

    CLASSIC = "classic"
    BACKPORT = "backport"
    NATIVE = "native"


class State(StrEnum):
    """
    Where a Subscription stands (FHIR subscription-status); ``ABSENT`` is ours: the EHR does not have it.

    ``ACTIVE`` is the server's intention, no proof that anything arrives: HAPI 8.0.0 says so of one that lost
    notifications (seen 2026-11).
    """

    REQUESTED = "requested"
    ACTIVE = "active"
    ERROR = "error"
    OFF = "off"
    ENTERED_IN_ERROR = "entered-in-error"
    ABSENT = "absent"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """
    One Subscription as it should be.

    ``key`` is ours: the id where we may choose it, and the mark. ``types`` are what it tells of, ``about`` is
    the type of a classic one, the topic's canonical address of another. ``filters`` are searches as the server
    writes them (``Task?owner=Organization/1``). ``signing_key`` is what the server has to sign with: Medplum takes it
    in an extension, athenahealth in a header (WebSub's ``X-Hub-Secret``; their documentation, 2024). Endpoint, header
    and key are secret.
    """

    key: str
    flavor: Flavor
    types: tuple[str, ...]
    about: str
    endpoint: str
    header: tuple[str, str] | None = None
    signing_key: str | None = None
    filters: tuple[str, ...] = ()
    heartbeat_seconds: int | None = None

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers that the server is to send, or to read its key from."""
        own = [self.header] if self.header is not None else []
        key = self.signing_key if self.flavor is not Flavor.CLASSIC else None
        return own + ([("X-Hub-Secret", key)] if key is not None else [])

    def digest(self) -> str:
        """Return a hash of what is written, to tell whether it was written as it should be now."""
        return sha256(render(self, own_id=None, ends_at=None)).hexdigest()


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """
    One Subscription as the EHR shows it.

    ``mark`` is the key of one that Bridge made, ``counter`` how many events the server says it has told.
    """

    ref: str
    version: str
    flavor: Flavor
    about: str
    endpoint: str
    state: State
    ends_at: datetime | None = None
    heartbeat_seconds: int | None = None
    mark: str | None = None
    counter: int | None = None

    @property
    def type(self) -> str | None:
        """The one type that a classic Subscription tells of."""
        found = _CRITERION.fullmatch(self.about)
        return found[1] if found is not None and self.flavor is Flavor.CLASSIC else None


def key_of(base: str, connection: str, about: str) -> str:
    """
    Return the key of the Subscription by which *connection* hears of *about* at *base* (where we are reached).

    The secret is no part of it: one that changes is written into the same Subscription.
    """
    return f"bridge-{sha256(f'{base} {connection} {about}'.encode()).hexdigest()[:24]}"


# Writing --------------------------------------------------------------------------------------------------


def render(wanted: Wanted, *, own_id: str | None, ends_at: datetime | None) -> bytes:
    """
    Return the resource, asking to be made active.

    Args:
        own_id: Its id, where we choose it or it has one already.
        ends_at: When the server may forget it, unless it is renewed.
    """
    resource: dict[str, Any] = {"resourceType": "Subscription"}
    if own_id is not None:
        resource["id"] = own_id
    if wanted.flavor is Flavor.BACKPORT:
        resource["meta"] = {"profile": [f"{_BACKPORT}backport-subscription"]}
    resource |= {"status": "requested", "reason": f"Care coordination by Bridge ({wanted.key})"}
    if ends_at is not None:
        resource["end"] = format_instant(ends_at)
    resource |= _native(wanted) if wanted.flavor is Flavor.NATIVE else _criteria(wanted)
    return msgspec.json.encode(resource)


def _criteria(wanted: Wanted) -> dict[str, Any]:
    """Return what R4 and R4B have: a search, or a topic in its place."""
    channel: dict[str, Any] = {"type": "rest-hook", "endpoint": wanted.endpoint}
    if wanted.headers:
        channel["header"] = [": ".join(header) for header in wanted.headers]
    if wanted.flavor is Flavor.CLASSIC:
        key = [{"url": _SIGNED_WITH, "valueString": wanted.signing_key}] if wanted.signing_key is not None else []
        return {**({"extension": key} if key else {}), "criteria": f"{wanted.about}?", "channel": channel}
    if wanted.heartbeat_seconds is not None:
        channel["extension"] = [_extension("heartbeat-period", "valueUnsignedInt", wanted.heartbeat_seconds)]
    channel["payload"] = _FHIR_JSON
    channel["_payload"] = {"extension": [_extension("payload-content", "valueCode", "id-only")]}
    topic: dict[str, Any] = {"criteria": wanted.about}
    if wanted.filters:
        topic["_criteria"] = {"extension": [_extension("filter-criteria", "valueString", f) for f in wanted.filters]}
    return {**topic, "channel": channel}


def _extension(name: str, kind: str, value: object) -> dict[str, object]:
    return {"url": f"{_BACKPORT}backport-{name}", kind: value}


def _native(wanted: Wanted) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "identifier": [{"system": _KEYS, "value": wanted.key}],
        "topic": wanted.about,
        "channelType": {"system": _CHANNELS, "code": "rest-hook"},
        "endpoint": wanted.endpoint,
        "contentType": _FHIR_JSON,
        "content": "id-only",
    }
    filters = [one for text in wanted.filters for one in _filter_by(text)]
    if filters:
        resource["filterBy"] = filters
    if wanted.headers:
        resource["parameter"] = [{"name": name, "value": value} for name, value in wanted.headers]
    if wanted.heartbeat_seconds is not None:
        resource["heartbeatPeriod"] = wanted.heartbeat_seconds
    return resource


def _filter_by(text: str) -> Iterator[dict[str, str]]:
    """Return the search *text* as R5 writes filters."""
    kind, mark, query = text.rpartition("?")
    for name, value in parse_qsl(query, keep_blank_values=True):
        parameter, _, modifier = name.partition(":")
        yield {
            **({"resourceType": f"{_TYPES}{kind}"} if mark else {}),
            "filterParameter": parameter,
            **({"modifier": modifier} if modifier else {}),
            "value": value,
        }


# Reading --------------------------------------------------------------------------------------------------


def read_subscription(raw: bytes) -> Remote:
    """
    Return a Subscription of any version, whoever made it.

    Raises:
        SourceError: It is none, or not one by rest-hook (``unreadable-subscription``).
    """
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _unreadable("it is not JSON") from None
    if not isinstance(found, dict) or found.get("resourceType") != "Subscription":
        raise _unreadable("it is not a Subscription")
    own_id, meta = _text(found.get("id")), _section(found.get("meta"))
    if not own_id:
        raise _unreadable("it has no id")
    mark = _MARK.search(_text(found.get("reason")))
    common: dict[str, Any] = {
        "ref": f"Subscription/{own_id}",
        "version": _text(meta.get("versionId")),
        "state": _state(found.get("status")),
        "ends_at": instant_in(found.get("end")),
        "mark": mark[1] if mark is not None else None,
    }
    return _read_native(found, common) if "topic" in found else _read_criteria(found, common)


def _read_native(found: Mapping[str, Any], common: Mapping[str, Any]) -> Remote:
    if _section(found.get("channelType")).get("code") != "rest-hook":
        raise _unreadable("it is not by rest-hook")
    return Remote(
        flavor=Flavor.NATIVE,
        about=_text(found["topic"]),
        endpoint=_text(found.get("endpoint")),
        heartbeat_seconds=_seconds(found.get("heartbeatPeriod")),
        **common,
    )


def _read_criteria(found: Mapping[str, Any], common: Mapping[str, Any]) -> Remote:
    channel, criteria = _section(found.get("channel")), _text(found.get("criteria"))
    if channel.get("type") != "rest-hook":
        raise _unreadable("it is not by rest-hook")
    is_topic = _CRITERION.fullmatch(criteria) is None
    return Remote(
        flavor=Flavor.BACKPORT if is_topic else Flavor.CLASSIC,
        about=criteria,
        endpoint=_text(channel.get("endpoint")),
        heartbeat_seconds=_heartbeat(channel),
        **common,
    )


def _heartbeat(channel: Mapping[str, Any]) -> int | None:
    extensions = channel.get("extension")
    for one in extensions if isinstance(extensions, list) else ():
        if isinstance(one, dict) and one.get("url") == f"{_BACKPORT}backport-heartbeat-period":
            return _seconds(one.get("valueUnsignedInt"))
    return None


def _state(value: object) -> State:
    """Return the status; one that FHIR does not know is as good as none."""
    try:
        return State(_text(value))
    except ValueError:
        return State.ERROR


def _unreadable(words: str) -> SourceError:
    return SourceError("unreadable-subscription", words)


def _section(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _seconds(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
