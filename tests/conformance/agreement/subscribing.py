"""Subscriptions: what is taken and what is refused."""

from __future__ import annotations

from .frame import Json, Server, check, refused


def _subscription(server: Server, **elements: object) -> Json:
    """Return a classic Subscription whose endpoint nobody listens at, to what no other check writes."""
    base: Json = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "agreement",
        "criteria": f"Task?identifier={server.key}",
        "channel": {"type": "rest-hook", "endpoint": "http://127.0.0.1:9/hooks"},
    }
    return base | elements


@check
def a_classic_subscription_is_taken_and_can_be_switched_off(server: Server) -> None:
    made = server.send("POST", "Subscription", _subscription(server))
    assert made.status_code == 201, made.text
    id_ = made.json()["id"]

    off = server.send("PUT", f"Subscription/{id_}", _subscription(server, id=id_, status="off"))

    assert off.status_code == 200, off.text
    assert server.get(f"Subscription/{id_}").json()["status"] == "off"
    assert server.send("DELETE", f"Subscription/{id_}").status_code in {200, 204}


@check
def a_subscription_to_an_unknown_type_is_refused(server: Server) -> None:
    refused(server.send("POST", "Subscription", _subscription(server, criteria="Tusk?")), 400, 422)


@check
def a_subscription_without_criteria_is_refused(server: Server) -> None:
    wanted = _subscription(server)
    del wanted["criteria"]

    refused(server.send("POST", "Subscription", wanted), 400, 422)


@check
def a_subscription_without_a_channel_is_refused(server: Server) -> None:
    wanted = _subscription(server)
    del wanted["channel"]

    refused(server.send("POST", "Subscription", wanted), 400, 422)
