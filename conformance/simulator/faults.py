"""
Misbehaviour that the simulated EHR can play, each by name.

All stand at the same seam: ``install`` may change the server's options, ``before`` may answer in its place,
``after`` may change what the client gets, and all three see the storage. A new behaviour is one class and one
line in ``FAULTS``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from conformance.simulator.ehr import Ehr
from conformance.simulator.wire import Answer, FhirError, Request


class Fault:
    """A server that behaves; faults override what they need."""

    def install(self, ehr: Ehr) -> None:
        """Change the server when the fault is turned on."""

    def remove(self, ehr: Ehr) -> None:
        """Undo what ``install`` changed."""

    def before(self, request: Request, ehr: Ehr) -> Answer | None:
        """Return an answer to give instead of carrying *request* out, or None to go on."""
        return None

    def after(self, request: Request, answer: Answer, ehr: Ehr) -> Answer:
        """Return what the client gets instead of *answer*."""
        return answer


class OptionFault(Fault):
    """A fault that is one of the server's options."""

    def __init__(self, option: str, value: object) -> None:
        self._option = option
        self._value = value
        self._usual: object = None

    def install(self, ehr: Ehr) -> None:
        self._usual = getattr(ehr.options, self._option)
        setattr(ehr.options, self._option, self._value)

    def remove(self, ehr: Ehr) -> None:
        setattr(ehr.options, self._option, self._usual)


class Throttle(Fault):
    """Answer every *every*-th request 429 without carrying it out; no ``Retry-After`` for an empty text."""

    def __init__(self, every: int, retry_after: str = "1") -> None:
        self._every = every
        self._retry_after = retry_after
        self._seen = 0

    def before(self, request: Request, ehr: Ehr) -> Answer | None:
        self._seen += 1
        if self._seen % self._every:
            return None
        wait = {"Retry-After": self._retry_after} if self._retry_after else {}
        return FhirError(429, "throttled", "Too many requests: wait and try again", wait).answer()


class DropAnswer(Fault):
    """Carry out the next *times* writes that succeed, but lose their answers: hang up, or a bare 502."""

    def __init__(self, times: int, manner: str = "close") -> None:
        if manner not in {"close", "502"}:
            raise ValueError(f"{manner!r} is not close or 502")
        self._left = times
        self._hang_up = manner == "close"

    def after(self, request: Request, answer: Answer, ehr: Ehr) -> Answer:
        if not request.writes or answer.status >= 400 or self._left == 0:
            return answer
        self._left -= 1
        return Answer(502, {}, b"", hang_up=self._hang_up)


class EmptyCreated(Fault):
    """Answer creates with no body and a ``Location`` without ``_history``, as Oracle Health documents."""

    def after(self, request: Request, answer: Answer, ehr: Ehr) -> Answer:
        if answer.status != 201:
            return answer
        kept = {name: value for name, value in answer.headers.items() if not name.startswith("Content-")}
        kept["Location"] = kept["Location"].partition("/_history/")[0]
        return replace(answer, headers=kept, body=b"")


FAULTS: dict[str, Callable[..., Fault]] = {
    "drop-answer": lambda times="1", manner="close": DropAnswer(_natural(times), manner),
    "empty-201": EmptyCreated,
    "expire-cursors-after": lambda pages: OptionFault("cursor_pages", _natural(pages)),
    "late-commit": lambda seconds: OptionFault("commit_delay", timedelta(seconds=float(seconds))),
    "no-last-updated": lambda: OptionFault("search_by_last_updated", False),
    "offset-paging": lambda: OptionFault("stable_pages", False),
    "throttle": lambda every, retry_after="1": Throttle(_natural(every), retry_after),
}
"""Faults by name. Arguments follow ``=`` and are separated by commas: ``throttle=3,120``.

==================== ============================================================================
drop-answer          times, manner: that many writes are stored, but their answer is lost
empty-201            a create is answered without a body
expire-cursors-after pages: a search's cursor answers 410 after that many pages
late-commit          seconds: a version shows up in searches that long after its ``lastUpdated``
no-last-updated      ``_lastUpdated`` is an unknown parameter
offset-paging        pages are cut from a new search each time, so they drift as data changes
throttle             every, Retry-After: every so many requests is answered 429
==================== ============================================================================
"""


def fault_named(spec: str) -> Fault:
    """
    Return a new fault from ``name`` or ``name=argument,argument``.

    Raises:
        ValueError: no fault has that name, or its arguments do not fit.
    """
    name, _, arguments = spec.partition("=")
    if name not in FAULTS:
        raise ValueError(f"unknown fault {name!r}; known: {', '.join(sorted(FAULTS))}")
    try:
        return FAULTS[name](*(arguments.split(",") if arguments else ()))
    except TypeError as error:
        raise ValueError(f"fault {spec!r}: {error}") from error


def _natural(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(f"{text!r} is not a positive number")
    return number
