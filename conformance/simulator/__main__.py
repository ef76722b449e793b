"""Run the simulated EHR as a process: ``python -m conformance.simulator --port 8090 --stories 13``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from conformance.command import FHIR_VERSIONS, run_simulator, what_it_plays
from conformance.demo import A_DAY_A_MINUTE
from conformance.simulator.options import Options


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; return the exit code."""
    asked = _parser().parse_args(arguments)
    if asked.list:
        print(what_it_plays())
        return 0
    options = Options(
        lenient=asked.lenient,
        stale_write_status=asked.stale_write_status,
        referential_integrity=asked.integrity,
        authorization=asked.authorization,
    )
    try:
        run_simulator(
            port=asked.port,
            seed=asked.seed,
            patients=asked.stories,
            speed=asked.speed,
            fill=asked.fill,
            vendor=asked.vendor,
            faults=asked.fault,
            options=options,
            fhir_version=asked.fhir_version,
        )
    except (OSError, ValueError) as error:
        print(f"The simulated EHR did not start: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m conformance.simulator", description=__doc__)
    add = parser.add_argument
    add("--port", type=int, default=8090, help="port on 127.0.0.1, 0 for a free one (default 8090)")
    add("--seed", type=int, default=1, help="which synthetic people and stories, and which chances (default 1)")
    add("--stories", type=int, help="how many stories (default: they never end)")
    add("--speed", type=float, default=A_DAY_A_MINUTE, help="days per day (default 1440: a day is a minute)")
    add("--fill", type=int, default=0, help="other resources of the four types that are there from the start")
    add("--vendor", default="generic", help="which EHR to play (default generic); --list names them")
    add("--fault", action="append", default=[], help="a fault, may be repeated; --list names them")
    add("--list", action="store_true", help="print the vendors and faults, and end")
    add("--fhir-version", choices=FHIR_VERSIONS, help="what the CapabilityStatement declares (default R4)")
    add("--lenient", action="store_true", help="ignore unknown search parameters with a warning")
    add("--integrity", action="store_true", help="refuse references to what is not there")
    add("--stale-write-status", type=int, choices=(409, 412), default=409, help="answer to a stale If-Match")
    add("--authorization", help="the Authorization header that every request must carry")
    return parser


if __name__ == "__main__":
    sys.exit(main())
