"""
The program ``bridge``, also as ``python -m bridge`` where another program has that name (iproute2 does).

To load all of it takes a second or two. Who is told to stop meanwhile has claimed nothing and has nothing to hand back;
so it is heard from the first line on, before anything else is imported. Earlier, while Python itself starts, a process
ends by SIGTERM as any other does; a container's first process does not hear it then (measured 2026-11: 20 to 30 ms).
"""

from __future__ import annotations

import os
import signal
import sys

_SERVE = ("serve", "worker")


def main() -> None:
    """Run the command line."""
    _hear()
    from bridge.cli import main as run

    run()


def _hear() -> None:
    """End at once when told to stop, until a command has a better answer."""
    if sys.argv[1:2] and sys.argv[1] in _SERVE:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: os._exit(0))
    elif os.getpid() == 1:
        # A container's first process: the kernel drops a SIGTERM that it does not handle (man 7 pid_namespaces).
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


if __name__ == "__main__":
    main()
