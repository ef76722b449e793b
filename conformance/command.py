"""Running a simulated EHR until somebody stops it, and the list of what it can play."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence

from conformance.demo import A_DAY_A_MINUTE, start_live_ehr
from conformance.generator import Step
from conformance.simulator import VENDORS, Options
from conformance.simulator.faults import FAMILIES

FHIR_VERSIONS = {"R4": "4.0.1", "R4B": "4.3.0"}
"""Versions that the synthetic patients' resources are right in: R4 and R4B have the same elements for all of them."""


def run_simulator(
    *,
    port: int = 8090,
    host: str = "127.0.0.1",
    seed: int = 1,
    patients: int | None = None,
    speed: float = A_DAY_A_MINUTE,
    fill: int = 0,
    vendor: str = "generic",
    faults: Sequence[str] = (),
    options: Options | None = None,
    fhir_version: str | None = None,
) -> None:
    """
    Serve a simulated EHR until SIGINT or SIGTERM, and print its address and what happens in it.

    Args:
        patients: How many, each with a story; None for new ones without end.
        fhir_version: ``R4`` or ``R4B``; None for what the options say.

    Raises:
        OSError: the port is taken.
        ValueError: a vendor, a fault or a version is not known.
    """
    options = options or Options()
    if fhir_version is not None:
        if fhir_version not in FHIR_VERSIONS:
            raise ValueError(f"FHIR version {fhir_version!r} is not one of {', '.join(FHIR_VERSIONS)}")
        options.fhir_version = FHIR_VERSIONS[fhir_version]
    with start_live_ehr(
        port,
        host=host,
        seed=seed,
        stories=patients,
        speed=speed,
        fill=fill,
        options=options,
        vendor=vendor,
        faults=faults,
        on_step=_say,
    ) as ehr:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: stop.set())
        print(f"Simulated EHR with synthetic data: {ehr.base_url}", flush=True)
        for line in _plays(vendor, ehr.simulator.faults):
            print(line, flush=True)
        stop.wait()


def what_it_plays() -> str:
    """Return every vendor and every fault by name, with a line and the source of each."""
    return "\n".join(_listing())


def _listing() -> Iterator[str]:
    yield "Vendors (--vendor NAME)"
    for vendor in VENDORS.values():
        yield from ("", f"  {vendor.name}", f"      {vendor.title}: {vendor.says}.", f"      Source: {vendor.source}")
    for family, kinds in FAMILIES.items():
        yield from ("", f"Faults: {family.lower()} (--fault NAME=ARGUMENTS)")
        for kind in kinds:
            yield from ("", f"  {kind.written}", f"      {kind.says}.", f"      Source: {kind.source}")


def _plays(vendor: str, faults: Sequence[str]) -> Iterator[str]:
    yield f"It plays {VENDORS[vendor].title}: {VENDORS[vendor].says}"
    if faults:
        yield f"Faults: {', '.join(faults)}"


def _say(step: Step) -> None:
    print(f"{step.at:%H:%M:%S}  {step.says}", flush=True)
