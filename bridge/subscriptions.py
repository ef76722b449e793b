"""``bridge subscriptions``: what is on each EHR, whether it is as it should be, and taking it away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from bridge.bootstrap import Bridge
from bridge.errors import Refused
from bridge.sync.subscribe import Subscriber
from bridge.web.subscriptions import subscription_views
from bridge.wiring import make_subscriber


def listed(bridge: Bridge) -> dict[str, list[dict[str, Any]]]:
    """Return what is known of each connection's Subscriptions, as plain values; asks no EHR."""
    with bridge.store.reading() as tx:
        return {
            name: [msgspec.to_builtins(view) for view in subscription_views(tx, name, bridge.clock())]
            for name in bridge.connectors
        }


def as_lines(known: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Return what is known, for people."""
    for name, views in known.items():
        yield f"{name}: {len(views)} on the EHR" if views else f"{name}: none"
        for view in views:
            hand = ", made by hand" if view["made_by_hand"] else ""
            yield f"  {', '.join(view['types']) or view['about']} ({view['flavor']}{hand}): {view['sentence']}"
            told = view["last_event_at"] or "never"
            yield f"    {view['resource'] or 'not there yet'}, last event {told}, missed {view['missed']}"
            if view["problem"]:
                yield f"    {view['problem']}"


def subscriber_of(bridge: Bridge, name: str) -> Subscriber | None:
    """Return what keeps the Subscriptions of a connection, even where that is switched off by now."""
    section = bridge.settings.connections[name]
    return make_subscriber(bridge.connectors[name], section, even_off=True)


def verified(bridge: Bridge, name: str) -> list[dict[str, Any]]:
    """
    Return how each Subscription stands on the EHR now; nothing is changed. ``problem`` is ``None`` where all is well.

    Raises:
        RemoteError: The EHR does not answer.
    """
    subscriber = subscriber_of(bridge, name)
    if subscriber is None:
        return [{"about": "", "resource": None, "state": None, "problem": _NOT_CONFIGURED}]
    return [
        {"about": one.about, "resource": one.ref, "state": one.state.value, "problem": one.problem}
        for one in subscriber.verify()
    ]


def standing_as_line(name: str, one: dict[str, Any]) -> str:
    """Return one Subscription of the connection *name*, as ``verified`` found it, for people."""
    about = " ".join(filter(None, (name, one["about"], one["resource"])))
    return f"!!  {about}: {one['problem']}" if one["problem"] else f"ok  {about}: {one['state']}"


def removed(bridge: Bridge, name: str) -> dict[str, Any]:
    """
    Delete ours on the EHR; returns which they were, and what went wrong, if anything did.

    Raises:
        RemoteError: The EHR does not answer.
    """
    subscriber = subscriber_of(bridge, name)
    if subscriber is None:
        return {"removed": [], "problem": _NOT_CONFIGURED}
    try:
        return {"removed": subscriber.remove(), "problem": None}
    except Refused as error:
        return {"removed": [], "problem": subscriber.hidden(str(error))}


_NOT_CONFIGURED = "subscribe_url and hook_secret_file are not configured; they tell which Subscriptions are ours"
