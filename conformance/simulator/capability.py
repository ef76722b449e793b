"""The CapabilityStatement: what this server does with its present options, and nothing else."""

from __future__ import annotations

from conformance.simulator.clock import instant
from conformance.simulator.ehr import Ehr
from conformance.simulator.options import Options
from conformance.simulator.parameters import COMMON, PARAMETERS, Kind
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


def capability_statement(ehr: Ehr, base: str) -> Json:
    """Return the CapabilityStatement for *base*."""
    rest: Json = {
        "mode": "server",
        "resource": [_resource(type_, ehr.options) for type_ in sorted(PARAMETERS)],
        "interaction": [{"code": code} for code in ("transaction", "batch", "history-system")],
    }
    if ehr.options.authorization is not None:
        rest["security"] = {"description": "All but this needs the agreed Authorization header."}
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(ehr.clock()),
        "kind": "instance",
        "software": {"name": "Bridge simulated EHR"},
        "implementation": {"description": "Simulated EHR with synthetic data", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": ["application/json-patch+json"],
        "rest": [rest],
    }


def _resource(type_: str, options: Options) -> Json:
    references = [name for name, search in PARAMETERS[type_].items() if search.kind is Kind.REFERENCE]
    resource: Json = {
        "type": type_,
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": options.update_as_create,
        "conditionalCreate": options.conditional_create,
        "conditionalRead": "not-supported",
        "conditionalUpdate": True,
        "conditionalDelete": "not-supported",
        "searchInclude": ["*", *(f"{type_}:{name}" for name in references)],
        "searchRevInclude": _reverse_includes(type_),
        "searchParam": _search_parameters(type_, options),
    }
    if options.referential_integrity:
        resource["referencePolicy"] = ["enforced"]
    return resource


def _search_parameters(type_: str, options: Options) -> list[Json]:
    listed = [{"name": "_id", "type": "token"}]
    if options.searches_last_updated(type_):
        listed.append({"name": "_lastUpdated", "type": "date"})
    known = {**COMMON, **PARAMETERS[type_]}
    return listed + [{"name": name, "type": known[name].kind.value} for name in sorted(known)]


def _reverse_includes(type_: str) -> list[str]:
    return [
        f"{source}:{name}"
        for source, searches in PARAMETERS.items()
        for name, search in searches.items()
        if search.kind is Kind.REFERENCE and search.target in {None, type_}
    ]
