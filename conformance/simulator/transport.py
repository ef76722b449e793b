"""httpx clients that reach a ``Simulator`` in the same process, without a network."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl

import httpx

from conformance.simulator.simulator import Simulator
from conformance.simulator.wire import Answer, Request


class SimulatorTransport(httpx.BaseTransport):
    """
    Hands requests to *simulator*.

    With *clinic* they go past faults and authorization, as what the clinic's own staff enter does not come
    through the interface that misbehaves. *sleep* is called with the seconds that a slow answer takes; a client
    that waits less long gets its timeout at once, as no time passes of itself.
    """

    def __init__(
        self,
        simulator: Simulator,
        *,
        clinic: bool = False,
        sleep: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._simulator = simulator
        self._clinic = clinic
        self._sleep = sleep

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """
        Answer *request*.

        Raises:
            httpx.RemoteProtocolError: the simulated EHR hung up.
            httpx.ReadTimeout: it takes longer than the client waits; what was asked is carried out.
        """
        root = request.url.copy_with(path="/fhir", query=None, fragment=None)
        path = request.url.path.removeprefix("/fhir").strip("/")
        headers = {name.lower(): value for name, value in request.headers.items()}
        query = tuple(parse_qsl(request.url.query.decode("ascii"), keep_blank_values=True))
        asked = Request(request.method, path, query, headers, request.read(), str(root))
        if self._clinic:
            return _response(self._simulator.handle_clinic(asked), request)
        with self._simulator.serving(asked) as answer:
            self._wait(answer.wait_seconds, request)
            return _response(answer, request)

    def _wait(self, seconds: float, request: httpx.Request) -> None:
        patience = request.extensions.get("timeout", {}).get("read")
        if patience is not None and seconds > patience:
            self._sleep(patience)
            raise httpx.ReadTimeout("The read operation timed out", request=request)
        if seconds:
            self._sleep(seconds)


def _response(answer: Answer, request: httpx.Request) -> httpx.Response:
    if answer.hang_up:
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
    return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body, request=request)


def client_of(simulator: Simulator, *, clinic: bool = False) -> httpx.Client:
    """Return a client whose relative URLs are those below the simulated EHR's FHIR base."""
    return httpx.Client(transport=SimulatorTransport(simulator, clinic=clinic), base_url="http://ehr.example/fhir/")
