"""
The command line: ``bridge demo | simulator | serve | sync | backfill | doctor | reconcile | config | explain |
replay | pause | resume | subscriptions | migrate | map``.

Exit codes: 0 all done and accounted for; 1 done, but something needs a person (the output says what); 2 wrong
usage or configuration; 3 an EHR or the database could not be reached; 130 interrupted. Results go to standard
output, progress and problems to standard error. Imports are inside the commands: help must come at once.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from datetime import datetime
    from types import FrameType

    from bridge.bootstrap import Bridge
    from bridge.config import Settings
    from bridge.sync.taking import Progress

DONE, NEEDS_A_PERSON, WRONG_SETUP, UNREACHABLE = 0, 1, 2, 3

app = typer.Typer(
    name="bridge",
    help="Keeps referrals, visits, refills and authorizations from getting lost, beside your EHR.",
    epilog="Exit codes: 0 all done; 1 done, but something needs a person; 2 wrong usage or configuration; "
    "3 an EHR or the database could not be reached; 130 interrupted.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Check the configuration, or show it.", no_args_is_help=True)
app.add_typer(config_app, name="config")
subscriptions_app = typer.Typer(help="Look at the EHR's Subscriptions, or take them away.", no_args_is_help=True)
app.add_typer(subscriptions_app, name="subscriptions")

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="Configuration file (default: BRIDGE_CONFIG, else ./bridge.toml)."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
OneConnection = Annotated[str | None, typer.Option("--connection", metavar="NAME", help="Only this connection.")]


def main() -> None:
    """Run the command line; wrong usage and Ctrl-C are Typer's to answer, with 2 and 130."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # A terminal may lack a letter of somebody's name.
    try:
        app()
    except Exception as error:  # noqa: BLE001 - the top: what it does not know it raises again
        code, words = _in_words(error)
        print(words, file=sys.stderr)
        sys.exit(code)


def _in_words(error: Exception) -> tuple[int, str]:
    """Return who has to act, as an exit code, and what went wrong; a fault of ours keeps its traceback."""
    from sqlalchemy.exc import DBAPIError

    from bridge.errors import BridgeError, ConfigError, RemoteError

    if isinstance(error, DBAPIError):
        return UNREACHABLE, f"database: {str(error.orig).splitlines()[0] if str(error.orig) else 'no answer'}"
    if isinstance(error, OSError) and error.filename:
        return WRONG_SETUP, f"{error.filename}: {error.strerror}"
    if not isinstance(error, BridgeError):
        raise error
    if isinstance(error, RemoteError) or isinstance(error.__cause__, DBAPIError):
        return UNREACHABLE, str(error)
    return WRONG_SETUP if isinstance(error, ConfigError) else NEEDS_A_PERSON, str(error)


def _version(wanted: bool) -> None:
    if wanted:
        from bridge import __version__

        print(f"bridge {__version__}")
        _leave(DONE)


@app.callback()
def top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Keep referrals, visits, refills and authorizations from getting lost, beside your EHR."""


# Working with an EHR --------------------------------------------------------------------------------------


@app.command()
def demo(
    port: Annotated[int, typer.Option(metavar="PORT", help="Of the web view; a free one if it is taken.")] = 8000,
    speed: Annotated[float, typer.Option(metavar="N", help="How many times faster than life stories go.")] = 1440.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Which synthetic patients and stories.")] = 1,
) -> None:
    """Show Bridge at work beside a simulated EHR. Nothing else is needed; all of its patients are synthetic."""
    from bridge.demo import run_demo

    run_demo(port=port, speed=speed, seed=seed)


@app.command()
def simulator(
    vendor: Annotated[str, typer.Option(metavar="NAME", help="Which EHR to play.")] = "generic",
    fault: Annotated[
        list[str] | None, typer.Option(metavar="NAME[=ARGUMENTS]", help="A fault to play; may be repeated.")
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="Print every EHR and fault, with its source.")] = False,
    port: Annotated[int, typer.Option(metavar="PORT", help="On 127.0.0.1; 0 for a free one.")] = 8090,
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
            seed=seed,
            patients=patients,
            speed=speed,
            vendor=vendor,
            faults=fault or (),
            fhir_version=fhir_version,
        )
    except (OSError, ValueError) as error:
        print(f"The simulated EHR did not start: {error}", file=sys.stderr)
        _leave(WRONG_SETUP)


@app.command()
def serve(config: ConfigFile = None) -> None:
    """Run Bridge and its web view. Reads, compares and delivers all the time, and serves the worklist and the API."""
    from bridge.serve import run_service

    settings = _settings(config)
    if not settings.connections:
        print(f"warning: {_NO_CONNECTION}", file=sys.stderr)
    with _bridge(settings) as bridge:
        run_service(bridge, host=settings.web.host, port=settings.web.port)


@app.command()
def sync(
    config: ConfigFile = None,
    connection: OneConnection = None,
    once: Annotated[bool, typer.Option("--once", help="One round, then end.")] = False,
    as_json: Json = False,
) -> None:
    """Read, compare and deliver all that is due. Without --once it goes on doing so, without the web view."""
    from bridge.progress import bars
    from bridge.report import sync_as_dict, sync_as_text

    settings = _with_connections(_settings(config))
    with _bridge(settings, only=connection) as bridge:
        if not once:
            from bridge.serve import run_worker

            print("Working; Ctrl-C ends it. The log says what goes wrong.", file=sys.stderr)
            run_worker(bridge)
            return
        with _resumable() as check, bars() as watch:
            reports = [connector.sync_once(_until(check, watch)) for connector in bridge.connectors.values()]
    if as_json:
        _print_json([sync_as_dict(report) for report in reports])
    else:
        print("\n".join(sync_as_text(report) for report in reports))
    if any(report.problems for report in reports):
        _leave(UNREACHABLE)
    _leave(DONE if all(report.complete for report in reports) else NEEDS_A_PERSON)


@app.command()
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
    settings = _with_connections(_settings(config))
    results: dict[str, Any] = {}
    with _bridge(settings, only=connection) as bridge, _resumable() as check:
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
        _print_json(results)
    _leave(DONE if all(result["complete"] for result in results.values()) else UNREACHABLE)


# Looking and mending --------------------------------------------------------------------------------------


@app.command()
def doctor(config: ConfigFile = None, connection: OneConnection = None, as_json: Json = False) -> None:
    """Check whether this set-up can work. Looks at the database and at what each EHR lets us read and write."""
    from bridge.doctor import examine, show

    findings = examine(_settings(config), only=connection)
    if as_json:
        _print_json([finding.as_dict() for finding in findings])
    else:
        print(show(findings))
    if not all(finding.reached for finding in findings):
        _leave(UNREACHABLE)
    _leave(DONE if all(finding.ok for finding in findings) else NEEDS_A_PERSON)


@app.command()
def reconcile(
    config: ConfigFile = None,
    connection: OneConnection = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a line for each difference as CSV.")] = False,
) -> None:
    """Prove that EHR and cases agree, or list each difference. Reads everything again, and changes nothing."""
    from bridge.report import agreement_as_dict, agreement_as_text, agreements_as_csv

    if as_json and as_csv:
        raise typer.BadParameter("expected --json or --csv, found both")
    settings = _with_connections(_settings(config))
    with _bridge(settings, owning=False, existing=True, only=connection) as bridge:
        found = [connector.prove() for connector in bridge.connectors.values()]
    if as_json:
        _print_json([agreement_as_dict(one) for one in found])
    else:
        print(agreements_as_csv(found) if as_csv else "\n".join(agreement_as_text(one) for one in found))
    _leave(DONE if all(one.holds for one in found) else NEEDS_A_PERSON)


@app.command()
def explain(
    case: Annotated[
        str, typer.Argument(metavar="CASE", help="The case's id, or what it began with: ServiceRequest/12.")
    ],
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Say why a case is as it is. Lists each version, rule, decision, write and answer, in order."""
    from zoneinfo import ZoneInfo

    from bridge.explain import explain_case, find_case, show

    with _bridge(_settings(config), owning=False, existing=True) as bridge:
        found = find_case(bridge.store, bridge.lines, case)
        if found is None:
            print(
                f"There is no case {case}. Give the id in the address of its page, or the type and id of a"
                " resource it rests on, such as ServiceRequest/12.",
                file=sys.stderr,
            )
            _leave(NEEDS_A_PERSON)
        steps = explain_case(bridge.store, found)
        if as_json:
            _print_json([step.as_dict() for step in steps])
        else:
            print(show(found, steps, ZoneInfo(bridge.settings.site.time_zone)))


@app.command()
def replay(
    what: Annotated[str, typer.Argument(metavar="inbox|outbox", help="What was received, or what is to be written.")],
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID", help="Rows to try again.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every parked row.")] = False,
    connection: Annotated[str | None, typer.Option(metavar="NAME", help="All of this connection.")] = None,
    type_: Annotated[str | None, typer.Option("--type", metavar="TYPE", help="All of this resource type.")] = None,
    code: Annotated[str | None, typer.Option(metavar="CODE", help="All that are parked for this reason.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; list each row, why it is parked, what it would become.")
    ] = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Try parked rows again, once their cause is mended. With --all --dry-run it lists them."""
    from bridge.replaying import Chosen, chosen_rows, try_again, with_outcomes
    from bridge.report import row_as_line

    if what not in ("inbox", "outbox"):
        raise typer.BadParameter(f"expected inbox or outbox, found {what!r}")
    some = Chosen(connection, type_, code)
    if bool(ids) == (every or some != Chosen()):
        raise typer.BadParameter(
            "expected either row ids, or --all or some of --connection, --type and --code;"
            " --all --dry-run lists what is parked"
        )
    if what == "outbox" and type_ is not None:
        raise typer.BadParameter("--type is for the inbox", param_hint="--type")
    with _bridge(_settings(config), owning=not dry_run, existing=True) as bridge:
        rows = chosen_rows(bridge, what, ids, some)
        if dry_run:
            rows = with_outcomes(bridge, what, rows)
        missing = sorted(set(ids or ()) - {row["id"] for row in rows})
        done = 0 if dry_run else try_again(bridge, what, [row["id"] for row in rows])
    if as_json:
        _print_json({"rows": rows, "not_parked": missing, "taken_up": done})
    else:
        print("\n".join(row_as_line(row) for row in rows) if dry_run and rows else f"{len(rows)} {what} rows parked")
        for row_id in missing:
            print(f"{row_id:>8}  is not parked in the {what}")
        if not dry_run:
            print(f"{done} of {len(rows)} taken up again")
    _leave(NEEDS_A_PERSON if missing or (not dry_run and done < len(rows)) else DONE)


_Paused = Annotated[str, typer.Argument(metavar="CONNECTION", help="Its name in bridge.toml.")]
_OneType = Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only this resource type.")]


@app.command()
def pause(connection: _Paused, type_: _OneType = None, config: ConfigFile = None) -> None:
    """Leave a connection alone for a while. No replica reads or writes until it is resumed; nothing is lost."""
    from bridge.pausing import pause_or_resume

    changed = pause_or_resume(_settings(config), "pause", connection, type_)
    named = f"{type_} of {connection}" if type_ else connection
    print(f"{named} is paused; bridge resume ends it" if changed else f"{named} was paused already")


@app.command()
def resume(connection: _Paused, type_: _OneType = None, config: ConfigFile = None) -> None:
    """End a pause. What changed meanwhile is read and written now."""
    from bridge.pausing import pause_or_resume

    changed = pause_or_resume(_settings(config), "resume", connection, type_)
    named = f"{type_} of {connection}" if type_ else connection
    print(f"{named} goes on" if changed else f"{named} was not paused")


@app.command()
def migrate(
    config: ConfigFile = None,
    check: Annotated[bool, typer.Option("--check", help="Only say what would be applied; 1 if anything.")] = False,
) -> None:
    """Bring the database's schema up to date. Stop Bridge and back up first; it only goes forward."""
    from bridge.store.engine import own, sqlite_file
    from bridge.store.migrations import migrate as apply
    from bridge.store.migrations import pending

    settings = _settings(config)
    url = settings.database.url.get_secret_value()
    file = sqlite_file(url)
    if check:
        new = file is not None and not file.exists()
        todo = (f"everything: {file} does not exist yet",) if new else pending(url)
        print("\n".join(todo) or "up to date")
        _leave(NEEDS_A_PERSON if todo else DONE)
    _make_folder(settings)
    with own(url):
        print("\n".join(f"applied {revision}" for revision in apply(url)) or "up to date")


@app.command(name="map")
def map_files(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE", help="JSON or NDJSON files, or folders of them.")],
    as_json: Json = False,
) -> None:
    """Say what Bridge makes of FHIR files. They are read as if an EHR had sent them; nothing is stored."""
    from bridge.mappers.survey import survey

    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise typer.BadParameter(f"no such file: {', '.join(missing)}", param_hint="FILE")
    files = [file for path in paths for file in (_payloads(path) if path.is_dir() else [path])]
    if not files:
        raise typer.BadParameter("no .json or .ndjson file in it", param_hint="FILE")
    summary = survey((str(file), file.read_bytes()) for file in files)
    print(summary.json().decode() if as_json else summary.text())


def _payloads(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix in (".json", ".ndjson") and file.is_file())


@config_app.command("check")
def config_check(config: ConfigFile = None) -> None:
    """Check bridge.toml, BRIDGE_* and the lanes file. Asks no EHR; bridge doctor does."""
    from bridge.config import find_file
    from bridge.wiring import make_auth, make_line, read_lanes

    settings = _settings(config)
    lanes = read_lanes(settings)
    lines = {name: make_line(name, section, settings, lanes) for name, section in settings.connections.items()}
    for name, section in settings.connections.items():
        make_auth(name, section)
    print(f"configuration: fine ({find_file(config) or 'no bridge.toml here: defaults and BRIDGE_* variables alone'})")
    print(f"  lanes: {', '.join(lane.name for lane in lanes.all)}")
    for name, line in lines.items():
        print(f"  connection {name}: {line.base_url} ({line.fhir_version}), reads {', '.join(line.types)}")
    if not lines:
        print(f"  {_NO_CONNECTION}")


@config_app.command("show")
def config_show(config: ConfigFile = None) -> None:
    """Print the settings in force as JSON, secrets hidden."""
    from bridge.config import shown

    _print_json(shown(_settings(config)))


@subscriptions_app.command("list")
def subscriptions_list(config: ConfigFile = None, connection: OneConnection = None, as_json: Json = False) -> None:
    """Say how each Subscription stands, as Bridge last saw it, and what was heard of it. Asks no EHR."""
    from bridge.subscriptions import as_lines, listed

    with _bridge(_settings(config), owning=False, existing=True, only=connection) as bridge:
        known = listed(bridge)
    if as_json:
        _print_json(known)
    else:
        print("\n".join(as_lines(known)))


@subscriptions_app.command("verify")
def subscriptions_verify(config: ConfigFile = None, connection: OneConnection = None, as_json: Json = False) -> None:
    """Ask each EHR whether its Subscriptions are as they should be. Changes nothing."""
    from bridge.subscriptions import standing_as_line, verified

    with _bridge(_settings(config), owning=False, existing=True, only=connection) as bridge:
        found = {name: verified(bridge, name) for name in bridge.connectors}
    if as_json:
        _print_json(found)
    else:
        print("\n".join(standing_as_line(name, one) for name, standings in found.items() for one in standings))
    _leave(NEEDS_A_PERSON if any(one["problem"] for standings in found.values() for one in standings) else DONE)


@subscriptions_app.command("remove")
def subscriptions_remove(config: ConfigFile = None, connection: OneConnection = None, as_json: Json = False) -> None:
    """Delete the Subscriptions that Bridge made, and no others. Set subscribe = "off" first, or it makes them again."""
    from bridge.subscriptions import removed

    with _bridge(_settings(config), existing=True, only=connection) as bridge:
        done = {name: removed(bridge, name) for name in bridge.connectors}
    if as_json:
        _print_json(done)
    else:
        for name, one in done.items():
            print(f"{name}: {one['problem'] or ', '.join(one['removed']) or 'none'}")
    _leave(NEEDS_A_PERSON if any(one["problem"] for one in done.values()) else DONE)


# Shared ---------------------------------------------------------------------------------------------------

_NO_CONNECTION = (
    'no connection yet: add [connections.NAME] with base_url = "http://..." to bridge.toml,'
    " or set BRIDGE_CONNECTIONS__NAME__BASE_URL"
)


def _settings(config: Path | None) -> Settings:
    from bridge.config import load_settings
    from bridge.logs import set_up

    settings = load_settings(config)
    set_up(settings.log.level, settings.log.format)
    return settings


def _with_connections(settings: Settings) -> Settings:
    from bridge.errors import ConfigError

    if not settings.connections:
        raise ConfigError(_NO_CONNECTION)
    return settings


@contextmanager
def _bridge(
    settings: Settings, *, owning: bool = True, existing: bool = False, only: str | None = None
) -> Iterator[Bridge]:
    """Wire everything up; *existing* refuses to make the database, for commands that only look into it."""
    from bridge.bootstrap import open_bridge
    from bridge.store.migrations import check

    if existing:
        check(settings.database.url.get_secret_value())
    _make_folder(settings)
    with open_bridge(settings, owning=owning, only=only) as bridge:
        yield bridge


def _make_folder(settings: Settings) -> None:
    """Make the folder of the SQLite file: the lock is put there first."""
    from bridge.store.engine import sqlite_file

    file = sqlite_file(settings.database.url.get_secret_value())
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def _resumable() -> Iterator[Callable[[], None]]:
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


def _print_json(value: object) -> None:
    import json

    print(json.dumps(value, indent=2))


def _leave(code: int) -> NoReturn:
    raise typer.Exit(code)


if __name__ == "__main__":
    main()
