"""Where the EHR rings: the real receiver and the real doorbell, well used, badly used and abused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from bridge.store.port import Store
from bridge.sync.line import Line
from bridge.sync.notify import Doorbell
from bridge.web.context import WebContext
from bridge.web.gate import Gate
from bridge.web.hooks import router
from conformance.simulator import Reply, Ring, Simulator

from .drawn import SECRET, Hooks

PATIENCE_SECONDS = 60.0
"""Long enough for any machine: that a database is slow is another test's."""


class Doorstep:
    """
    The receiver of one Bridge; ``found`` is what it did that it must not do.

    Args:
        away: Whether nobody is there to hear.
    """

    def __init__(
        self, ehr: Simulator, store: Store, line: Line, gate: Gate, hooks: Hooks, rng: Random, away: Callable[[], bool]
    ) -> None:
        self._ehr, self._store, self._line, self._hooks, self._rng, self._away = ehr, store, line, hooks, rng, away
        self.found: list[str] = []
        self.share = hooks.unreachable
        self.heard = 0
        self._bell = Doorbell(store, ehr.ehr.clock)
        self._runner = asyncio.Runner()
        context = WebContext(
            store=store,
            lines={line.name: line},
            connections=lambda: (),
            replay_inbox=lambda ids: 0,
            replay_outbox=lambda ids: 0,
            clock=ehr.ehr.clock,
            new_id=lambda: "",
            version="",
            zone=ZoneInfo("UTC"),
            gates={line.name: gate},
            ring=self._bell.take,
            patience_seconds=PATIENCE_SECONDS,
        )
        self._receiver = router(context)

    def close(self) -> None:
        """End the doorbell."""
        self._runner.close()
        self._bell.close()

    def __call__(self, ring: Ring) -> Reply | None:
        """Take one notification of the EHR's; its way here and the way back may be lost."""
        if self._away() or self._rng.random() < self.share / 2:
            return None
        self.heard += 1
        answer = self._post(ring.method, ring.url, dict(ring.headers), ring.body)
        if answer.status != 204:
            self.found.append(f"O6: a notification of the EHR's was refused with {answer.status}")
        self.found += self._not_kept(ring)
        return None if self._rng.random() < self.share / 2 else answer

    def _not_kept(self, ring: Ring) -> Iterator[str]:
        """What was acknowledged is durable: each event's resource, or its type, waits to be read again."""
        live = self._ehr.hooks.live(ring.subscription)
        counted = self._ehr.options.hooks.numbering == "start" and not self._ehr.options.hooks.restart_every
        if live is None or not counted or ring.kind not in ("classic", "event-notification"):
            return
        waiting = self._waiting()
        for number in ring.events:
            about = {event.version.reference for event in live.events if event.number == number}
            if about and not waiting & (about | {ref.partition("/")[0] for ref in about}):
                yield f"O1: a notification of {sorted(about)} was acknowledged and is not kept"

    def _waiting(self) -> set[str]:
        with self._store.reading() as tx:
            return {hint.ref for hint in tx.hints(self._line.name, 100_000)}

    def forge(self, known: list[str]) -> str:
        """Have somebody else ring, with or without the secret; returns what they tried."""
        ref = self._rng.choice([*known, "Task/never-was", "Patient/p1"])
        kind, _, own_id = ref.partition("/")
        lie = json.dumps(
            {"resourceType": kind, "id": own_id, "status": "cancelled", "for": {"reference": "Patient/p2"}}
        )
        path = f"/hooks/main/{SECRET}"
        tries: dict[str, tuple[str, str, bytes]] = {
            "a wrong secret": ("PUT", f"/hooks/main/guessed/{ref}", lie.encode()),
            "no secret": ("POST", f"/hooks/main/-/{kind}", b""),
            "a lie": ("PUT", f"{path}/{ref}", lie.encode()),
            "a deletion that is none": ("DELETE", f"{path}/{ref}", b""),
            "nothing": ("POST", path, b""),
            "nonsense": ("POST", path, b'{"resourceType": ["'),
            "another Bundle": ("POST", path, b'{"resourceType": "Bundle", "type": "searchset", "entry": 5}'),
            "a place outside": ("PUT", f"{path}/../../Task", b"{}"),
        }
        name = self._rng.choice(list(tries))
        before = self._waiting()
        answer = self._post(*tries[name][:2], {}, tries[name][2])
        refused = 400 <= answer.status < 500 and b"OperationOutcome" in answer.body
        if not (answer.status == 204 or refused):
            self.found.append(f"O6: somebody tried {name} and was answered {answer.status}")
        shut = "secret" in name or self._hooks.header or self._hooks.signed
        if shut and (not refused or self._waiting() != before):
            self.found.append(f"O6: somebody tried {name} without showing what they had to, and was believed")
        return f"somebody tries {name} about {ref}: {answer.status}"

    def _post(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Reply:
        path = urlsplit(url).path
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
        return self._runner.run(self._asked(scope, body))

    async def _asked(self, scope: dict[str, Any], body: bytes) -> Reply:
        said: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            said.append(message)

        await self._receiver(scope, receive, send)
        return Reply(said[0]["status"], b"".join(part.get("body", b"") for part in said[1:]))
