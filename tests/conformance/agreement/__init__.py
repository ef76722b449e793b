"""
Requests that a FHIR R4 server answers alike, whether it is the simulated EHR or a real HAPI server.

Each check talks plain HTTP to any server that allows everything, keeps to resources of its own, and asserts.
Where servers may differ, the check accepts what both do. It imports neither Bridge nor the simulator.
"""

from . import bundling, reading, searching, subscribing, writing
from .frame import CHECKS, Check, Server

__all__ = ["CHECKS", "Check", "Server", "bundling", "reading", "searching", "subscribing", "writing"]
