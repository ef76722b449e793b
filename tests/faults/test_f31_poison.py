"""F31: a resource that nobody can read, in the midst of a page."""

from __future__ import annotations

from functools import partial
from typing import Any

import httpx
import pytest

from bridge.store.rows import InboxState
from bridge.sync.replay import replay_inbox
from tests.faults.beside import SpoiltWorld
from tests.unit.mappers.test_hostile import POISON
from tests.unit.sync.world import World, order, patient

EMBEDDED = sorted(
    name
    for name, raw in POISON.items()
    if raw.lstrip().startswith(b"{") and raw.rstrip().endswith(b"}") and len(raw) < 500_000
)


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_page_goes_on_around_poison_and_everything_is_accounted_for(name: str) -> None:
    world = SpoiltWorld()
    world.ehr.put(patient())
    for number in range(3):
        world.ehr.put(order(f"o{number}"))
    world.go_by(partial(Poisoned, poison=POISON[name]))

    world.bridge.read()

    with world.store.reading() as tx:
        totals = tx.totals("main")
        rows = tx.inbox(connection="main", limit=1000)
    for counts in totals.values():
        assert counts.received == counts.applied + counts.duplicate + counts.ignored + counts.parked
    read = {row.ref for row in rows if row.state is InboxState.APPLIED}
    if "ServiceRequest" in totals:
        assert read >= {"ServiceRequest/o0", "ServiceRequest/o1", "ServiceRequest/o2"}


def test_what_was_parked_is_taken_in_once_it_can_be_read() -> None:
    world = World()
    world.ehr.put(patient())
    world.ehr.put(order(modifierExtension=[{"url": "http://clinic.example/negated", "valueBoolean": True}]))
    world.sync()
    with world.store.reading() as tx:
        (parked,) = tx.inbox(connection="main", state=InboxState.PARKED, limit=10)

    world.ehr.put(order())
    world.sync()
    assert parked.id is not None
    replay_inbox(world.store, {"main": world.line}, [parked.id], world.clock())

    assert world.case("ServiceRequest/o1").is_open


class Poisoned(httpx.BaseTransport):
    """Puts something into the midst of every page of requests for service."""

    def __init__(self, inner: httpx.BaseTransport, poison: bytes) -> None:
        self._inner, self._poison = inner, poison

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._inner.handle_request(request)
        if not request.url.path.endswith("/ServiceRequest"):
            return answer
        body, mark = answer.content, b'"entry":['
        entry = b'{"search":{"mode":"match"},"resource":' + self._poison + b"},"
        headers: dict[str, Any] = {name: answer.headers[name] for name in ("Date", "Content-Type")}
        return httpx.Response(200, headers=headers, content=body.replace(mark, mark + entry, 1), request=request)
