"""The simulated EHR: one request in, one answer out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus

from conformance.simulator.clock import Clock, http_date, utc_now
from conformance.simulator.ehr import Ehr
from conformance.simulator.faults import Fault, fault_named
from conformance.simulator.hooks.dispatcher import Dispatcher
from conformance.simulator.hooks.sender import Reply, Ring, Sender
from conformance.simulator.options import Options
from conformance.simulator.routes import Routes
from conformance.simulator.vendors import vendor_named
from conformance.simulator.wire import Answer, FhirError, Json, Request, decode, encode


class Simulator:
    """
    A FHIR R4 server without a network.

    Requests are carried out one at a time, whichever thread brings them, so a run with a ``ManualClock`` and
    the same requests gives the same answers, ids and cursors; *seed* is the chance of the faults that use it.
    *sender* sends its notifications when ``deliver`` is called; a served simulator does that by itself.
    As a *vendor* other than ``generic`` it shows what that EHR shows, with its options and habits.

    Raises:
        ValueError: no vendor or fault has that name, or the fault's arguments do not fit.
    """

    def __init__(
        self,
        clock: Clock = utc_now,
        options: Options | None = None,
        faults: Iterable[str] = (),
        *,
        seed: int = 0,
        vendor: str = "generic",
        sender: Sender | None = None,
    ) -> None:
        self.vendor = vendor_named(vendor)
        options = options or Options()
        self.vendor.apply(options)
        self.ehr = Ehr(clock, options, seed)
        self.requests = 0
        self.hooks = Dispatcher(self.ehr, sender)
        self._routes = Routes(self.ehr, self.hooks)
        self._faults: dict[str, Fault] = {}
        for spec in (*self.vendor.faults, *faults):
            self.add_fault(spec)

    @property
    def options(self) -> Options:
        """The switches, to be changed at any time."""
        return self.ehr.options

    @property
    def faults(self) -> tuple[str, ...]:
        """The names of the faults that are on."""
        return tuple(self._faults)

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

    @contextmanager
    def serving(self, request: Request) -> Iterator[Answer]:
        """Answer *request* as ``handle`` does; it counts as under way until the block ends."""
        with self.ehr.store.lock:
            self.ehr.in_flight.append(request)
        try:
            yield self.handle(request)
        finally:
            with self.ehr.store.lock:
                self.ehr.in_flight = [other for other in self.ehr.in_flight if other is not request]

    def handle(self, request: Request) -> Answer:
        """Answer *request* as a client sees it: with faults, authorization and the ``Date`` header."""
        with self.ehr.store.lock, self.ehr.visited(tuple(self._faults.values())):
            self.requests += 1
            answer = self._intercepted(request) or self._answered(request)
            for fault in self.ehr.playing:
                answer = fault.after(request, answer, self.ehr)
            return replace(answer, headers={"Date": http_date(self.ehr.clock()), **answer.headers})

    def handle_clinic(self, request: Request) -> Answer:
        """Answer *request* past faults and authorization, as the EHR's own screens do."""
        try:
            return self._routes.perform(request)
        except FhirError as error:
            return error.answer()

    def deliver(self) -> list[tuple[Ring, Reply | None]]:
        """Send the notifications that are due by the clock; return them with what came back."""
        return self.hooks.run_due()

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
        answer = self._routes.perform(Request("PUT", path, body=encode(resource)))
        stored: Json = decode(answer.body)
        return stored

    def all(self, type_: str) -> list[Json]:
        """Return every resource of *type_* that is not deleted, in order of creation."""
        return [version.resource() for version in self.ehr.store.heads() if version.type == type_]

    def _intercepted(self, request: Request) -> Answer | None:
        answers = (fault.before(request, self.ehr) for fault in self.ehr.playing)
        return next((answer for answer in answers if answer is not None), None)

    def _answered(self, request: Request) -> Answer:
        try:
            self._authorize(request)
            _check_accept(request)
            return self._routes.perform(request)
        except FhirError as error:
            return error.answer()

    def _authorize(self, request: Request) -> None:
        wanted = self.options.authorization
        if wanted is None or request.path == "metadata" or request.headers.get("authorization") == wanted:
            return
        scheme = wanted.partition(" ")[0]
        challenge = {"WWW-Authenticate": f'{scheme} realm="simulated EHR"'}
        raise FhirError(401, "login", "Authorization is missing or not accepted", challenge)


def _check_accept(request: Request) -> None:
    """Refuse what JSON cannot answer; ``_format`` overrides ``Accept`` (FHIR R4 http.html#parameters)."""
    wanted = dict(request.query).get("_format") or request.headers.get("accept", "*/*")
    if "json" not in wanted and "*" not in wanted:
        raise FhirError(HTTPStatus.NOT_ACCEPTABLE, "not-supported", "This server answers JSON only")
