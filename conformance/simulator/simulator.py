"""The simulated EHR: one request in, one answer out."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import parse_qsl

from conformance.simulator.bundles import run_bundle
from conformance.simulator.capability import capability_statement
from conformance.simulator.clock import Clock, http_date, utc_now
from conformance.simulator.ehr import Ehr
from conformance.simulator.faults import Fault, fault_named
from conformance.simulator.options import Options
from conformance.simulator.parameters import PARAMETERS
from conformance.simulator.reads import history, read, search, vread
from conformance.simulator.wire import Answer, FhirError, Json, Request, decode, encode, json_answer
from conformance.simulator.writes import conditional_update, create, delete, patch, update


class Simulator:
    """
    A FHIR R4 server without a network.

    Requests are carried out one at a time, whichever thread brings them, so a run with a ``ManualClock`` and
    the same requests gives the same answers, ids and cursors.
    """

    def __init__(self, clock: Clock = utc_now, options: Options | None = None, faults: Iterable[str] = ()) -> None:
        self.ehr = Ehr(clock, options or Options())
        self.requests = 0
        self._faults: dict[str, Fault] = {}
        for spec in faults:
            self.add_fault(spec)

    @property
    def options(self) -> Options:
        """The switches, to be changed at any time."""
        return self.ehr.options

    def add_fault(self, spec: str) -> Fault:
        """
        Turn on a fault such as ``throttle=3``; the same name again replaces it.

        Raises:
            ValueError: no fault has that name, or its argument does not fit.
        """
        name = spec.partition("=")[0]
        fault = fault_named(spec)
        with self.ehr.store.lock:
            self.remove_fault(name)
            fault.install(self.ehr)
            self._faults[name] = fault
        return fault

    def remove_fault(self, name: str) -> None:
        """Turn the fault *name* off, if it is on."""
        with self.ehr.store.lock:
            fault = self._faults.pop(name, None)
            if fault is not None:
                fault.remove(self.ehr)

    def handle(self, request: Request) -> Answer:
        """Answer *request* as a client sees it: with faults, authorization and the ``Date`` header."""
        with self.ehr.store.lock:
            self.requests += 1
            answer = self._intercepted(request) or self._answered(request)
            for fault in tuple(self._faults.values()):
                answer = fault.after(request, answer, self.ehr)
            dated = {"Date": http_date(self.ehr.clock()), **answer.headers}
            return Answer(answer.status, dated, answer.body, answer.hang_up)

    def handle_clinic(self, request: Request) -> Answer:
        """Answer *request* past faults and authorization, as the EHR's own screens do."""
        try:
            return self._perform(request)
        except FhirError as error:
            return error.answer()

    def get(self, reference: str) -> Json | None:
        """Return the current content of ``Type/id``, past faults and authorization, or None."""
        type_, _, id_ = reference.partition("/")
        version = self.ehr.store.head(type_, id_)
        return None if version is None or version.deleted else version.resource()

    def put(self, resource: Json) -> Json:
        """
        Store *resource* under its id, past faults and authorization, and return it as stored.

        Raises:
            FhirError: the server would refuse it.
        """
        path = f"{resource['resourceType']}/{resource['id']}"
        answer = self._perform(Request("PUT", path, body=encode(resource)))
        stored: Json = decode(answer.body)
        return stored

    def all(self, type_: str) -> list[Json]:
        """Return every resource of *type_* that is not deleted, in order of creation."""
        return [version.resource() for version in self.ehr.store.heads() if version.type == type_]

    def _intercepted(self, request: Request) -> Answer | None:
        answers = (fault.before(request, self.ehr) for fault in tuple(self._faults.values()))
        return next((answer for answer in answers if answer is not None), None)

    def _answered(self, request: Request) -> Answer:
        try:
            self._authorize(request)
            _check_accept(request)
            return self._perform(request)
        except FhirError as error:
            return error.answer()

    def _authorize(self, request: Request) -> None:
        wanted = self.options.authorization
        if wanted is None or request.path == "metadata" or request.headers.get("authorization") == wanted:
            return
        scheme = wanted.partition(" ")[0]
        challenge = {"WWW-Authenticate": f'{scheme} realm="simulated EHR"'}
        raise FhirError(401, "login", "Authorization is missing or not accepted", challenge)

    def _perform(self, request: Request, new_id: str | None = None) -> Answer:
        with self.ehr.store.lock:
            self.ehr.settle()
            return self._route(request, new_id)

    def _route(self, request: Request, new_id: str | None) -> Answer:
        method = "GET" if request.method == "HEAD" else request.method
        match (method, *(request.path.split("/") if request.path else ())):
            case ("POST",):
                return run_bundle(self.ehr, self._perform, request)
            case ("GET",):
                return self._page(request)
            case ("GET", "metadata"):
                return json_answer(200, capability_statement(self.ehr, request.base))
            case ("GET", "_history"):
                return history(self.ehr, None, None, request)
            case (_, type_, *_) if type_ not in PARAMETERS:
                raise FhirError(404, "not-supported", f"Unknown resource type {type_!r}")
            case (_, type_):
                return self._on_type(method, type_, request, new_id)
            case ("POST", type_, "_search"):
                return search(self.ehr, type_, (*request.query, *_form(request)), request)
            case ("GET", type_, "_history"):
                return history(self.ehr, type_, None, request)
            case (_, type_, id_) if not id_.startswith(("_", "$")):
                return self._on_instance(method, type_, id_, request)
            case ("GET", type_, id_, "_history"):
                return history(self.ehr, type_, id_, request)
            case ("GET", type_, id_, "_history", number):
                return vread(self.ehr, type_, id_, number, request)
        raise FhirError(400, "not-supported", f"This server has no {request.method} {request.path}")

    def _on_type(self, method: str, type_: str, request: Request, new_id: str | None) -> Answer:
        match method:
            case "GET":
                return search(self.ehr, type_, request.query, request)
            case "POST":
                return create(self.ehr, type_, request, new_id)
            case "PUT":
                return conditional_update(self.ehr, type_, request)
        raise _not_allowed(request, "GET, POST, PUT")

    def _on_instance(self, method: str, type_: str, id_: str, request: Request) -> Answer:
        match method:
            case "GET":
                return read(self.ehr, type_, id_, request)
            case "PUT":
                return update(self.ehr, type_, id_, request)
            case "PATCH":
                return patch(self.ehr, type_, id_, request)
            case "DELETE":
                return delete(self.ehr, type_, id_, request)
        raise _not_allowed(request, "GET, PUT, PATCH, DELETE")

    def _page(self, request: Request) -> Answer:
        cursor = dict(request.query).get("_page")
        if cursor is None:
            raise FhirError(400, "not-supported", "GET on the base needs the cursor of a next link")
        return json_answer(200, self.ehr.pages.following(cursor, request.base))


def _not_allowed(request: Request, allowed: str) -> FhirError:
    return FhirError(405, "not-supported", f"{request.method} {request.path} is not allowed", {"Allow": allowed})


def _form(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)


def _check_accept(request: Request) -> None:
    """Refuse what JSON cannot answer; ``_format`` overrides ``Accept`` (FHIR R4 http.html#parameters)."""
    wanted = dict(request.query).get("_format") or request.headers.get("accept", "*/*")
    if "json" not in wanted and "*" not in wanted:
        raise FhirError(HTTPStatus.NOT_ACCEPTABLE, "not-supported", "This server answers JSON only")
