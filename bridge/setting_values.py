"""How single settings may be written, and what is said of those that are not: the types of ``bridge.settings``."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator

from bridge.errors import ConfigError
from bridge.fhir.vendors import PROFILES, profile

Resource = Literal["Task", "ServiceRequest", "Appointment", "MedicationRequest"]
Way = Literal["last-updated", "date", "snapshot", "by-patient", "by-practitioner", "by-location"]
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CONNECTION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_REFERENCE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}|[^|]*\|[^|]+")


def _listed(value: object) -> object:
    """A list may be written as one text with commas, as in an environment variable."""
    if not isinstance(value, str):
        return value
    bare = value.strip().removeprefix("[").removesuffix("]")
    return [part.strip().strip("\"'") for part in bare.split(",") if part.strip()]


def _by_type(value: object) -> object:
    """The type may be written as in an environment variable: ``SERVICEREQUEST``."""
    types = {kind.lower(): kind for kind in get_args(Resource)}
    return (
        {types.get(str(name).lower(), name): said for name, said in value.items()} if isinstance(value, dict) else value
    )


def _base_url(value: object) -> str:
    url = str(value).strip()
    try:
        parts = urlsplit(url)
        fit = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fit = False
    if not fit or re.search(r"[\s\x00-\x1f]", url):
        raise ValueError("expected an http or https URL such as http://127.0.0.1:8080/fhir")
    if parts.username is not None or parts.password is not None:
        raise ValueError("expected a URL without user name and password; use auth, username and password_file")
    if "?" in url or "#" in url:
        raise ValueError("expected a URL without ? or #, such as http://127.0.0.1:8080/fhir")
    return url.rstrip("/")


def _zone(value: object) -> str:
    try:
        ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("expected an IANA time zone such as America/New_York") from None
    return str(value)


def _vendor(value: object) -> str:
    try:
        return profile(str(value)).name
    except ConfigError:
        close = get_close_matches(str(value).lower(), PROFILES, n=1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"expected one of {', '.join(map(repr, PROFILES))}{meant}") from None


def _connection_name(value: str) -> str:
    if not _CONNECTION_NAME.fullmatch(value):
        raise ValueError("expected a connection name of letters, digits, - _ and .")
    return value


def _reference(value: object) -> str:
    if not isinstance(value, str) or not _REFERENCE.fullmatch(value):
        raise ValueError('expected a reference such as "Practitioner/12", or an identifier as "system|value"')
    return value


def _on_roster(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}", value):
        raise ValueError('expected a reference on that EHR such as "Practitioner/12", or "Group/7" for its members')
    return value


LISTED = BeforeValidator(_listed)
BY_TYPE = BeforeValidator(_by_type)
Url = Annotated[str, BeforeValidator(_base_url)]
Zone = Annotated[str, BeforeValidator(_zone)]
Vendor = Annotated[str, BeforeValidator(_vendor)]
ConnectionName = Annotated[str, BeforeValidator(_connection_name)]
Reference = Annotated[str, BeforeValidator(_reference)]
Roster = Annotated[tuple[Annotated[str, BeforeValidator(_on_roster)], ...], LISTED]


_HOST = r"(\[[0-9A-Fa-f:.]+\]|[^@:/?#\[\],]*)(:[0-9]{1,5})?"
DATABASE_PLACE = re.compile(rf"([^@/?#]*@)?{_HOST}(,{_HOST})*(/[^@?#]*)?(\?[^@#]*)?\Z")
"""
What stands behind ``postgresql://``. A password with an @ of its own would be read as part of the host, and told
to whoever hears that there is no such host.
"""
