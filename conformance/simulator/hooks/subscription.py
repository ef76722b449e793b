"""A Subscription as its resource says it, in each of the forms of R4, R4B and R5."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from conformance.simulator.clock import micros
from conformance.simulator.dates import parse_span
from conformance.simulator.options import Options
from conformance.simulator.parameters import PARAMETERS
from conformance.simulator.query import Query, parse_query
from conformance.simulator.search import fits
from conformance.simulator.store import Version
from conformance.simulator.wire import FhirError, Json

TOPIC_BASE = "http://ehr.example/SubscriptionTopic/"
TOPIC_TYPES = ("Appointment", "Communication", "MedicationRequest", "Patient", "ServiceRequest", "Task")
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-"
_MEDPLUM_SECRET = "https://www.medplum.com/fhir/StructureDefinition/subscription-secret"  # noqa: S105
_CONTENTS = frozenset({"empty", "id-only", "full-resource"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """
    What a Subscription asks for.

    Attributes:
        topic: Canonical of its topic; None for a classic one.
        watches: One query for each filter, by resource type; every one of a type's has to fit.
        content: ``empty``, ``id-only`` or ``full-resource``; of a classic one, whether it carries a payload.
        ends_at: When it is over, in microseconds since 1970, or None.
    """

    topic: str | None
    watches: dict[str, list[Query]]
    endpoint: str
    headers: dict[str, str] = field(default_factory=dict)
    content: str = "empty"
    heartbeat_seconds: int | None = None
    timeout_seconds: float | None = None
    max_count: int = 1
    ends_at: int | None = None
    secret: str | None = None

    def wants(self, version: Version, before: Version | None, now: datetime) -> bool:
        """
        Tell whether it is to be told of *version*.

        A classic one is judged on the new content alone, so nothing is told of a deletion or of what leaves the
        criteria (FHIR R4 subscription.html); a topic's filters look at the content before a deletion.
        """
        judged = version if not version.deleted else before
        if version.type not in self.watches or judged is None or judged.deleted:
            return False
        if version.deleted and self.topic is None:
            return False
        return all(fits(judged, query, micros(now)) for query in self.watches[version.type])


def read_wish(resource: Json, options: Options) -> Wish:
    """
    Read a Subscription.

    Raises:
        FhirError: 422, this server cannot do what it asks for.
    """
    try:
        if "topic" in resource:
            return _native(resource, options)
        channel = resource["channel"]
        if channel["type"] != "rest-hook":
            raise FhirError(422, "not-supported", f"Channel type {channel['type']!r} is not supported")
        criteria: str = resource["criteria"]
        if urlsplit(criteria).scheme in {"http", "https"}:
            return _backport(resource, channel, options)
        return _classic(resource, channel, criteria, options)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FhirError(422, "invalid", f"The Subscription cannot be read: {error!r}") from error


def _classic(resource: Json, channel: Json, criteria: str, options: Options) -> Wish:
    type_, _, query = criteria.partition("?")
    return Wish(
        topic=None,
        watches={type_: [_query(type_, query, options)]},
        endpoint=_endpoint(channel["endpoint"]),
        headers=dict(_header(line) for line in channel.get("header", [])),
        content="full-resource" if channel.get("payload") else "empty",
        ends_at=_ends_at(resource),
        secret=_extension(resource, _MEDPLUM_SECRET, "valueString"),
    )


def _backport(resource: Json, channel: Json, options: Options) -> Wish:
    content = _extension(channel.get("_payload", {}), f"{BACKPORT}payload-content", "valueCode")
    filters = [
        each["valueString"]
        for each in resource.get("_criteria", {}).get("extension", [])
        if each.get("url") == f"{BACKPORT}filter-criteria"
    ]
    headers = dict(_header(line) for line in channel.get("header", []))
    return Wish(
        topic=resource["criteria"],
        watches=_watches(resource["criteria"], [_split_filter(text) for text in filters], options),
        endpoint=_endpoint(channel["endpoint"]),
        headers=headers,
        content=_content(content),
        heartbeat_seconds=_extension(channel, f"{BACKPORT}heartbeat-period", "valueUnsignedInt"),
        timeout_seconds=_extension(channel, f"{BACKPORT}timeout", "valueUnsignedInt"),
        max_count=_extension(channel, f"{BACKPORT}max-count", "valuePositiveInt") or 1,
        ends_at=_ends_at(resource),
        secret=next((value for name, value in headers.items() if name.lower() == "x-hub-secret"), None),
    )


def _native(resource: Json, options: Options) -> Wish:
    if resource["channelType"]["code"] != "rest-hook":
        raise FhirError(422, "not-supported", "Only the channel type rest-hook is supported")
    filters = [
        (each.get("resourceType", "").rpartition("/")[2], f"{each['filterParameter']}={each['value']}")
        for each in resource.get("filterBy", [])
    ]
    return Wish(
        topic=resource["topic"],
        watches=_watches(resource["topic"], filters, options),
        endpoint=_endpoint(resource["endpoint"]),
        headers={each["name"]: each["value"] for each in resource.get("parameter", [])},
        content=_content(resource.get("content")),
        heartbeat_seconds=resource.get("heartbeatPeriod"),
        timeout_seconds=resource.get("timeout"),
        max_count=resource.get("maxCount") or 1,
        ends_at=_ends_at(resource),
    )


def _watches(topic: str, filters: list[tuple[str, str]], options: Options) -> dict[str, list[Query]]:
    """Return what a topic with filters watches; a topic is known by the resource type at its end."""
    name = topic.partition("|")[0].rstrip("/").rpartition("/")[2].lower()
    types = [type_ for type_ in TOPIC_TYPES if type_.lower() == name]
    if not types:
        raise FhirError(422, "not-found", f"No topic {topic}; known: {', '.join(TOPIC_TYPES)} below {TOPIC_BASE}")
    return {type_: [_query(type_, query, options) for of, query in filters if of in {"", type_}] for type_ in types}


def _split_filter(text: str) -> tuple[str, str]:
    """Split a filter in the forms of the field: ``Task?owner=x``, ``Task.owner=x`` and ``owner=x``."""
    for mark in ("?", "."):
        type_, found, query = text.partition(mark)
        if found and type_ in PARAMETERS:
            return type_, query
    return "", text


def _query(type_: str, text: str, options: Options) -> Query:
    if type_ not in PARAMETERS:
        raise FhirError(422, "not-supported", f"Criteria name no resource type of this server: {type_!r}")
    try:
        return parse_query(type_, parse_qsl(text), options)
    except FhirError as error:
        raise FhirError(422, error.code, f"Criteria: {error.diagnostics}") from error


def _endpoint(url: str) -> str:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise FhirError(422, "invalid", "The endpoint is no http or https address")
    return url


def _content(code: object) -> str:
    if code not in _CONTENTS:
        raise FhirError(422, "required", "The payload content must be empty, id-only or full-resource")
    return str(code)


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


def _ends_at(resource: Json) -> int | None:
    return parse_span(resource["end"])[0] if "end" in resource else None


def _extension(element: Json, url: str, value: str) -> Any:
    return next((each.get(value) for each in element.get("extension", []) if each.get("url") == url), None)
