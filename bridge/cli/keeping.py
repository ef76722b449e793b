"""The commands that keep what there is: backup, restore, retention."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.shared import ConfigFile, Json, opened, print_json, settings_of


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; it must not be there yet.")],
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Copy the database into one file, also while Bridge serves. The copy is checked before it gets its name."""
    from bridge.backup import back_up

    made = back_up(settings_of(config).database.url.get_secret_value(), file)
    if as_json:
        print_json({"file": str(made.file), "bytes": made.size})
    else:
        print(f"{made.file}: {made.size / 1024**2:.1f} MiB, checked; it holds patients' data as the database does")


def restore(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A backup; what is there now is kept beside it.")
    ] = None,
    marked: Annotated[
        bool, typer.Option("--mark", help="Only note that the database was put back by other means.")
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Put a backup in the place of the database. Stop Bridge first; its next start finds out what the backup lacks."""
    from bridge.backup import mark, put_back
    from bridge.wiring import utc_now

    if marked is (file is not None):
        raise typer.BadParameter("expected a backup file, or --mark where it was put back by other means")
    settings = settings_of(config)
    url, names = settings.database.url.get_secret_value(), tuple(settings.connections)
    if file is None:
        mark(url, names, utc_now())
        print(f"noted for {', '.join(names) or 'no connection'}")
    else:
        done = put_back(url, file, names, utc_now())
        print("\n".join([*(f"applied {revision}" for revision in done.migrated), f"restored from {file}"]))
        if done.aside is not None:
            print(f"what was there is kept as {done.aside}")
    print(
        "The next start reads everything again and looks for what was written since the backup, before it writes"
        " anything. bridge doctor says what it found.",
        file=sys.stderr,
    )


def retention(
    apply: Annotated[bool, typer.Option("--apply", help="Drop now what may go; Bridge must not be running.")] = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Say how much is kept and for how long. Bridge drops what nobody needs any more by itself, every six hours."""
    from dataclasses import asdict

    from msgspec.structs import asdict as fields_of

    from bridge.sync.retention import forget

    with opened(settings_of(config), owning=apply, existing=True) as bridge:
        dropped = forget(bridge.store, bridge.keeping, bridge.clock()) if apply else None
        with bridge.store.reading() as tx:
            sizes = tx.sizes()
        kept = bridge.settings.retention
    if as_json:
        print_json(
            {"kept": fields_of(sizes), "days": kept.model_dump(), "dropped": asdict(dropped) if dropped else None}
        )
        return
    bodies = f"{sizes.bodies} with their content ({sizes.body_bytes / 1024**2:.1f} MiB)"
    print(f"versions received: {sizes.versions}, {bodies}; content is kept {_for_days(kept.body_days)}")
    print(f"writes: {sizes.writes}; those whose place a later one took are kept {_for_days(kept.write_days)}")
    print(f"cases: {sizes.cases}, with {sizes.changes} entries of history; kept for ever")
    if dropped is not None:
        print(f"dropped now: the content of {dropped.bodies} versions, {dropped.writes} writes")


def _for_days(days: int) -> str:
    return f"for {days} days" if days else "for ever"
