"""
Bytes -> wire struct: strictly at first; where an element has a wrong type, mended or without that element.

Real payloads have an object where FHIR has a list (and the reverse), or a number where it has a string. Most
such elements can be done without, and losing the whole resource for one of them would be worse. A *vital*
element cannot: without its status, its patient or a modifier a resource would be taken for something it is
not, so it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from bridge.errors import SourceError

UNREADABLE = "unreadable"
WRONG_SHAPE = "wrong-shape"
UNKNOWN_MODIFIER = "unknown-modifier-extension"

MOST_REPAIRS = 24
"""A resource with more elements of a wrong type than this is refused (rule ours)."""

_T = TypeVar("_T")
_BAD_JSON = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError)
_AT = re.compile(r" - at `\$(.*)`$", re.DOTALL)
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]", re.ASCII)
_anything = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def decode(raw: bytes, decoder: msgspec.json.Decoder[_T], vital: Collection[str]) -> tuple[_T, list[str]]:
    """
    Return what *raw* holds, and what had to be repaired for it, in fixed words.

    Args:
        vital: Paths that must be readable, without indexes: ``status``, ``participant.actor``.

    Raises:
        SourceError: It is no JSON object (``unreadable``), or a vital element has a wrong type
            (``wrong-shape``, ``unknown-modifier-extension``).
    """
    try:
        return decoder.decode(raw), []
    except msgspec.ValidationError:
        return _decode_what_can_be(raw, decoder, vital)
    except _BAD_JSON as error:
        raise _unreadable(error) from None


def _decode_what_can_be(raw: bytes, decoder: msgspec.json.Decoder[_T], vital: Collection[str]) -> tuple[_T, list[str]]:
    repairs: list[str] = []
    try:
        document = _anything.decode(raw)
        while len(repairs) <= MOST_REPAIRS:
            try:
                return decoder.decode(_encoder.encode(document)), list(dict.fromkeys(repairs))
            except msgspec.ValidationError as error:
                repairs.append(_repair(document, str(error), vital))
    except _BAD_JSON as error:
        raise _unreadable(error) from None
    raise SourceError(WRONG_SHAPE, "too many elements have a wrong type")


def _repair(document: Any, complaint: str, vital: Collection[str]) -> str:
    """Mend in *document* what msgspec complains about, else remove it; say which, without indexes."""
    steps = _steps(complaint)
    names = [step for step in steps if isinstance(step, str)]
    path = ".".join(names)
    if "modifierExtension" in names:
        raise SourceError(UNKNOWN_MODIFIER, f"{path} is no list of extensions")
    if not steps:
        raise SourceError(WRONG_SHAPE, "the resource is no JSON object")
    parent = document
    for step in steps[:-1]:
        parent = parent[step]
    found = parent[steps[-1]]
    if isinstance(found, dict) and "array" in _expected(complaint):
        parent[steps[-1]] = [found]
        return f"{path} is one object instead of a list"
    if isinstance(found, list) and len(found) == 1 and isinstance(found[0], dict):
        parent[steps[-1]] = found[0]
        return f"{path} is a list instead of one object"
    if path in vital:
        raise SourceError(WRONG_SHAPE, f"{path} has a wrong type")
    del parent[steps[-1]]
    return f"{path} has a wrong type; left out"


def _steps(complaint: str) -> list[str | int]:
    """Return the path in a msgspec message, such as ``Expected `str`, got `int` - at `$.note[0].text```."""
    match = _AT.search(complaint)
    found = _STEP.finditer(match[1]) if match is not None else ()
    return [int(step[2]) if step[2] else step[1] for step in found]


def _expected(complaint: str) -> str:
    return complaint.partition(",")[0]


def _unreadable(error: Exception) -> SourceError:
    return SourceError(UNREADABLE, f"not readable as JSON ({type(error).__name__})")
