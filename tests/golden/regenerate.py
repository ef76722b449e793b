"""
Golden cases: a resource as a server sends it, and what the mappers make of it.

``tests/golden/<ResourceType>/<case>/in.json`` and ``snapshot.json``. A case named ``r5-...`` or ``r4b-...``
comes from a server of that version, the others from R4. After a wanted change run
``python -m tests.golden.regenerate`` and read the difference before it is committed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from bridge.cases.snapshot import Snapshot
from bridge.fhir.bundle import received
from bridge.mappers import normalize

BASE_URL = "https://ehr.example/fhir"
CASES = sorted(Path(__file__).parent.glob("*/*/in.json"))


def name_of(case: Path) -> str:
    """Return ``<ResourceType>/<case>``."""
    return f"{case.parent.parent.name}/{case.parent.name}"


def fhir_version_of(case: Path) -> str:
    """Return the FHIR version of the server that a case is from."""
    prefix = case.parent.name.partition("-")[0].upper()
    return prefix if prefix in ("R5", "R4B") else "R4"


def outcome_of(case: Path) -> bytes:
    """Return what the mappers make of a case, as indented JSON; elements that say nothing are left out."""
    verdict = normalize(received(case.read_bytes()), base_url=BASE_URL, fhir_version=fhir_version_of(case))
    if isinstance(verdict, Snapshot):
        document = {"mapped": _stated(msgspec.to_builtins(verdict))}
    else:
        document = {type(verdict).__name__.lower(): {"code": verdict.code, "reason": verdict.reason}}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _stated(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _stated(inner) for name, inner in value.items() if inner not in (None, [], (), False)}
    return [_stated(inner) for inner in value] if isinstance(value, list | tuple) else value


def main() -> None:
    """Write every ``snapshot.json`` anew."""
    for case in CASES:
        case.with_name("snapshot.json").write_bytes(outcome_of(case))
    print(f"{len(CASES)} golden snapshots written")


if __name__ == "__main__":
    main()
