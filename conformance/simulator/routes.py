"""From a request to the interaction that carries it out."""

from __future__ import annotations

from urllib.parse import parse_qsl

from conformance.simulator.bundles import run_bundle
from conformance.simulator.capability import capability_statement
from conformance.simulator.ehr import Ehr
from conformance.simulator.hooks.dispatcher import Dispatcher
from conformance.simulator.hooks.operations import OPERATIONS, operate
from conformance.simulator.parameters import PARAMETERS
from conformance.simulator.reads import history, read, search, vread
from conformance.simulator.wire import Answer, FhirError, Request, decode, json_answer
from conformance.simulator.writes import conditional_update, create, delete, patch, update


class Routes:
    """The interactions of one EHR by method and path."""

    def __init__(self, ehr: Ehr, hooks: Dispatcher) -> None:
        self._ehr = ehr
        self._hooks = hooks

    def perform(self, request: Request, new_id: str | None = None) -> Answer:
        """
        Carry *request* out.

        Args:
            new_id: The id for what it creates, where a transaction has already given one.

        Raises:
            FhirError: it is refused.
        """
        with self._ehr.store.lock:
            self._ehr.settle()
            method = "GET" if request.method == "HEAD" else request.method
            parts = request.path.split("/") if request.path else []
            self._check_surface(method, parts, request)
            return self._route(method, parts, request, new_id)

    def _check_surface(self, method: str, parts: list[str], request: Request) -> None:
        """Refuse what this EHR does not show to those outside."""
        surface = self._ehr.surface
        if surface is None:
            return
        match (method, *parts):
            case ("POST",):
                bundle = decode(request.body)
                surface.check_system(str(bundle.get("type")) if isinstance(bundle, dict) else "transaction")
            case ("GET", "_history"):
                surface.check_system("history-system")
            case (_, type_, *rest) if type_ in PARAMETERS:
                surface.check(type_, _interaction(method, rest))

    def _route(self, method: str, parts: list[str], request: Request, new_id: str | None) -> Answer:
        match (method, *parts):
            case ("POST",):
                return run_bundle(self._ehr, self.perform, request)
            case ("GET",):
                return self._page(request)
            case ("GET", "metadata"):
                return json_answer(200, capability_statement(self._ehr, request.base))
            case ("GET", "_history"):
                return history(self._ehr, None, None, request)
            case (_, type_, *_) if type_ not in PARAMETERS:
                raise FhirError(404, "not-supported", f"Unknown resource type {type_!r}")
            case ("GET" | "POST", "Subscription", *rest) if rest and rest[-1] in OPERATIONS:
                return operate(self._ehr, self._hooks, rest[0] if rest[1:] else None, rest[-1], request)
            case (_, type_):
                return self._on_type(method, type_, request, new_id)
            case ("POST", type_, "_search"):
                return search(self._ehr, type_, (*request.query, *_form(request)), request)
            case ("GET", type_, "_history"):
                return history(self._ehr, type_, None, request)
            case (_, type_, id_) if not id_.startswith(("_", "$")):
                return self._on_instance(method, type_, id_, request)
            case ("GET", type_, id_, "_history"):
                return history(self._ehr, type_, id_, request)
            case ("GET", type_, id_, "_history", number):
                return vread(self._ehr, type_, id_, number, request)
        raise FhirError(400, "not-supported", f"This server has no {request.method} {request.path}")

    def _on_type(self, method: str, type_: str, request: Request, new_id: str | None) -> Answer:
        match method:
            case "GET":
                return search(self._ehr, type_, request.query, request)
            case "POST":
                return create(self._ehr, type_, request, new_id)
            case "PUT" if not self._ehr.options.conditional_update:
                raise FhirError(405, "not-supported", "Conditional update is not supported")
            case "PUT":
                return conditional_update(self._ehr, type_, request)
        raise _not_allowed(request, "GET, POST, PUT")

    def _on_instance(self, method: str, type_: str, id_: str, request: Request) -> Answer:
        match method:
            case "GET":
                return read(self._ehr, type_, id_, request)
            case "PUT":
                return update(self._ehr, type_, id_, request)
            case "PATCH":
                return patch(self._ehr, type_, id_, request)
            case "DELETE":
                return delete(self._ehr, type_, id_, request)
        raise _not_allowed(request, "GET, PUT, PATCH, DELETE")

    def _page(self, request: Request) -> Answer:
        cursor = dict(request.query).get("_page")
        if cursor is None:
            raise FhirError(400, "not-supported", "GET on the base needs the cursor of a next link")
        return json_answer(200, self._ehr.pages.following(cursor, request.base))


def _interaction(method: str, rest: list[str]) -> str:
    """Return the code of an interaction on a type or below (FHIR R4 type-restful-interaction)."""
    match (method, *rest):
        case (_, *_, operation) if rest and operation.startswith("$"):
            return "read"
        case ("GET",) | ("POST", "_search"):
            return "search-type"
        case ("GET", "_history"):
            return "history-type"
        case ("GET", _, "_history"):
            return "history-instance"
        case ("GET", _, "_history", _):
            return "vread"
    return {"POST": "create", "GET": "read", "PUT": "update", "PATCH": "patch"}.get(method, method.lower())


def _not_allowed(request: Request, allowed: str) -> FhirError:
    return FhirError(405, "not-supported", f"{request.method} {request.path} is not allowed", {"Allow": allowed})


def _form(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
