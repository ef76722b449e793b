"""
What Bridge sends, looked at as it is sent.

Two promises can be broken on the way and be mended in the end, so they are held here: a write is for the patient
whom its request names at that moment, and what is paused is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx

from bridge.sync.pauses import pauses_of

from .clinic import REFS, is_nonsense, is_ours
from .registry import deleted, linked, way
from .truth import patient_of, reference

if TYPE_CHECKING:
    from .world import World


class Watched:
    """Writes down what Bridge sent, and what of it must not be."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.written: list[tuple[datetime, str]] = []
        self._paused: list[tuple[str, bool]] = []
        """For each piece of work under way: what it is, and whether all was paused when it began."""
        self._moved = False

    def moved(self) -> None:
        """Note that somebody in the clinic did something: what Bridge read before may not be so any more."""
        self._moved = True

    @contextmanager
    def at_work(self, what: str) -> Iterator[None]:
        """Know that a process is at work until the block ends."""
        paused = pauses_of(self._world.store, "main").whole is not None
        if not self._paused:
            self._moved = False
        self._paused.append((what, paused))
        try:
            yield
        finally:
            self._paused.pop()

    def on(self, inner: httpx.BaseTransport) -> httpx.BaseTransport:
        """Return *inner*, watched."""
        return _Ear(self, inner)

    def look_at(self, request: httpx.Request) -> None:
        """Look at what is about to be sent."""
        if self._paused and self._paused[-1][1]:
            self._world.found.append(f"O7: {self._paused[-1][0]} asks for {request.url.path}, though all is paused")
        if request.method in ("POST", "PUT") and not self._moved:
            self._world.found += _for_another(self._world, json.loads(request.content or b"{}"))

    def came_of(self, request: httpx.Request, answer: httpx.Response) -> None:
        """Write down what came of it."""
        if request.method != "GET":
            words = f"{request.method} {request.url.path} -> {answer.status_code}"
            self.written.append((self._world.clock(), words))
            self._world.note(f"    {words}")


class _Ear(httpx.BaseTransport):
    def __init__(self, watched: Watched, inner: httpx.BaseTransport) -> None:
        self._watched, self._inner = watched, inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._watched.look_at(request)
        answer = self._inner.handle_request(request)
        self._watched.came_of(request, answer)
        return answer


def _for_another(world: World, body: dict[str, Any]) -> Iterator[str]:
    """Say whether *body* would go into the record of somebody whom its request does not name."""
    if not is_ours(body) or "status" not in body or body["status"] == "entered-in-error":
        return
    named = reference(body.get("for") or body.get("subject"))
    root = _root(body)
    current = world.ehr.get(root) if root is not None and root.partition("/")[0] in REFS else None
    right = patient_of(current) if current is not None and not is_nonsense(current) else None
    if right is not None and named not in {
        *way(world.ehr, right),
        *(linked(world.ehr, right) if deleted(world.ehr) else ()),
    }:
        yield f"O10: a {body['resourceType']} is sent for {named}, but {root} is about {right}"


def _root(body: dict[str, Any]) -> str | None:
    return reference(body.get("focus")) or next((reference(one) for one in body.get("basedOn", ())), None)
