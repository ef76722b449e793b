"""
The page of the simulated EHR, ``docs/simulator.md``: written from what it can play.

``python -m conformance.simulator_page`` writes it; a test holds that it is up to date.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from conformance.simulator import FAULTS, VENDORS
from conformance.simulator.faults import FAMILIES

PAGE = Path(__file__).parents[1] / "docs" / "simulator.md"

_INTRODUCTION = """\
# The simulated EHR

A FHIR server of our own with synthetic patients whose stories go on. It answers as HAPI FHIR 8.0.0 does, which the
same checks hold it to, and plays other EHRs and what FHIR servers are known to get wrong, by name:

```
bridge simulator --vendor oracle --fault late-commit=120
bridge simulator --patients 50 --fault search-cache --fault throttle=20,30 --seed 7
bridge simulator --list
```

It serves on 127.0.0.1 only, keeps everything in memory, forgets it when it ends, and notifies subscribers on this
machine and nowhere else. A wrong name is refused with the nearest. This page is written by
`python -m conformance.simulator_page`.

## In tests

```python
from conformance.simulator import ManualClock, Simulator, SimulatorTransport

clock = ManualClock(datetime(2026, 11, 2, 12, tzinfo=UTC))
ehr = Simulator(clock, vendor="hapi", faults=["late-commit=0-300"], seed=7, sender=subscriber)
client = httpx.Client(transport=SimulatorTransport(ehr, sleep=waited.append))

clock.advance(seconds=60)  # time passes only here
ehr.deliver()  # notifications that are due go to the sender
ehr.add_fault("throttle=3,120")
ehr.remove_fault("throttle")
```

`SimulatorTransport(ehr, clinic=True)`, `ehr.put` and `ehr.get` go past faults, authorization and what the EHR shows
to those outside, as the clinic's own screens do. `start(simulator=ehr)` serves one on a free port. The same seed,
clock and requests give the same answers, byte for byte. `merge_patients(ehr.ehr, loser, survivor)` merges two.

Faults are turned on in the order given; each plays at its own place (instead of the answer, in what a search finds,
before a write is stored, in the answer), so they can be combined. A vendor is a set of options and faults and what
it shows of FHIR; its CapabilityStatement says the same. The sources below are where each behaviour is documented
or was seen; "ours" is what any network can do.

Not played: Oracle Health's search of Communication by `-email-status`, MEDITECH's `$get-recipient-choices`, Canvas's
search parameters `due` and `label`, athenahealth's and Epic's own APIs beside FHIR, Pub/Sub and Event Grid of the
clouds, websocket and e-mail channels, and the signature of a token request.
"""


def page() -> str:
    """Return the page."""
    return "\n".join([_INTRODUCTION, *_vendors(), *_faults()])


def _vendors() -> Iterator[str]:
    yield "## EHRs\n"
    yield "| `--vendor` | What is particular | Habits (faults) | Source |"
    yield "| --- | --- | --- | --- |"
    for vendor in VENDORS.values():
        habits = ", ".join(f"`{spec}`" for spec in vendor.faults) or "none"
        yield f"| `{vendor.name}` | {vendor.title}: {_cell(vendor.says)} | {habits} | {_cell(vendor.source)} |"
    yield ""


def _faults() -> Iterator[str]:
    yield f"## Faults\n\n{len(FAULTS)} by name. Arguments stand behind `=`, separated by commas; those in brackets may"
    yield "be left out."
    for family, kinds in FAMILIES.items():
        yield f"\n### {family}\n"
        yield "| `--fault` | What the server does | Source |"
        yield "| --- | --- | --- |"
        yield from (f"| `{_cell(kind.written)}` | {_cell(kind.says)} | {_cell(kind.source)} |" for kind in kinds)
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
