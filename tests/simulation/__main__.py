"""``python -m tests.simulation``: many runs, or one told step by step."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

from .play import Outcome, simulate
from .world import blank


def main() -> int:
    """Run seeds until one fails; return 1 then."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many runs")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="one run, told step by step")
    parser.add_argument("--go-on", action="store_true", help="do not stop at the first failure")
    parser.add_argument("--restores", action="store_true", help="lose and restore the database in every run")
    asked = parser.parse_args()
    logging.disable()
    with tempfile.TemporaryDirectory(prefix="bridge-sim-") as folder:
        template = blank(Path(folder))
        if asked.seed is not None:
            one = simulate(asked.seed, template, disaster=asked.restores)
            print("\n".join([*one.trace, "", *(one.violations or ["all holds"])]))
            return bool(one.violations)
        return _many(
            range(asked.first, asked.first + asked.seeds), template, go_on=asked.go_on, disaster=asked.restores
        )


def _many(seeds: range, template: Path, *, go_on: bool, disaster: bool) -> int:
    failed, began = 0, time.monotonic()
    for seed in seeds:
        one = simulate(seed, template, disaster=disaster)
        if one.violations:
            failed += 1
            print(failure(one), flush=True)
            if not go_on:
                break
    print(f"{seed - seeds.start + 1} runs in {time.monotonic() - began:.0f} s, {failed} failed")
    return bool(failed)


def failure(one: Outcome) -> str:
    """Say what does not hold, and how to see it again."""
    again = f"python -m tests.simulation --seed {one.seed}{' --restores' if one.disaster else ''}"
    return f"seed {one.seed}: {'; '.join(one.violations[:3])}\n  see it again: {again}"


if __name__ == "__main__":
    sys.exit(main())
