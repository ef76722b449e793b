"""A received resource with everything about people blotted out: its shape stays, its content does not."""

from __future__ import annotations

import re

import msgspec

BLOT = "•••"

_SHOWN = frozenset(
    {
        "resourceType",
        "id",
        "versionId",
        "lastUpdated",
        "status",
        "intent",
        "priority",
        "system",
        "url",
        "reference",
        "type",
        "use",
        "fhirVersion",
        "profile",
    }
)
"""Elements that a mapping problem is about and that say nothing about a person by themselves."""
_SHORT = re.compile(r"[A-Za-z0-9\-._~:/#|]{1,200}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def masked(raw: bytes) -> str:
    """
    Return *raw* (JSON) indented, with every value blotted out but those of the elements in ``_SHOWN``.

    Content that is no JSON is not shown at all.
    """
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"not JSON, {len(raw)} bytes"
    return msgspec.json.format(msgspec.json.encode(_masked(value, shown=False)), indent=2).decode()


def _masked(value: object, *, shown: bool) -> object:
    if isinstance(value, dict):
        return {_key(name): _masked(item, shown=name in _SHOWN) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, shown=shown) for item in value]
    if value is None or isinstance(value, bool):
        return value
    return value if shown and isinstance(value, str) and _SHORT.fullmatch(value) else BLOT


def _key(name: str) -> str:
    return name if _NAME.fullmatch(name) else BLOT
