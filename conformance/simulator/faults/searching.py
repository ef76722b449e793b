"""Searches that are refused, ignored or answered with something else than matches."""

from __future__ import annotations

from dataclasses import replace

from conformance.simulator.ehr import Ehr
from conformance.simulator.faults.base import Fault, FaultKind, OptionFault, natural, one_of
from conformance.simulator.pages import Listing
from conformance.simulator.parameters import PARAMETERS
from conformance.simulator.store import Version
from conformance.simulator.surface import TypeSurface, either
from conformance.simulator.wire import Answer, FhirError, Request, outcome

_SCHEDULE = either("_id", "patient date", "practitioner date", "location date", "actor date")
_PERSON = either("_id", "patient", "subject", "practitioner date", "location date", "actor date", "encounter")


class NoScans(Fault):
    """Refuse searches of a whole type: somebody must be named."""

    def __init__(self, *types: str) -> None:
        self._types = _types(types)

    def listed(self, request: Request, listing: Listing, ehr: Ehr) -> list[Version]:
        query = listing.query
        if query is not None and query.type in (self._types or _clinical()):
            rule = TypeSurface(interactions=frozenset(), needs=_SCHEDULE if query.type == "Appointment" else _PERSON)
            rule.check_search(query.type, {name.partition(":")[0] for name, _ in query.used})
        return listing.versions


class OutcomeAmongMatches(Fault):
    """Add an OperationOutcome to the matches of every search."""

    def __init__(self, severity: str = "warning") -> None:
        self._severity = one_of(severity, "information", "warning", "error", "fatal")

    def listed(self, request: Request, listing: Listing, ehr: Ehr) -> list[Version]:
        if listing.query is not None:
            text = "4119: There may be more than this answer shows"
            listing.query.notes.append(outcome(self._severity, "incomplete", text))
        return listing.versions


class OutcomeWhenEmpty(Fault):
    """Answer a search that finds nothing with an OperationOutcome that says so."""

    def listed(self, request: Request, listing: Listing, ehr: Ehr) -> list[Version]:
        if listing.query is not None and not listing.versions:
            text = "4101: The resource request returns no results"
            listing.query.notes.append(outcome("warning", "processing", text))
        return listing.versions


class OutcomeInstead(Fault):
    """Answer every so many searches 200 with an OperationOutcome as the only entry."""

    def __init__(self, every: str = "2", severity: str = "error") -> None:
        self._every = natural(every)
        self._severity = one_of(severity, "error", "fatal")
        self._seen = 0

    def listed(self, request: Request, listing: Listing, ehr: Ehr) -> list[Version]:
        if listing.query is None:
            return listing.versions
        self._seen += 1
        if self._seen % self._every:
            return listing.versions
        listing.query.notes.append(outcome(self._severity, "exception", "The search could not be carried out"))
        return []


class Forbidden(Fault):
    """Answer every request for a type 403 or 401: its scope was taken away."""

    def __init__(self, type_: str, status: str = "403") -> None:
        (self._type,) = _types((type_,))
        self._status = int(one_of(status, "401", "403"))

    def before(self, request: Request, ehr: Ehr) -> Answer | None:
        if request.path.partition("/")[0] != self._type:
            return None
        code = "forbidden" if self._status == 403 else "login"
        answer = FhirError(self._status, code, f"The granted scope does not cover {self._type}").answer()
        challenge = {"WWW-Authenticate": 'Bearer error="insufficient_scope"'} if self._status == 401 else {}
        return replace(answer, headers={**answer.headers, **challenge})


def _types(names: tuple[str, ...]) -> frozenset[str]:
    unknown = sorted(set(names) - PARAMETERS.keys())
    if unknown:
        raise ValueError(f"no resource type of this server: {', '.join(unknown)}")
    return frozenset(names)


def _clinical() -> frozenset[str]:
    return frozenset({"Appointment", "Communication", "MedicationRequest", "ServiceRequest", "Task"})


def _no_last_updated(*types: str) -> Fault:
    return OptionFault(without_last_updated=_types(types)) if types else OptionFault(search_by_last_updated=False)


def _named(names: tuple[str, ...]) -> frozenset[str]:
    if not names:
        raise ValueError("it needs the names of parameters")
    return frozenset(names)


KINDS = (
    FaultKind(
        "no-last-updated",
        "[TYPE,...]",
        "_lastUpdated is an unknown parameter, of all types or of some",
        "CapabilityStatements of Epic (no type), Oracle Health and athenahealth (not Appointment), 2026-07",
        _no_last_updated,
    ),
    FaultKind(
        "no-scans",
        "[TYPE,...]",
        "a search needs a patient or ids; of Appointment a patient, practitioner or location and a date",
        "Oracle Health R4, appointment.md; Epic errors 4110, 4111",
        NoScans,
    ),
    FaultKind(
        "ignore-parameters",
        "NAME,...",
        "these search parameters are ignored, with a warning inside the 200; the self link lacks them",
        "Epic 4122, 59100, 59109",
        lambda *names: OptionFault(ignored_parameters=_named(names)),
    ),
    FaultKind(
        "ignore-silently",
        "NAME,...",
        "these search parameters are ignored, and only the self link shows it",
        "FHIR R4 search.html#errors allows it; Epic post-filters",
        lambda *names: OptionFault(silently_ignored_parameters=_named(names)),
    ),
    FaultKind(
        "outcome-among-matches",
        "[information|warning|error|fatal]",
        "every search answers 200 with an OperationOutcome (mode outcome) among its matches",
        "FHIR R4 example bundle-search-warning; Epic 4119",
        OutcomeAmongMatches,
    ),
    FaultKind(
        "outcome-when-empty",
        "",
        "a search that finds nothing answers 200 with an OperationOutcome (mode outcome) that says so",
        "Epic 4101",
        OutcomeWhenEmpty,
    ),
    FaultKind(
        "outcome-instead",
        "[EVERY[,error|fatal]]",
        "every second search answers 200 with an OperationOutcome and no match",
        "FHIR R4 valueset-search-entry-mode: outcome",
        OutcomeInstead,
    ),
    FaultKind(
        "forbidden",
        "TYPE[,401|403]",
        "every request for that type is refused: the scope was taken away",
        "SMART App Launch 2.1, scopes: 403 or left out are both legal",
        Forbidden,
    ),
)
