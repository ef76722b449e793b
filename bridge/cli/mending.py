"""The commands that look at what there is, and mend it."""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from bridge.cli.shared import (
    DONE,
    NEEDS_A_PERSON,
    UNREACHABLE,
    ConfigFile,
    Json,
    OneConnection,
    Wait,
    await_database,
    leave,
    make_folder,
    opened,
    print_json,
    settings_of,
    with_connections,
)


def doctor(config: ConfigFile = None, connection: OneConnection = None, as_json: Json = False) -> None:
    """Check whether this set-up can work. Looks at the database and at what each EHR lets us read and write."""
    from bridge.doctor import examine, show

    findings = examine(settings_of(config), only=connection)
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        print(show(findings))
    if not all(finding.reached for finding in findings):
        leave(UNREACHABLE)
    leave(DONE if all(finding.ok for finding in findings) else NEEDS_A_PERSON)


def support_bundle(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The zip file to make.")],
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Bridge's own log (JSON) to take the recent errors from.")
    ] = None,
    config: ConfigFile = None,
    without_ehr: Annotated[bool, typer.Option("--offline", help="Ask no EHR anything.")] = False,
) -> None:
    """Collect what somebody else needs to help. Holds no patient data and no secret; look into it all the same."""
    from bridge.doctor import examine
    from bridge.errors import ConfigError
    from bridge.support import bundle, write
    from bridge.wiring import utc_now

    settings = settings_of(config)
    findings = examine(settings, offline=without_ehr)
    lines = log.read_text(errors="replace").splitlines() if log is not None else []
    try:
        with opened(settings, owning=False, existing=True) as bridge:
            contents = bundle(settings, findings, lines, bridge.web(), utc_now())
    except ConfigError as error:
        print(f"without figures: {error}", file=sys.stderr)
        contents = bundle(settings, findings, lines, None, utc_now())
    write(file, contents)
    for name, content in contents.items():
        print(f"{len(content):>9}  {name}")
    print(f"{file} is made")


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
    settings = with_connections(settings_of(config))
    with opened(settings, owning=False, existing=True, only=connection) as bridge:
        found = [connector.prove() for connector in bridge.connectors.values()]
    if as_json:
        print_json([agreement_as_dict(one) for one in found])
    else:
        print(agreements_as_csv(found) if as_csv else "\n".join(agreement_as_text(one) for one in found))
    leave(DONE if all(one.holds for one in found) else NEEDS_A_PERSON)


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

    with opened(settings_of(config), owning=False, existing=True) as bridge:
        found = find_case(bridge.store, bridge.lines, case)
        if found is None:
            print(
                f"There is no case {case}. Give the id in the address of its page, or the type and id of a"
                " resource it rests on, such as ServiceRequest/12.",
                file=sys.stderr,
            )
            leave(NEEDS_A_PERSON)
        steps = explain_case(bridge.store, found)
        if as_json:
            print_json([step.as_dict() for step in steps])
        else:
            print(show(found, steps, ZoneInfo(bridge.settings.site.time_zone)))


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
    with opened(settings_of(config), owning=not dry_run, existing=True) as bridge:
        rows = chosen_rows(bridge, what, ids, some)
        if dry_run:
            rows = with_outcomes(bridge, what, rows)
        missing = sorted(set(ids or ()) - {row["id"] for row in rows})
        done = 0 if dry_run else try_again(bridge, what, [row["id"] for row in rows])
    if as_json:
        print_json({"rows": rows, "not_parked": missing, "taken_up": done})
    else:
        print("\n".join(row_as_line(row) for row in rows) if dry_run and rows else f"{len(rows)} {what} rows parked")
        for row_id in missing:
            print(f"{row_id:>8}  is not parked in the {what}")
        if not dry_run:
            print(f"{done} of {len(rows)} taken up again")
    leave(NEEDS_A_PERSON if missing or (not dry_run and done < len(rows)) else DONE)


_Paused = Annotated[str, typer.Argument(metavar="CONNECTION", help="Its name in bridge.toml.")]
_OneType = Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only this resource type.")]


def pause(connection: _Paused, type_: _OneType = None, config: ConfigFile = None) -> None:
    """Leave a connection alone for a while. No replica reads or writes until it is resumed; nothing is lost."""
    from bridge.pausing import pause_or_resume

    changed = pause_or_resume(settings_of(config), "pause", connection, type_)
    named = f"{type_} of {connection}" if type_ else connection
    print(f"{named} is paused; bridge resume ends it" if changed else f"{named} was paused already")


def resume(connection: _Paused, type_: _OneType = None, config: ConfigFile = None) -> None:
    """End a pause. What changed meanwhile is read and written now."""
    from bridge.pausing import pause_or_resume

    changed = pause_or_resume(settings_of(config), "resume", connection, type_)
    named = f"{type_} of {connection}" if type_ else connection
    print(f"{named} goes on" if changed else f"{named} was not paused")


def migrate(
    config: ConfigFile = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what would be applied, who waits and who may stay; 1 if anything.")
    ] = False,
    wait: Wait = 0,
    as_json: Json = False,
) -> None:
    """Bring the database's schema up to date. Back up first; it only goes forward."""
    from bridge.store.engine import own, sqlite_file
    from bridge.store.migrations import migrate as apply
    from bridge.store.migrations import pending, plan

    settings = settings_of(config)
    url = settings.database.url.get_secret_value()
    if check:
        found = plan(url)
        print(found.json if as_json else found.text)
        leave(NEEDS_A_PERSON if found.steps else DONE)
    make_folder(settings)
    if wait and sqlite_file(url) is None:
        await_database(lambda: pending(url), wait, Event())
    with own(url):
        applied = apply(url)
    if as_json:
        print_json({"applied": applied})
    else:
        print("\n".join(f"applied {revision}" for revision in applied) or "up to date")


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
