"""``bridge config``: check the configuration, or show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.shared import DONE, NEEDS_A_PERSON, NO_CONNECTION, ConfigFile, leave, opened, print_json, settings_of

if TYPE_CHECKING:
    from bridge.config import Settings


def check(
    config: ConfigFile = None,
    against_history: Annotated[
        bool, typer.Option("--against-history", help="Also say which open cases it would change, and how.")
    ] = False,
) -> None:
    """Check bridge.toml, BRIDGE_* and the lanes file. Asks no EHR; bridge doctor does."""
    from bridge.cases.clinical import who_may_answer
    from bridge.config import find_file
    from bridge.wiring import make_auth, make_line, make_owners, read_lanes

    settings = settings_of(config)
    lanes = read_lanes(settings)
    owners = make_owners(settings, lanes, ())
    lines = {name: make_line(name, section, settings, lanes) for name, section in settings.connections.items()}
    for name, section in settings.connections.items():
        make_auth(name, section)
    print(f"configuration: fine ({find_file(config) or 'no bridge.toml here: defaults and BRIDGE_* variables alone'})")
    print(f"  lanes: {', '.join(lane.name for lane in lanes.all)}")
    print(f"  clinical questions: {who_may_answer(owners)}")
    for name, line in lines.items():
        print(f"  connection {name}: {line.base_url} ({line.fhir_version}), reads {', '.join(line.types)}")
    if not lines:
        print(f"  {NO_CONNECTION}")
    if against_history:
        _against_history(settings)


def _against_history(settings: Settings) -> None:
    """Print what would change, case by case; exit with 1 where anything does."""
    from zoneinfo import ZoneInfo

    from bridge.against import altered

    zone, count = ZoneInfo(settings.site.time_zone), 0
    with opened(settings, owning=False, existing=True) as bridge:
        for line in bridge.lines.values():
            for one in altered(bridge.store, line, bridge.clock(), zone):
                count += 1
                print(f"  {line.name}  {one.case.root}  case {one.case.id}")
                for what, now, then in one.differences:
                    print(f"      {what}: {now} -> {then}")
    print(f"{count} open case{'' if count == 1 else 's'} would be otherwise")
    leave(NEEDS_A_PERSON if count else DONE)


def show(config: ConfigFile = None) -> None:
    """Print the settings in force as JSON, secrets hidden."""
    from bridge.config import shown

    print_json(shown(settings_of(config)))
