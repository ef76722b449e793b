"""The synthetic stories told on a FHIR server that is not ours, such as a HAPI server to try Bridge on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import httpx

from conformance.demo import A_DAY_A_MINUTE
from conformance.generator import Player, story_stream
from conformance.generator.elements import Json

_BEGUN, _TOLD = "urn:bridge:stories:begun", "urn:bridge:stories:told"
_TIMEOUT_SECONDS = 60
_LOOK_EVERY_SECONDS = 0.5
_AGAIN_SECONDS = 5.0


@dataclass(frozen=True)
class Bookmark:
    """Where the stories of a seed are, kept on the server itself: who starts again goes on there."""

    seed: int
    begun_at: datetime
    told_until: datetime | None = None

    @classmethod
    def found(cls, seed: int, client: httpx.Client, now: datetime) -> Bookmark:
        """
        Return the server's bookmark, or a new one at *now*.

        Raises:
            httpx.HTTPError: The server does not answer, or not as FHIR.
        """
        answer = client.get(f"Basic/{_bookmark_id(seed)}", headers={"Cache-Control": "no-cache"})
        if answer.status_code in (404, 410):
            return cls(seed, now.replace(microsecond=0))
        marks = {one["system"]: one["value"] for one in answer.raise_for_status().json()["identifier"]}
        told = marks.get(_TOLD)
        return cls(seed, datetime.fromisoformat(marks[_BEGUN]), datetime.fromisoformat(told) if told else None)

    def put(self, client: httpx.Client) -> None:
        """Keep it on the server."""
        client.put(f"Basic/{_bookmark_id(self.seed)}", json=self._resource()).raise_for_status()

    def _resource(self) -> Json:
        marks = {_BEGUN: self.begun_at} | ({_TOLD: self.told_until} if self.told_until else {})
        return {
            "resourceType": "Basic",
            "id": _bookmark_id(self.seed),
            "identifier": [{"system": system, "value": at.isoformat()} for system, at in marks.items()],
            "code": {"text": "How far the synthetic stories are told"},
        }


def _bookmark_id(seed: int) -> str:
    return f"s{seed}-stories"


class Teller:
    """
    Tells the stories of *seed* on one server, each step once, and goes on where an earlier one stopped.

    Args:
        client: Its ``base_url`` is the FHIR base, ending in a slash.
        stories: How many; None for stories without end.
        speed: How much sooner than in life their days come.
    """

    def __init__(
        self,
        client: httpx.Client,
        *,
        seed: int = 1,
        stories: int | None = None,
        speed: float = A_DAY_A_MINUTE,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client, self._seed, self._stories, self._speed, self._clock = client, seed, stories, speed, clock
        self._bookmark: Bookmark | None = None
        self._player: Player | None = None

    def tell(self) -> list[str]:
        """
        Carry out what has happened by now, and return it in words.

        Raises:
            httpx.HTTPError: The server does not answer or refused a write; the step comes again.
        """
        player = self._player or self._open()
        steps = player.play_until(self._clock())
        if steps:
            assert self._bookmark is not None
            self._bookmark = Bookmark(self._seed, self._bookmark.begun_at, steps[-1].at)
            self._bookmark.put(self._client)
        return [step.says for step in steps]

    def _open(self) -> Player:
        bookmark = Bookmark.found(self._seed, self._client, self._clock())
        bookmark.put(self._client)
        stream = story_stream(self._seed, bookmark.begun_at, speed=self._speed)
        player = Player(islice(stream, self._stories), self._client)
        if bookmark.told_until is not None:
            player.skip_until(bookmark.told_until)
        self._bookmark, self._player = bookmark, player
        return player


def tell_stories(
    base_url: str,
    *,
    seed: int = 1,
    stories: int | None = None,
    speed: float = A_DAY_A_MINUTE,
    say: Callable[[str], None] = print,
) -> None:
    """Tell the stories on the server at *base_url* until SIGINT or SIGTERM; one that is away is tried again."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    with httpx.Client(base_url=f"{base_url.rstrip('/')}/", timeout=_TIMEOUT_SECONDS) as client:
        teller = Teller(client, seed=seed, stories=stories, speed=speed)
        rest = 0.0
        while not stop.wait(rest):
            try:
                for says in teller.tell():
                    say(says)
                rest = _LOOK_EVERY_SECONDS
            except httpx.HTTPError as error:
                say(f"not taken, tried again in {_AGAIN_SECONDS:g} s: {type(error).__name__}: {error}")
                rest = _AGAIN_SECONDS
