"""``$status`` and ``$events`` of a Subscription (Subscriptions R5 Backport IG 1.1.0, operations)."""

from __future__ import annotations

from conformance.simulator.ehr import Ehr
from conformance.simulator.hooks.dispatcher import Dispatcher, Live
from conformance.simulator.wire import Answer, FhirError, Json, Request, decode, json_answer

OPERATIONS = frozenset({"$status", "$events"})


def operate(ehr: Ehr, hooks: Dispatcher, id_: str | None, name: str, request: Request) -> Answer:
    """
    Carry out an operation on one Subscription, or ``$status`` on all or on those of the parameter ``id``.

    Raises:
        FhirError: there is no such Subscription or operation.
    """
    if not hooks.habits.operations:
        raise FhirError(400, "not-supported", f"This server does not know {name}")
    asked = _parameters(request)
    if name == "$status":
        wanted = [id_] if id_ is not None else _listed(asked.get("id"))
        found = [_live(hooks, each) for each in wanted] if wanted else hooks.all()
        return json_answer(200, _statuses(ehr, hooks, found, request))
    if name == "$events" and id_ is not None:
        return json_answer(200, _events(ehr, hooks, _live(hooks, id_), asked))
    raise FhirError(400, "not-supported", f"This server has no {name} here")


def _statuses(ehr: Ehr, hooks: Dispatcher, found: list[Live], request: Request) -> Json:
    now = ehr.clock()
    entries = [
        {
            "fullUrl": f"{request.base}/Subscription/{live.id}/$status",
            "resource": hooks.notice(live, "query-status", [], live.counter, now).status_resource(),
            "search": {"mode": "match"},
        }
        for live in found
    ]
    bundle: Json = {"resourceType": "Bundle", "type": "searchset", "total": len(entries)}
    return bundle | ({"entry": entries} if entries else {})


def _events(ehr: Ehr, hooks: Dispatcher, live: Live, asked: dict[str, str]) -> bytes:
    low, high = _number(asked, "eventsSinceNumber", 0), _number(asked, "eventsUntilNumber", 2**63)
    events = [event for event in live.events if low <= event.number <= high]
    return hooks.notice(live, "query-event", events, live.counter, ehr.clock()).bundle()


def _live(hooks: Dispatcher, id_: str) -> Live:
    live = hooks.live(id_)
    if live is None:
        raise FhirError(404, "not-found", f"Resource Subscription/{id_} is not known")
    return live


def _parameters(request: Request) -> dict[str, str]:
    asked = dict(request.query)
    if request.method == "POST" and request.body:
        body = decode(request.body)
        for each in body.get("parameter", []) if isinstance(body, dict) else []:
            value = next((value for name, value in each.items() if name.startswith("value")), None)
            asked[each["name"]] = str(value)
    return asked


def _listed(text: str | None) -> list[str]:
    return [each.rpartition("/")[2] for each in text.split(",")] if text else []


def _number(asked: dict[str, str], name: str, otherwise: int) -> int:
    try:
        return int(asked.get(name, otherwise))
    except ValueError as error:
        raise FhirError(400, "invalid", f"{name} is not a number") from error
