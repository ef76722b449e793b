"""References inside a resource: finding and rewriting them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from conformance.simulator.wire import Json


def references(value: object) -> Iterator[Json]:
    """Yield every object below *value* that has a literal ``reference``."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value
        for item in value.values():
            if isinstance(item, (dict, list)):
                yield from references(item)


def rewrite(resource: Json, targets: Mapping[str, str]) -> None:
    """Replace, in place, each literal reference that *targets* knows (FHIR R4 http.html#trules)."""
    for element in references(resource):
        element["reference"] = targets.get(element["reference"], element["reference"])


def local_targets(resource: Json) -> Iterator[tuple[str, str]]:
    """Yield (type, id) of each relative reference; contained, absolute and conditional ones are not local."""
    for element in references(resource):
        type_, slash, id_ = element["reference"].partition("/_history/")[0].rpartition("/")
        if slash and ":" not in type_ and "/" not in type_ and "?" not in element["reference"]:
            yield type_, id_
