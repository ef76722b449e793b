"""
The command line: ``bridge demo | simulator | stories | serve | worker | sync | backfill | doctor | support-bundle |
reconcile | config | explain | replay | pause | resume | subscriptions | migrate | backup | restore | retention |
map``.

Exit codes: 0 all done and accounted for; 1 done, but something needs a person (the output says what); 2 wrong
usage or configuration; 3 an EHR or the database could not be reached; 130 interrupted. Results go to standard
output, progress and problems to standard error. Imports are inside the commands: help must come at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bridge.cli import config, keeping, mending, subscriptions, working
from bridge.cli.shared import DONE, NEEDS_A_PERSON, UNREACHABLE, WRONG_SETUP, leave

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

app.command()(working.demo)
app.command()(working.simulator)
app.command()(working.stories)
app.command()(working.serve)
app.command()(working.worker)
app.command()(working.sync)
app.command()(working.backfill)
app.command()(mending.doctor)
app.command(name="support-bundle")(mending.support_bundle)
app.command()(mending.reconcile)
app.command()(mending.explain)
app.command()(mending.replay)
app.command()(mending.pause)
app.command()(mending.resume)
app.command()(mending.migrate)
app.command()(keeping.backup)
app.command()(keeping.restore)
app.command()(keeping.retention)
app.command(name="map")(mending.map_files)

_config = typer.Typer(help="Check the configuration, or show it.", no_args_is_help=True)
app.add_typer(_config, name="config")
_config.command()(config.check)
_config.command()(config.show)

_subscriptions = typer.Typer(help="Look at the EHR's Subscriptions, or take them away.", no_args_is_help=True)
app.add_typer(_subscriptions, name="subscriptions")
_subscriptions.command(name="list")(subscriptions.list_known)
_subscriptions.command()(subscriptions.verify)
_subscriptions.command()(subscriptions.remove)


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
        leave(DONE)


@app.callback()
def top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Keep referrals, visits, refills and authorizations from getting lost, beside your EHR."""
