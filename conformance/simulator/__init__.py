"""A FHIR R4 server of our own, for the demo and for tests.

``start()`` serves one on a free port; ``Simulator`` is the same without a network. ``python -m
conformance.simulator`` runs it as a process. It keeps every version in memory and forgets all when it ends.
"""

from conformance.simulator.clock import Clock, ManualClock, utc_now
from conformance.simulator.faults import FAULTS, Fault
from conformance.simulator.hooks.sender import Reply, Ring, Sender
from conformance.simulator.options import Options
from conformance.simulator.server import Handle, start
from conformance.simulator.simulator import Simulator
from conformance.simulator.transport import SimulatorTransport, client_of
from conformance.simulator.vendors import VENDORS, Vendor
from conformance.simulator.wire import Answer, FhirError, Json, Request

__all__ = [
    "FAULTS",
    "VENDORS",
    "Answer",
    "Clock",
    "Fault",
    "FhirError",
    "Handle",
    "Json",
    "ManualClock",
    "Options",
    "Reply",
    "Request",
    "Ring",
    "Sender",
    "Simulator",
    "SimulatorTransport",
    "Vendor",
    "client_of",
    "start",
    "utc_now",
]
