"""JSON Patch (RFC 6902) on plain JSON values."""

from __future__ import annotations

import copy
from typing import Any

from conformance.simulator.wire import FhirError, Json


def apply_patch(resource: Json, operations: object) -> Json:
    """
    Return *resource* with all *operations* applied; the argument is left as it was.

    Raises:
        FhirError: 400, when an operation is malformed, its path is not there, or a ``test`` fails. HAPI 8.0.0
            answers a failed ``test`` with 400 too.
    """
    if not isinstance(operations, list):
        raise FhirError(400, "structure", "A JSON Patch is an array of operations")
    document = copy.deepcopy(resource)
    for number, operation in enumerate(operations):
        try:
            document = _apply(document, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise FhirError(400, "processing", f"JSON Patch operation {number} failed: {error}") from error
    return document


def _apply(document: Any, operation: Json) -> Any:
    path = operation["path"]
    match operation["op"]:
        case "test":
            if _get(document, path) != operation["value"]:
                raise ValueError(f"test at {path} does not hold")
        case "add":
            document = _add(document, path, operation["value"])
        case "remove":
            _remove(document, path)
        case "replace":
            _get(document, path)
            _remove(document, path)
            document = _add(document, path, operation["value"])
        case "move":
            document = _add(document, path, _remove(document, operation["from"]))
        case "copy":
            document = _add(document, path, copy.deepcopy(_get(document, operation["from"])))
        case unknown:
            raise ValueError(f"unknown op {unknown!r}")
    return document


def _keys(path: str) -> list[str]:
    if path and not path.startswith("/"):
        raise ValueError(f"path {path!r} does not start with /")
    return [key.replace("~1", "/").replace("~0", "~") for key in path.split("/")[1:]]


def _step(value: Any, key: str) -> Any:
    return value[int(key)] if isinstance(value, list) else value[key]


def _get(document: Any, path: str) -> Any:
    for key in _keys(path):
        document = _step(document, key)
    return document


def _parent(document: Any, path: str) -> tuple[Any, str]:
    *way, last = _keys(path)
    for key in way:
        document = _step(document, key)
    return document, last


def _add(document: Any, path: str, value: Any) -> Any:
    if path == "":
        return value
    parent, key = _parent(document, path)
    if isinstance(parent, list):
        place = len(parent) if key == "-" else int(key)
        if not 0 <= place <= len(parent):
            raise IndexError(f"index {key} is outside the array")
        parent.insert(place, value)
    else:
        parent[key] = value
    return document


def _remove(document: Any, path: str) -> Any:
    parent, key = _parent(document, path)
    return parent.pop(int(key)) if isinstance(parent, list) else parent.pop(key)
