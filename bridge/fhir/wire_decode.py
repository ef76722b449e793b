"""
Bytes -> wire struct: strictly at first; where an element has a wrong type, without that element.

Real payloads have a number where FHIR has a string, or an object where it has a list. Most such elements can be
done without, and losing the whole resource for one of them would be worse. A *vital* element cannot: without its
status, its patient or a modifier a resource would be taken for something it is not, so it is refused.
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

MOST_DROPPED = 24
"""A resource with more elements of a wrong type than this is refused (rule ours)."""

_T = TypeVar("_T")
_BAD_JSON = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError)
_AT = re.compile(r" - at `\$(.*)`$", re.DOTALL)
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]", re.ASCII)
_anything = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def decode(raw: bytes, decoder: msgspec.json.Decoder[_T], vital: Collection[str]) -> tuple[_T, list[str]]:
    """
    Return what *raw* holds, and the paths of the elements that were dropped for their type.

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


def _decode_what_can_be(
    raw: bytes, decoder: msgspec.json.Decoder[_T], vital: Collection[str]
) -> tuple[_T, list[str]]:
    dropped: list[str] = []
    try:
        document = _anything.decode(raw)
        while True:
            try:
                return decoder.decode(_encoder.encode(document)), list(dict.fromkeys(dropped))
            except msgspec.ValidationError as error:
                dropped.append(_drop(document, error, vital))
            if len(dropped) > MOST_DROPPED:
                raise SourceError(WRONG_SHAPE, "too many elements have a wrong type")
    except _BAD_JSON as error:
        raise _unreadable(error) from None


def _drop(document: Any, error: msgspec.ValidationError, vital: Collection[str]) -> str:
    """Remove from *document* what *error* is about and return its path without indexes."""
    match = _AT.search(str(error))
    steps: list[str | int] = []
    if match is not None:
        steps = [int(step[2]) if step[2] else step[1] for step in _STEP.finditer(match[1])]
    names = [step for step in steps if isinstance(step, str)]
    path = ".".join(names)
    if "modifierExtension" in names:
        raise SourceError(UNKNOWN_MODIFIER, f"{path} is no list of extensions")
    if not steps or path in vital:
        raise SourceError(WRONG_SHAPE, f"{path or 'the resource'} has a wrong type")
    try:
        parent = document
        for step in steps[:-1]:
            parent = parent[step]
        del parent[steps[-1]]
    except (KeyError, IndexError, TypeError):
        raise SourceError(WRONG_SHAPE, f"{path} has a wrong type") from None
    return path


def _unreadable(error: Exception) -> SourceError:
    return SourceError(UNREADABLE, f"not readable as JSON ({type(error).__name__})")
