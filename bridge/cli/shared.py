"""What every command shares: its exit codes and options, the settings, the wiring, and how it prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from bridge.bootstrap import Bridge
    from bridge.config import Settings

_ASK_AGAIN_SECONDS = 1.0

DONE, NEEDS_A_PERSON, WRONG_SETUP, UNREACHABLE = 0, 1, 2, 3

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="Configuration file (default: BRIDGE_CONFIG, else ./bridge.toml)."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
OneConnection = Annotated[str | None, typer.Option("--connection", metavar="NAME", help="Only this connection.")]

Wait = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", min=0, help="How long to wait for the database to be ready.")
]

NO_CONNECTION = (
    'no connection yet: add [connections.NAME] with base_url = "http://..." to bridge.toml,'
    " or set BRIDGE_CONNECTIONS__NAME__BASE_URL"
)


def settings_of(config: Path | None) -> Settings:
    from bridge.config import load_settings
    from bridge.logs import set_up

    settings = load_settings(config)
    set_up(settings.log.level, settings.log.format)
    return settings


def with_connections(settings: Settings) -> Settings:
    from bridge.errors import ConfigError

    if not settings.connections:
        raise ConfigError(NO_CONNECTION)
    return settings


@contextmanager
def opened(
    settings: Settings, *, owning: bool = True, existing: bool = False, only: str | None = None
) -> Iterator[Bridge]:
    """Wire everything up; *existing* refuses to make the database, for commands that only look into it."""
    from bridge.bootstrap import open_bridge
    from bridge.store.migrations import check

    if existing:
        check(settings.database.url.get_secret_value())
    make_folder(settings)
    with open_bridge(settings, owning=owning, only=only) as bridge:
        yield bridge


def await_schema(settings: Settings, seconds: float, told: Event) -> None:
    """Return when the database answers and its schema is ours, or is made by whoever opens it; say so when told."""
    from bridge.store.migrations import check, is_blank

    url = settings.database.url.get_secret_value()

    def ask() -> None:
        if not is_blank(url):
            check(url)

    if seconds and not await_database(ask, seconds, told):
        leave(DONE)


def await_database(ask: Callable[[], object], seconds: float, told: Event) -> bool:
    """
    Ask the database till it answers, with a second between; returns whether it did before we were *told* to stop.

    Raises:
        ConfigError: It did not in so many seconds; what it said last.
    """
    import time

    from bridge.errors import ConfigError

    deadline = time.monotonic() + seconds
    while not told.is_set():
        try:
            ask()
            return True
        except ConfigError:
            if time.monotonic() >= deadline:
                raise
        told.wait(_ASK_AGAIN_SECONDS)
    return False


def make_folder(settings: Settings) -> None:
    """Make the folder of the SQLite file: the lock is put there first."""
    from bridge.store.engine import sqlite_file

    file = sqlite_file(settings.database.url.get_secret_value())
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)


def print_json(value: object) -> None:
    import json

    print(json.dumps(value, indent=2))


def leave(code: int) -> NoReturn:
    raise typer.Exit(code)
