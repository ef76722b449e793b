"""httpx clients that reach a ``Simulator`` in the same process, without a network."""

from __future__ import annotations

from urllib.parse import parse_qsl

import httpx

from conformance.simulator.simulator import Simulator
from conformance.simulator.wire import Request


class SimulatorTransport(httpx.BaseTransport):
    """
    Hands requests to *simulator*.

    With *clinic* they go past faults and authorization, as what the clinic's own staff enter does not come
    through the interface that misbehaves.
    """

    def __init__(self, simulator: Simulator, *, clinic: bool = False) -> None:
        self._simulator = simulator
        self._answer = simulator.handle_clinic if clinic else simulator.handle

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """
        Answer *request*.

        Raises:
            httpx.RemoteProtocolError: the simulated EHR hung up.
        """
        root = request.url.copy_with(path="/fhir", query=None, fragment=None)
        path = request.url.path.removeprefix("/fhir").strip("/")
        headers = {name.lower(): value for name, value in request.headers.items()}
        query = tuple(parse_qsl(request.url.query.decode("ascii"), keep_blank_values=True))
        answer = self._answer(Request(request.method, path, query, headers, request.read(), str(root)))
        if answer.hang_up:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body, request=request)


def client_of(simulator: Simulator, *, clinic: bool = False) -> httpx.Client:
    """Return a client whose relative URLs are those below the simulated EHR's FHIR base."""
    return httpx.Client(transport=SimulatorTransport(simulator, clinic=clinic), base_url="http://ehr.example/fhir/")
