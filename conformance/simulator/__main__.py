"""Run the simulated EHR as a process: ``python -m conformance.simulator --port 8090 --stories 13``."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from conformance.demo import A_DAY_A_MINUTE, start_live_ehr
from conformance.generator import Step
from conformance.simulator.faults import FAULTS
from conformance.simulator.options import Options


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; return the exit code."""
    asked = _parser().parse_args(arguments)
    options = Options(
        lenient=asked.lenient,
        stale_write_status=asked.stale_write_status,
        referential_integrity=asked.integrity,
        authorization=asked.authorization,
    )
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, frame: stop.set())
    try:
        ehr = start_live_ehr(
            asked.port,
            seed=asked.seed,
            stories=asked.stories,
            speed=asked.speed,
            fill=asked.fill,
            options=options,
            faults=asked.fault,
            on_step=_say,
        )
    except (OSError, ValueError) as error:
        print(f"The simulated EHR did not start: {error}", file=sys.stderr)
        return 1
    with ehr:
        print(f"Simulated EHR with synthetic data: {ehr.base_url}", flush=True)
        stop.wait()
    return 0


def _say(step: Step) -> None:
    print(f"{step.at:%H:%M:%S}  {step.says}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m conformance.simulator", description=__doc__)
    add = parser.add_argument
    add("--port", type=int, default=8090, help="port on 127.0.0.1, 0 for a free one (default 8090)")
    add("--seed", type=int, default=1, help="which synthetic people and stories (default 1)")
    add("--stories", type=int, help="how many stories (default: they never end)")
    add("--speed", type=float, default=A_DAY_A_MINUTE, help="days per day (default 1440: a day is a minute)")
    add("--fill", type=int, default=0, help="other resources of the four types that are there from the start")
    add("--fault", action="append", default=[], help=f"a fault, may be repeated: {', '.join(FAULTS)}")
    add("--lenient", action="store_true", help="ignore unknown search parameters with a warning")
    add("--integrity", action="store_true", help="refuse references to what is not there")
    add("--stale-write-status", type=int, choices=(409, 412), default=409, help="answer to a stale If-Match")
    add("--authorization", help="the Authorization header that every request must carry")
    return parser


if __name__ == "__main__":
    sys.exit(main())
