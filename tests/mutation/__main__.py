"""
``python -m tests.mutation``: plant one bug after the other in a copy of the sources and run what should see it.

Writes ``tests/mutation/RESULTS.md``; ends with 1 where fewer than nine of ten were caught.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from .planted import BUGS, Bug

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("RESULTS.md")
COPIED = ("bridge", "conformance", "tests", "docs", "pyproject.toml", "README.md", "Makefile", "CONTRIBUTING.md")
WANTED = 0.9


def plant(bug: Bug, copy: Path) -> None:
    """
    Put *bug* into a copy of the sources.

    Raises:
        ValueError: Its place is not there, or not the only one: the sources moved on, and the bug has to follow.
    """
    file = copy / bug.file
    text = file.read_text()
    if text.count(bug.old) != 1:
        raise ValueError(f"{bug.name}: {bug.file} has its line {text.count(bug.old)} times")
    file.write_text(text.replace(bug.old, bug.new))


def caught_by(bug: Bug) -> str | None:
    """Return the first test that fails with *bug*, or ``None``."""
    with tempfile.TemporaryDirectory(prefix="bridge-mutant-") as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "target"))
            else:
                shutil.copy(source, copy / name)
        plant(bug, copy)
        for suite in bug.suites:
            failed = _first_failure(copy, suite)
            if failed is not None:
                return failed
    return None


def _first_failure(copy: Path, suite: str) -> str | None:
    """
    Return the first test of *suite* that fails.

    Raises:
        RuntimeError: The suite did not even begin; that catches nothing.
    """
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not postgres", suite],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode == 0:
        return None
    lines = [line for line in run.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    if not lines or "::" not in lines[0]:
        raise RuntimeError(f"{suite} could not be run: {run.stdout[-2000:]}{run.stderr[-2000:]}")
    return lines[0].split(" - ")[0].partition(" ")[2]


def main() -> int:
    """Plant the bugs asked for, or all, and write down what caught them."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("only", nargs="*", help="words of the bugs to plant; all without")
    words = parser.parse_args().only
    bugs = [bug for bug in BUGS if not words or any(word in bug.name for word in words)]
    rows = []
    for bug in bugs:
        began, caught = time.monotonic(), caught_by(bug)
        print(
            f"{'caught' if caught else 'MISSED'}  {bug.name}: {caught} ({time.monotonic() - began:.0f} s)", flush=True
        )
        rows.append((bug, caught))
    share = sum(caught is not None for _, caught in rows) / len(rows)
    if not words:
        RESULTS.write_text(_table(rows))
    return int(share < WANTED)


def _table(rows: list[tuple[Bug, str | None]]) -> str:
    caught = sum(test is not None for _, test in rows)
    lines = [
        "# Bugs planted on purpose",
        "",
        f"`make mutants`, {datetime.now(UTC):%Y-%m-%d}: {caught} of {len(rows)} caught.",
        "",
        "| Bug | In | Caught by |",
        "| --- | --- | --- |",
        *(f"| {bug.name} | `{bug.file}` | {f'`{test}`' if test else 'nothing'} |" for bug, test in rows),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
