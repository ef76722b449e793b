"""
The command line: ``bridge demo | serve | sync | backfill | doctor | config | explain | replay | migrate | map``.

Exit codes: 0 all done and accounted for; 1 done, but something needs a person (the output says what); 2 wrong
usage or configuration; 3 an EHR or the database could not be reached; 130 interrupted. Results go to standard
output, progress and problems to standard error. Imports are inside the commands: help must come at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from bridge.bootstrap import Bridge
    from bridge.config import Settings
    from bridge.sync.connector import SyncReport

DONE, NEEDS_A_PERSON, WRONG_SETUP, UNREACHABLE = 0, 1, 2, 3

app = typer.Typer(
    name="bridge",
    help="Keeps referrals, visits, refills and authorizations from getting lost, beside your EHR.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Check the configuration.", no_args_is_help=True)
app.add_typer(config_app, name="config")

ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="Configuration file (default: ./bridge.toml).")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
OneConnection = Annotated[str | None, typer.Option("--connection", help="Only this connection.")]


def main() -> None:
    """Run the command line; wrong usage and Ctrl-C are Typer's to answer, with 2 and 130."""
    from bridge.errors import BridgeError

    try:
        app()
    except BridgeError as error:
        print(error, file=sys.stderr)
        sys.exit(_exit_code(error))


def _exit_code(error: Exception) -> int:
    """Return who has to act: 3 when an EHR or the database was not there, 2 for the set-up, else 1."""
    from bridge.errors import ConfigError, RemoteError

    if isinstance(error, RemoteError) or _of_database(error.__cause__):
        return UNREACHABLE
    return WRONG_SETUP if isinstance(error, ConfigError) else NEEDS_A_PERSON


def _of_database(error: BaseException | None) -> bool:
    from sqlalchemy.exc import DBAPIError

    return isinstance(error, DBAPIError)


# Working with an EHR --------------------------------------------------------------------------------------


@app.command()
def demo(
    port: Annotated[int, typer.Option(help="Port of the web view; another free one if it is taken.")] = 8000,
    speed: Annotated[float, typer.Option(help="How many times faster than life the stories go.")] = 1440.0,
    seed: Annotated[int, typer.Option(help="Which synthetic patients and stories.")] = 1,
) -> None:
    """Start a simulated EHR, Bridge and the web view with synthetic patients; nothing else is needed."""
    from bridge.demo import run_demo

    run_demo(port=port, speed=speed, seed=seed)


@app.command()
def serve(config: ConfigFile = None) -> None:
    """Run Bridge: read, compare and deliver all the time, and serve the web view and the API."""
    from bridge.serve import run_service

    settings = _settings(config)
    with _bridge(settings) as bridge:
        run_service(bridge, host=settings.web.host, port=settings.web.port)


@app.command()
def sync(
    config: ConfigFile = None,
    connection: OneConnection = None,
    once: Annotated[bool, typer.Option("--once", help="One round, then end.")] = False,
    as_json: Json = False,
) -> None:
    """Read everything due, compare, deliver everything due; without --once go on doing so."""
    settings = _settings(config)
    with _bridge(settings, only=connection) as bridge:
        if not once:
            from bridge.serve import run_worker

            run_worker(bridge)
            return
        with _progress() as watch:
            reports = [connector.sync_once(watch) for connector in bridge.connectors.values()]
        _print_sync(reports, as_json)
    _leave(0 if all(report.complete for report in reports) else _why_incomplete(reports))


def _why_incomplete(reports: list[SyncReport]) -> int:
    return UNREACHABLE if any(report.problems for report in reports) else NEEDS_A_PERSON


@app.command()
def backfill(
    config: ConfigFile = None,
    connection: OneConnection = None,
    since: Annotated[str | None, typer.Option(help="Begin at this day (YYYY-MM-DD) instead.")] = None,
    as_json: Json = False,
) -> None:
    """Read everything since the start date, with progress; interrupted, it goes on where it stopped."""
    import dataclasses
    from datetime import UTC, datetime

    try:
        start = datetime.fromisoformat(since).replace(tzinfo=UTC) if since else None
    except ValueError:
        raise typer.BadParameter("expected a day such as 2026-03-01", param_hint="--since") from None
    settings = _settings(config)
    results: dict[str, Any] = {}
    failed = False
    with _bridge(settings, only=connection) as bridge:
        for name, connector in bridge.connectors.items():
            chosen = dataclasses.replace(connector, since=start) if start is not None else connector
            with _progress(_totals(chosen)) as watch:
                polls, problems = chosen.read(watch)
            chosen.name_people()
            failed |= bool(problems)
            results[name] = {"read": {poll.stream: poll.counts.received for poll in polls}, "problems": problems}
    if as_json:
        print(json.dumps(results, indent=2))
    else:
        for name, result in results.items():
            total = sum(result["read"].values())
            print(f"{name}: {total} read" + "".join(f"\n  {problem}" for problem in result["problems"]))
    _leave(UNREACHABLE if failed else DONE)


def _totals(connector: Any) -> dict[str, int]:
    """Ask the EHR how much there is, for the progress bar; it may not tell."""
    from bridge.errors import RemoteError

    found = {}
    for stream in connector.line.types:
        try:
            total = connector.client.count(stream)
        except RemoteError:
            total = None
        if total is not None:
            found[stream] = total
    return found


# Looking and mending --------------------------------------------------------------------------------------


@app.command()
def doctor(config: ConfigFile = None, connection: OneConnection = None, as_json: Json = False) -> None:
    """Check configuration, database and every connection, and say what each EHR lets us write and how."""
    from bridge.doctor import examine, show

    findings = examine(_settings(config), only=connection)
    print(json.dumps([finding.as_dict() for finding in findings], indent=2) if as_json else show(findings))
    _leave(DONE if all(finding.ok for finding in findings) else NEEDS_A_PERSON)


@app.command()
def explain(
    case: Annotated[str, typer.Argument(help="The case's id, or its root such as ServiceRequest/12.")],
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Say why a case is as it is: each version, rule, decision, write and answer, in order."""
    from bridge.explain import explain_case, find_case, show

    with _bridge(_settings(config), owning=False) as bridge:
        found = find_case(bridge.store, bridge.lines, case)
        if found is None:
            print(f"There is no case {case}.", file=sys.stderr)
            _leave(NEEDS_A_PERSON)
        steps = explain_case(bridge.store, found)
        zone = next(iter(bridge.lines.values())).rules.calendar.zone if bridge.lines else None
        print(json.dumps([step.as_dict() for step in steps], indent=2) if as_json else show(found, steps, zone))


@app.command()
def replay(
    what: Annotated[str, typer.Argument(help="inbox or outbox.")],
    ids: Annotated[list[int] | None, typer.Argument(help="Row ids; none with --all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every parked row.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be tried.")] = False,
    config: ConfigFile = None,
) -> None:
    """Try parked inbox or outbox rows again, once their cause is mended."""
    from bridge.cases.intents import IntentState
    from bridge.store.port import InboxState
    from bridge.sync.replay import replay_inbox, replay_outbox

    if what not in ("inbox", "outbox"):
        raise typer.BadParameter("expected inbox or outbox", param_hint="WHAT")
    if not ids and not every:
        raise typer.BadParameter("give row ids, or --all", param_hint="IDS")
    with _bridge(_settings(config), owning=not dry_run) as bridge:
        chosen = list(ids or ())
        if every:
            with bridge.store.reading() as tx:
                parked_in = tx.inbox(state=InboxState.PARKED, limit=100_000) if what == "inbox" else []
                parked_out = tx.outbox(state=IntentState.PARKED, limit=100_000) if what == "outbox" else []
            chosen = [row.id for row in parked_in if row.id is not None] + [row.id for row in parked_out]
        if dry_run:
            print(f"{len(chosen)} {what} rows would be tried again")
            return
        now = bridge.clock()
        done = (
            replay_inbox(bridge.store, bridge.lines, chosen, now)
            if what == "inbox"
            else replay_outbox(bridge.store, chosen, now)
        )
    print(f"{done} of {len(chosen)} {what} rows taken up again")
    _leave(DONE if done == len(chosen) else NEEDS_A_PERSON)


@app.command()
def migrate(
    config: ConfigFile = None,
    check: Annotated[bool, typer.Option("--check", help="Only say what would be applied.")] = False,
) -> None:
    """Bring the database's schema up to date."""
    from bridge.store.engine import sqlite_file
    from bridge.store.migrations import migrate as apply
    from bridge.store.migrations import pending

    url = _settings(config).database.url.get_secret_value()
    file = sqlite_file(url)
    if check:
        todo = pending(url) if file is None or file.exists() else ("everything: the database does not exist yet",)
        print("\n".join(todo) or "up to date")
        _leave(NEEDS_A_PERSON if todo else DONE)
    print("\n".join(f"applied {revision}" for revision in apply(url)) or "up to date")


@app.command(name="map")
def map_files(
    paths: Annotated[list[Path], typer.Argument(help="JSON files or folders of FHIR resources.")],
    as_json: Json = False,
) -> None:
    """Read FHIR files as an EHR would send them and say what Bridge makes of each; nothing is stored."""
    from bridge.mappers.survey import survey

    files = [file for path in paths for file in (sorted(path.rglob("*.json")) if path.is_dir() else [path])]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise typer.BadParameter(f"no such file: {', '.join(missing)}", param_hint="PATHS")
    summary = survey((str(file), file.read_bytes()) for file in files)
    print(summary.json().decode() if as_json else summary.text())


@config_app.command("check")
def config_check(config: ConfigFile = None) -> None:
    """Check bridge.toml, BRIDGE_* and the lanes file, and say what they amount to."""
    from bridge.bootstrap import make_line, read_lanes

    settings = _settings(config)
    lanes = read_lanes(settings)
    lines = {name: make_line(name, section, settings, lanes) for name, section in settings.connections.items()}
    print("configuration: fine")
    print(f"  lanes: {', '.join(lane.name for lane in lanes.all)}")
    for name, line in lines.items():
        print(f"  connection {name}: {line.base_url} ({line.fhir_version}), reads {', '.join(line.types)}")
    if not lines:
        print('  no connection yet: add [connections.NAME] with base_url = "..."')


@config_app.command("show")
def config_show(config: ConfigFile = None) -> None:
    """Print the configuration as it is in force, secrets hidden."""
    print(_settings(config).model_dump_json(indent=2))


# Shared ---------------------------------------------------------------------------------------------------


def _settings(config: Path | None) -> Settings:
    from bridge.config import load_settings
    from bridge.logs import set_up

    settings = load_settings(config)
    set_up(settings.log.level, settings.log.format)
    return settings


@contextmanager
def _bridge(settings: Settings, *, owning: bool = True, only: str | None = None) -> Iterator[Bridge]:
    from bridge.bootstrap import open_bridge

    with open_bridge(settings, owning=owning, only=only) as bridge:
        yield bridge


@contextmanager
def _progress(totals: dict[str, int] | None = None) -> Iterator[Callable[[Any], None]]:
    """Show a bar per stream on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def watch(progress: Any) -> None:
            stream = progress.stream
            if stream not in tasks:
                tasks[stream] = bars.add_task(stream, total=(totals or {}).get(stream))
            bars.update(tasks[stream], completed=progress.read)

        yield watch


def _print_sync(reports: list[SyncReport], as_json: bool) -> None:
    from bridge.report import sync_as_dict, sync_as_text

    if as_json:
        print(json.dumps([sync_as_dict(report) for report in reports], indent=2))
        return
    print("\n".join(sync_as_text(report) for report in reports) or "no connection is configured")


def _leave(code: int) -> NoReturn:
    raise typer.Exit(code)


if __name__ == "__main__":
    main()
