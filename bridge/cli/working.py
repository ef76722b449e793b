"""The commands that work with an EHR, a simulated one among them."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.shared import (
    DONE,
    NEEDS_A_PERSON,
    NO_CONNECTION,
    UNREACHABLE,
    WRONG_SETUP,
    ConfigFile,
    Json,
    OneConnection,
    Wait,
    await_schema,
    leave,
    opened,
    print_json,
    settings_of,
    with_connections,
)

if TYPE_CHECKING:
    from datetime import datetime
    from types import FrameType

    from bridge.sync.taking import Progress


def demo(
    port: Annotated[int, typer.Option(metavar="PORT", help="Of the web view; a free one if it is taken.")] = 8000,
    speed: Annotated[float, typer.Option(metavar="N", help="How many times faster than life stories go.")] = 1440.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Which synthetic patients and stories.")] = 1,
) -> None:
    """Show Bridge at work beside a simulated EHR. Nothing else is needed; all of its patients are synthetic."""
    from bridge.demo import run_demo

    run_demo(port=port, speed=speed, seed=seed)


def simulator(
    vendor: Annotated[str, typer.Option(metavar="NAME", help="Which EHR to play.")] = "generic",
    fault: Annotated[
        list[str] | None, typer.Option(metavar="NAME[=ARGUMENTS]", help="A fault to play; may be repeated.")
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="Print every EHR and fault, with its source.")] = False,
    port: Annotated[int, typer.Option(metavar="PORT", help="0 for a free one.")] = 8090,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; 0.0.0.0 in a container.")
    ] = "127.0.0.1",
    seed: Annotated[int, typer.Option(metavar="N", help="Which synthetic patients, stories and chances.")] = 1,
    patients: Annotated[
        int | None, typer.Option(metavar="N", help="How many patients, each with a story. (default: new ones for ever)")
    ] = None,
    speed: Annotated[float, typer.Option(metavar="N", help="How many times faster than life stories go.")] = 1440.0,
    fhir_version: Annotated[str, typer.Option(metavar="R4|R4B", help="What it declares.")] = "R4",
) -> None:
    """Play an EHR, with its habits and faults, to try things on. All of its patients are synthetic."""
    from conformance.command import run_simulator, what_it_plays

    if list_all:
        print(what_it_plays())
        return
    try:
        run_simulator(
            port=port,
            host=host,
            seed=seed,
            patients=patients,
            speed=speed,
            vendor=vendor,
            faults=fault or (),
            fhir_version=fhir_version,
        )
    except (OSError, ValueError) as error:
        print(f"The simulated EHR did not start: {error}", file=sys.stderr)
        leave(WRONG_SETUP)


def stories(
    base_url: Annotated[str, typer.Argument(metavar="URL", help="Base of a FHIR server that is there to be tried on.")],
    config: ConfigFile = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Which synthetic patients and stories.")] = 1,
    patients: Annotated[
        int | None, typer.Option(metavar="N", help="How many patients, each with a story. (default: new ones for ever)")
    ] = None,
    speed: Annotated[float, typer.Option(metavar="N", help="How many times faster than life stories go.")] = 1440.0,
) -> None:
    """Tell synthetic stories on a FHIR server. All of its patients stay there: never name a real EHR."""
    import logging

    from conformance.onto import tell_stories

    settings_of(config)
    log = logging.getLogger("bridge.stories")
    tell_stories(base_url, seed=seed, stories=patients, speed=speed, say=log.info)


def serve(config: ConfigFile = None, wait: Wait = 0) -> None:
    """Run Bridge and its web view. Reads, compares and delivers all the time, and serves the worklist and the API."""
    from bridge.serve import Stop, run_service

    stop = Stop()
    settings = settings_of(config)
    if not settings.connections:
        print(f"warning: {NO_CONNECTION}", file=sys.stderr)
    await_schema(settings, wait, stop.told)
    with opened(settings) as bridge:
        run_service(bridge, host=settings.web.host, port=settings.web.port, stop=stop)


def worker(
    config: ConfigFile = None,
    wait: Wait = 0,
    port: Annotated[int | None, typer.Option(metavar="PORT", help="Of its health; 0 for a free one.")] = None,
) -> None:
    """Do all that `bridge serve` does but its web view. Any number may share one PostgreSQL database."""
    from bridge.serve import Stop, run_worker

    stop = Stop()
    settings = with_connections(settings_of(config))
    await_schema(settings, wait, stop.told)
    with opened(settings) as bridge:
        run_worker(bridge, host=settings.web.host, port=settings.web.port if port is None else port, stop=stop)


def sync(
    config: ConfigFile = None,
    connection: OneConnection = None,
    once: Annotated[bool, typer.Option("--once", help="One round, then end.")] = False,
    as_json: Json = False,
) -> None:
    """Read, compare and deliver all that is due. Without --once it goes on doing so, without the web view."""
    from bridge.progress import bars
    from bridge.report import sync_as_dict, sync_as_text

    settings = with_connections(settings_of(config))
    with opened(settings, only=connection) as bridge:
        if not once:
            from bridge.serve import run_loops

            print("Working; Ctrl-C ends it. The log says what goes wrong.", file=sys.stderr)
            run_loops(bridge)
            return
        with resumable() as check, bars() as watch:
            reports = [connector.sync_once(_until(check, watch)) for connector in bridge.connectors.values()]
    if as_json:
        print_json([sync_as_dict(report) for report in reports])
    else:
        print("\n".join(sync_as_text(report) for report in reports))
    if any(report.problems for report in reports):
        leave(UNREACHABLE)
    leave(DONE if all(report.complete for report in reports) else NEEDS_A_PERSON)


def backfill(
    config: ConfigFile = None,
    connection: OneConnection = None,
    since: Annotated[str | None, typer.Option(metavar="DAY", help="Begin at this day (YYYY-MM-DD) instead.")] = None,
    as_json: Json = False,
) -> None:
    """Read all since the start date, with progress. Interrupted, it goes on where it stopped; nothing is written."""
    import dataclasses
    from functools import partial

    from bridge.errors import RemoteError
    from bridge.progress import bars, totals
    from bridge.report import problems_as_lines, streams_as_dict, streams_as_lines

    start = _day(since)
    settings = with_connections(settings_of(config))
    results: dict[str, Any] = {}
    with opened(settings, only=connection) as bridge, resumable() as check:
        for name, connector in bridge.connectors.items():
            chosen = dataclasses.replace(connector, since=start) if start is not None else connector
            with bars(partial(totals, chosen)) as watch:
                polls, problems = chosen.read(_until(check, watch))
            try:
                chosen.name_people()
            except RemoteError as error:
                problems.append(str(error))
            results[name] = {"complete": not problems, "streams": streams_as_dict(polls), "problems": problems}
            if not as_json:
                print(f"{name}: {'NOT complete' if problems else 'complete'}")
                print("\n".join([*streams_as_lines(polls), *problems_as_lines(problems)]))
    if as_json:
        print_json(results)
    leave(DONE if all(result["complete"] for result in results.values()) else UNREACHABLE)


# Interrupting -------------------------------------------------------------------------------------------


@contextmanager
def resumable() -> Iterator[Callable[[], None]]:
    """
    Say on Ctrl-C that nothing is lost; gives a check that ends the work where the interruption went under.

    Python raises KeyboardInterrupt wherever it is, and drops it in a finalizer (language reference, ``__del__``).
    """
    asked = False

    def interrupted(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        raise KeyboardInterrupt

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield check
        check()
    except KeyboardInterrupt:
        print("Interrupted. What was read is stored; the next run goes on from there.", file=sys.stderr)
        raise
    finally:
        signal.signal(signal.SIGINT, before)


def _until(check: Callable[[], None], watch: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Return *watch* with *check* after every page."""

    def checked(progress: Progress) -> None:
        watch(progress)
        check()

    return checked


def _day(text: str | None) -> datetime | None:
    from datetime import UTC, date, datetime, time

    try:
        return datetime.combine(date.fromisoformat(text), time.min, UTC) if text is not None else None
    except ValueError:
        raise typer.BadParameter(f"expected a day such as 2026-03-01, found {text!r}", param_hint="--since") from None
