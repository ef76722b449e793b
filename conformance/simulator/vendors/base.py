"""What an EHR by name is made of, and short ways to write its surface and its rules for writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from conformance.simulator.options import Options
from conformance.simulator.surface import Rule, Surface, TypeSurface
from conformance.simulator.wire import FhirError, Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """
    One EHR by name.

    Attributes:
        says: What is particular about it, in one line.
        source: Where that is documented or was seen.
        options: Options of the server that differ from HAPI's.
        faults: Its habits, as specs of faults that are on from the start.
        surface: What it shows; None for everything.
    """

    name: str
    title: str
    says: str
    source: str
    options: Mapping[str, object] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    surface: Surface | None = None

    def apply(self, options: Options) -> None:
        """Change *options* to this EHR's."""
        for name, value in self.options.items():
            place: object = options
            *way, last = name.split("__")
            for step in way:
                place = getattr(place, step)
            setattr(place, last, value)
        if self.surface is not None:
            options.surface = self.surface


def shows(
    interactions: str,
    parameters: str = "",
    *,
    needs: tuple[frozenset[str], ...] = (),
    code: str | None = None,
    writes: tuple[Rule, ...] = (),
) -> TypeSurface:
    """Return a type's surface from words: ``search`` stands for ``search-type``; ``_id`` can always be searched."""
    codes = frozenset({"search": "search-type"}.get(word, word) for word in interactions.split())
    known = frozenset(parameters.split()) | {"_id"}
    return TypeSurface(interactions=codes, parameters=known, needs=needs, needs_code=code, writes=writes)


def people(*, parameters: str = "") -> dict[str, TypeSurface]:
    """Return those who take part, as nearly every EHR shows them: to read, and to search by name or identifier."""
    named = shows("read search", f"identifier name family given {parameters}")
    return {
        "Patient": shows("read search", f"identifier family given name birthdate gender phone {parameters}"),
        "Practitioner": named,
        "PractitionerRole": shows("read search", f"practitioner organization specialty {parameters}"),
        "Organization": shows("read search", f"identifier name {parameters}"),
        "Location": shows("read search", f"identifier name {parameters}"),
        "RelatedPerson": shows("read search", f"patient {parameters}"),
        "CareTeam": shows("read search", f"patient status {parameters}"),
        "Encounter": shows("read search", f"patient date status {parameters}"),
    }


def element_is(element: str, *allowed: str, status: int = 422) -> Rule:
    """Return a rule: what is written has one of these codes in *element*."""

    def check(method: str, before: Json | None, after: Json | None) -> None:
        if after is not None and after.get(element) not in allowed:
            raise FhirError(status, "business-rule", f"{element} must be one of: {', '.join(allowed)}")

    return check


def needs_elements(*elements: str) -> Rule:
    """Return a rule: these elements are there."""

    def check(method: str, before: Json | None, after: Json | None) -> None:
        missing = [element for element in elements if after is not None and not after.get(element)]
        if missing:
            raise FhirError(422, "required", f"missing: {', '.join(missing)}")

    return check


def refuses_elements(*elements: str) -> Rule:
    """Return a rule: these elements are not there."""

    def check(method: str, before: Json | None, after: Json | None) -> None:
        found = [element for element in elements if after is not None and element in after]
        if found:
            raise FhirError(422, "not-supported", f"not supported: {', '.join(found)}")

    return check


def refers_to(element: str, *types: str) -> Rule:
    """Return a rule: every reference in *element* is to one of *types*."""

    def check(method: str, before: Json | None, after: Json | None) -> None:
        value = (after or {}).get(element, [])
        for each in value if isinstance(value, list) else [value]:
            type_ = str(each.get("reference", "")).rpartition("/")[0].rpartition("/")[2]
            if type_ not in types:
                raise FhirError(422, "business-rule", f"{element} must refer to: {', '.join(types)}")

    return check


def changes_only(*elements: str) -> Rule:
    """Return a rule: a change of what is there touches no other elements."""

    def check(method: str, before: Json | None, after: Json | None) -> None:
        if before is None or after is None:
            return
        names = (before.keys() | after.keys()) - {"meta", *elements}
        changed = sorted(name for name in names if before.get(name) != after.get(name))
        if changed:
            raise FhirError(422, "not-supported", f"cannot be changed: {', '.join(changed)}")

    return check


def on_create(rule: Rule) -> Rule:
    """Return *rule*, for creates alone."""

    def check(method: str, before: Json | None, after: Json | None) -> None:
        if before is None:
            rule(method, before, after)

    return check


def on_change(rule: Rule) -> Rule:
    """Return *rule*, for changes of what is there alone."""

    def check(method: str, before: Json | None, after: Json | None) -> None:
        if before is not None:
            rule(method, before, after)

    return check
