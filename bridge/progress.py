"""A bar per stream while an EHR is read, on a terminal alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from bridge.errors import RemoteError
from bridge.sync.connector import Connector
from bridge.sync.taking import Progress


def totals(connector: Connector) -> dict[str, int]:
    """Ask the EHR how much of each stream there is; it may not tell."""
    found: dict[str, int] = {}
    for stream in connector.line.types:
        try:
            total = connector.client.count(stream)
        except RemoteError:
            return found
        if total is not None:
            found[stream] = total
    return found


@contextmanager
def bars(expected: Callable[[], Mapping[str, int]] = dict) -> Iterator[Callable[[Progress], None]]:
    """
    Give something to tell each page to; shows bars on standard error if that is a terminal.

    Args:
        expected: Asked once, if bars are shown, how much of each stream there will be.
    """
    if not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True)) as shown:
        known = expected()
        tasks: dict[str, TaskID] = {}

        def watch(progress: Progress) -> None:
            if progress.stream not in tasks:
                tasks[progress.stream] = shown.add_task(progress.stream, total=known.get(progress.stream))
            shown.update(tasks[progress.stream], completed=progress.read)

        yield watch
