"""The CapabilityStatement: what this server does with its present options, and nothing else."""

from __future__ import annotations

from conformance.simulator.clock import instant
from conformance.simulator.ehr import Ehr
from conformance.simulator.hooks.subscription import TOPIC_BASE, TOPIC_TYPES
from conformance.simulator.options import Options
from conformance.simulator.parameters import COMMON, PARAMETERS, Kind
from conformance.simulator.surface import Surface, TypeSurface
from conformance.simulator.wire import Json

_INTERACTIONS = (
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
)
_TOPIC = (
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
)
_OPERATIONS = "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription"
_SYSTEM = ("transaction", "batch", "history-system")


def capability_statement(ehr: Ehr, base: str) -> Json:
    """Return the CapabilityStatement for *base*."""
    surface = ehr.surface
    types = sorted(PARAMETERS if surface is None else PARAMETERS.keys() & surface.types.keys())
    system = [code for code in _SYSTEM if surface is None or code in surface.system]
    rest: Json = {"mode": "server", "resource": [_resource(type_, ehr.options, surface) for type_ in types]}
    if system:
        rest["interaction"] = [{"code": code} for code in system]
    if ehr.options.authorization is not None:
        rest["security"] = {"description": "All but this needs the agreed Authorization header."}
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(ehr.clock()),
        "kind": "instance",
        "software": _software(surface),
        "implementation": {"description": "Simulated EHR with synthetic data", "url": base},
        "fhirVersion": ehr.options.fhir_version,
        "format": ["application/fhir+json", "json"],
        "patchFormat": ["application/json-patch+json"],
        "rest": [rest],
    }


def _software(surface: Surface | None) -> Json:
    if surface is None:
        return {"name": "Bridge simulated EHR"}
    name, version = surface.software
    return {"name": name, "version": f"{version} (simulated)"}


def _resource(type_: str, options: Options, surface: Surface | None) -> Json:
    here = surface.types[type_] if surface is not None else None
    interactions = [code for code in _INTERACTIONS if here is None or code in here.interactions]
    resource: Json = {
        "type": type_,
        "interaction": [{"code": code} for code in interactions],
        "versioning": "versioned-update" if surface is None else surface.versioning,
        "readHistory": "vread" in interactions,
        "updateCreate": options.update_as_create and "update" in interactions,
        "conditionalCreate": options.conditional_create and "create" in interactions,
        "conditionalRead": "not-supported",
        "conditionalUpdate": options.conditional_update and "update" in interactions,
        "conditionalDelete": "not-supported",
    }
    if "search-type" in interactions:
        resource |= _search(type_, options, here)
    if type_ == "Subscription":
        resource |= _topics(options)
    if options.referential_integrity:
        resource["referencePolicy"] = ["enforced"]
    return resource


def _topics(options: Options) -> Json:
    """Return what the R5 Backport guide has servers say of their topics."""
    offered = [{"url": _TOPIC, "valueCanonical": f"{TOPIC_BASE}{type_}"} for type_ in TOPIC_TYPES]
    if not options.hooks.operations:
        return {"extension": offered}
    operations = [{"name": name, "definition": f"{_OPERATIONS}-{name}"} for name in ("status", "events")]
    return {"extension": offered, "operation": operations}


def _search(type_: str, options: Options, here: TypeSurface | None) -> Json:
    parameters = _search_parameters(type_, options, here)
    names = [each["name"] for each in parameters if each["type"] == Kind.REFERENCE.value]
    found: Json = {"searchInclude": ["*", *(f"{type_}:{name}" for name in names)]}
    if here is None or here.parameters is None:
        found["searchRevInclude"] = _reverse_includes(type_)
    return found | {"searchParam": parameters}


def _search_parameters(type_: str, options: Options, here: TypeSurface | None) -> list[Json]:
    listed = [{"name": "_id", "type": "token"}]
    if options.searches_last_updated(type_):
        listed.append({"name": "_lastUpdated", "type": "date"})
    if options.count_parameter != "_count":
        listed.append({"name": options.count_parameter, "type": "number"})
    known = {**COMMON, **PARAMETERS[type_]}
    listed += [{"name": name, "type": known[name].kind.value} for name in sorted(known)]
    return [each for each in listed if here is None or here.knows(each["name"])]


def _reverse_includes(type_: str) -> list[str]:
    return [
        f"{source}:{name}"
        for source, searches in PARAMETERS.items()
        for name, search in searches.items()
        if search.kind is Kind.REFERENCE and search.target in {None, type_}
    ]
