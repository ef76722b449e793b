"""``bridge subscriptions``: look at the EHR's Subscriptions, or take them away."""

from __future__ import annotations

from bridge.cli.shared import (
    DONE,
    NEEDS_A_PERSON,
    ConfigFile,
    Json,
    OneConnection,
    leave,
    opened,
    print_json,
    settings_of,
)


def list_known(config: ConfigFile = None, connection: OneConnection = None, as_json: Json = False) -> None:
    """Say how each Subscription stands, as Bridge last saw it, and what was heard of it. Asks no EHR."""
    from bridge.subscriptions import as_lines, listed

    with opened(settings_of(config), owning=False, existing=True, only=connection) as bridge:
        known = listed(bridge)
    if as_json:
        print_json(known)
    else:
        print("\n".join(as_lines(known)))


def verify(config: ConfigFile = None, connection: OneConnection = None, as_json: Json = False) -> None:
    """Ask each EHR whether its Subscriptions are as they should be. Changes nothing."""
    from bridge.subscriptions import standing_as_line, verified

    with opened(settings_of(config), owning=False, existing=True, only=connection) as bridge:
        found = {name: verified(bridge, name) for name in bridge.connectors}
    if as_json:
        print_json(found)
    else:
        print("\n".join(standing_as_line(name, one) for name, standings in found.items() for one in standings))
    leave(NEEDS_A_PERSON if any(one["problem"] for standings in found.values() for one in standings) else DONE)


def remove(config: ConfigFile = None, connection: OneConnection = None, as_json: Json = False) -> None:
    """Delete the Subscriptions that Bridge made, and no others. Set subscribe = "off" first, or it makes them again."""
    from bridge.subscriptions import removed

    with opened(settings_of(config), existing=True, only=connection) as bridge:
        done = {name: removed(bridge, name) for name in bridge.connectors}
    if as_json:
        print_json(done)
    else:
        for name, one in done.items():
            print(f"{name}: {one['problem'] or ', '.join(one['removed']) or 'none'}")
    leave(NEEDS_A_PERSON if any(one["problem"] for one in done.values()) else DONE)
