"""What may turn the meaning of a resource round: refused unless Bridge understands it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from bridge.errors import SourceError
from bridge.fhir import wire
from bridge.mappers.verdict import Why

UNDERSTOOD_MODIFIERS: frozenset[str] = frozenset()
"""URLs of modifier extensions Bridge understands: none yet. Any other may negate the resource (FHIR R4
extensibility.html#modifierExtension: do not process without understanding it)."""

_LIKE_A_DEFINITION = re.compile(r"https?://[A-Za-z0-9.\-/_]{1,200}", re.ASCII)


def refuse_modifiers(resource: wire.Resource | wire.Named, where: str = "") -> None:
    """
    Refuse what turns the meaning of a resource round without Bridge knowing how.

    Raises:
        SourceError: It names implicitRules, or carries an unknown modifierExtension.
    """
    if resource.implicitRules:
        raise SourceError(Why.IMPLICIT_RULES, f"implicitRules{where} names rules that Bridge does not know")
    if resource.modifierExtension:
        _refuse(resource, where)


def refuse_in(parts: Iterable[wire.Backbone | None], where: str) -> None:
    """
    Refuse unknown modifier extensions in parts of a resource.

    Raises:
        SourceError: One of them carries an unknown modifierExtension.
    """
    for part in parts:
        if part is not None and part.modifierExtension:
            _refuse(part, f" in {where}")


def _refuse(part: wire.Backbone, where: str) -> None:
    extensions: Any = part.modifierExtension
    if isinstance(extensions, list):
        urls = [extension.get("url") if isinstance(extension, dict) else None for extension in extensions]
        if all(isinstance(url, str) and url in UNDERSTOOD_MODIFIERS for url in urls):
            return
    else:
        urls = []
    shown = next((f" {url}" for url in urls if isinstance(url, str) and _LIKE_A_DEFINITION.fullmatch(url)), "")
    raise SourceError(Why.UNKNOWN_MODIFIER, f"the modifierExtension{shown}{where} is not known to Bridge")
