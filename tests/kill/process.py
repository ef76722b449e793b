"""
Bridge's command line in processes that start at once.

Importing Bridge costs more than all that a kill sweep wants to see of it. So one process imports it (the start
method ``forkserver`` of multiprocessing), and each run is a fork of that: a process of its own, which runs what
``bridge ARGUMENTS`` runs, in the folder where a user would.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bridge.cli import main
from tests.hapi.line import Workplace
from tests.hapi.plain import Json

from .seams import signal_at

RUN_SECONDS = 180.0
GLANCE_SECONDS = 0.005
SIGNALLED = "signalled.at"

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "bridge.cli",
        "bridge.bootstrap",
        "bridge.progress",
        "bridge.report",
        "bridge.serve",
        "bridge.web.app",
        __name__,
    ]
)


class BridgeProcess:
    """
    ``bridge ARGUMENTS`` at work in *folder*; what it prints is in ``out`` and, of problems, in ``err``.

    Args:
        last: The call at a seam before which it gets a signal of itself; ``None`` lets it be.
        by: That signal.
    """

    def __init__(self, folder: Path, *arguments: str, last: int | None = None, by: int = signal.SIGKILL) -> None:
        self.command = " ".join(("bridge", *arguments))
        self.out, self.err = folder / "out.log", folder / "err.log"
        self._process = _context.Process(target=_run, args=(folder, self.out, self.err, arguments, last, by))
        self._process.start()

    @property
    def code(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float = RUN_SECONDS) -> bool:
        """Give it that long, and say whether it has ended."""
        self._process.join(seconds)
        return self.code is not None

    def watch(self, until: Callable[[], bool]) -> None:
        """Return as soon as *until* holds or the process has ended."""
        deadline = time.monotonic() + RUN_SECONDS
        while not until() and not self.wait(GLANCE_SECONDS):
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"{self.command} did not do what was waited for: {self.said()}")

    def end_well(self) -> str:
        """Wait for the end, expect exit code 0, and return what was printed."""
        self.watch(lambda: False)
        assert self.code == 0, f"{self.command} ended with {self.code}: {self.said()}"
        return self.out.read_text()

    def said(self) -> str:
        """Return all that was printed."""
        return "".join(file.read_text() for file in (self.out, self.err) if file.exists())

    def freeze(self) -> None:
        """Stop it in the midst of what it does."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it as ``kill -9`` does, and see it gone."""
        self._signal(signal.SIGKILL)
        self._process.join()

    def signalled_at(self) -> float | None:
        """Return when it got the signal of itself, by the clock that all processes share; None before."""
        file = self.out.parent / SIGNALLED
        return float(file.read_text() or "inf") if file.exists() else None

    def tell(self) -> None:
        """Tell it to stop, as a container's host does (SIGTERM)."""
        self._signal(signal.SIGTERM)

    def shoot(self) -> None:
        """Kill it and do not wait, from whichever thread."""
        if self._process.pid is not None:
            os.kill(self._process.pid, signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._process.pid is not None and self.code is None:
            os.kill(self._process.pid, number)


def sync(workplace: Workplace) -> Json:
    """Do a whole ``sync --once`` and return its report."""
    (report,) = json.loads(BridgeProcess(workplace.folder, "sync", "--once", "--json").end_well())
    return dict(report)


def _run(folder: Path, out: Path, err: Path, arguments: tuple[str, ...], last: int | None, by: int) -> None:
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith("BRIDGE_")]:
        del os.environ[name]
    for standard, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), standard)
    if last is not None:
        signal_at(last, by, folder / SIGNALLED)
    sys.argv = ["bridge", *arguments]
    main()
