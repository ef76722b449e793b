"""Plays stories on a FHIR server: at once up to an instant, or as time goes by."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

import httpx

from conformance.generator.story import Change, Delete, Put, Step, Story, Write

_ATTEMPTS = 10
_STORIES_AHEAD = 40
_LOOK_EVERY_SECONDS = 0.5


class Player:
    """
    Carries out the steps of *stories* in order of time, each step once.

    Args:
        stories: Roughly in the order in which they begin; there may be no end of them.
        client: A client whose ``base_url`` is the FHIR base, ending in a slash.
    """

    def __init__(self, stories: Iterable[Story], client: httpx.Client) -> None:
        self._coming: Iterator[Story] = iter(stories)
        self._client = client
        self._steps: list[tuple[datetime, int, Step]] = []
        self._ahead: list[datetime] = []
        self._loaded = 0

    def play_until(self, moment: datetime) -> list[Step]:
        """
        Carry out every step up to and including *moment*; return those steps.

        Raises:
            httpx.HTTPError: the server could not be reached, or refused a write; the step comes again.
        """
        self._load(moment)
        played = []
        while self._steps and self._steps[0][0] <= moment:
            step = self._steps[0][2]
            for write in step.writes:
                self._write(write)
            heapq.heappop(self._steps)
            played.append(step)
        return played

    def skip_until(self, moment: datetime) -> None:
        """Leave out every step up to and including *moment*: somebody carried it out before."""
        self._load(moment)
        while self._steps and self._steps[0][0] <= moment:
            heapq.heappop(self._steps)

    def run(
        self,
        stop: threading.Event,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_step: Callable[[Step], None] = lambda step: None,
    ) -> None:
        """Play as time goes by until *stop* is set; *on_step* hears of each step."""
        while not stop.is_set():
            for step in self.play_until(clock()):
                on_step(step)
            stop.wait(_LOOK_EVERY_SECONDS)

    def _load(self, moment: datetime) -> None:
        """Take up stories until enough are at hand that begin after *moment*."""
        while self._ahead and self._ahead[0] <= moment:
            heapq.heappop(self._ahead)
        while len(self._ahead) < _STORIES_AHEAD:
            story = next(self._coming, None)
            if story is None:
                return
            if story.steps[0].at > moment:
                heapq.heappush(self._ahead, story.steps[0].at)
            for step in story.steps:
                self._loaded += 1
                heapq.heappush(self._steps, (step.at, self._loaded, step))

    def _write(self, write: Write) -> None:
        match write:
            case Put(resource):
                path = f"{resource['resourceType']}/{resource['id']}"
                self._client.put(path, json=resource).raise_for_status()
            case Change():
                self._change(write)
            case Delete(target):
                self._client.delete(target).raise_for_status()

    def _change(self, change: Change) -> None:
        """Read, change and write back; when somebody else wrote in between, do it again."""
        for _ in range(_ATTEMPTS):
            read = self._client.get(change.target).raise_for_status()
            resource = change.applied_to(read.json())
            headers = {"If-Match": read.headers.get("ETag", f'W/"{resource["meta"]["versionId"]}"')}
            answer = self._client.put(change.target, json=resource, headers=headers)
            if answer.status_code not in {409, 412}:
                answer.raise_for_status()
                return
        raise httpx.HTTPError(f"{change.target} was changed by others {_ATTEMPTS} times in a row")
