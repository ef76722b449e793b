"""
Where a fault can stand in the way, and how one is asked for.

``install`` may change the server's options, ``before`` may answer in its place, ``listed`` may change what a search
or a history finds, ``storing`` may refuse a write, ``after`` may change what the client gets. Faults are free to be
combined: each plays in the order in which it was turned on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from conformance.simulator.ehr import Ehr, Writing
from conformance.simulator.pages import Listing
from conformance.simulator.store import Version
from conformance.simulator.wire import Answer, FhirError, Json, Request, decode


class Fault:
    """A server that behaves; faults override what they need."""

    def install(self, ehr: Ehr) -> None:
        """Change the server when the fault is turned on."""

    def remove(self, ehr: Ehr) -> None:
        """Undo what ``install`` changed."""

    def before(self, request: Request, ehr: Ehr) -> Answer | None:
        """Return an answer to give instead of carrying *request* out, or None to go on."""
        return None

    def listed(self, request: Request, listing: Listing, ehr: Ehr) -> list[Version]:
        """Return what the first page and those after it show, instead of ``listing.versions``."""
        return listing.versions

    def storing(self, writing: Writing, ehr: Ehr) -> None:
        """
        Let a write from outside pass, in a Bundle or alone.

        Raises:
            FhirError: it is refused.
        """

    def after(self, request: Request, answer: Answer, ehr: Ehr) -> Answer:
        """Return what the client gets instead of *answer*."""
        return answer


class OptionFault(Fault):
    """A fault that is nothing but other options of the server; ``hooks__x`` is an option of its notifications."""

    def __init__(self, **options: object) -> None:
        self._options = options
        self._usual: dict[str, object] = {}

    def install(self, ehr: Ehr) -> None:
        self._usual = {name: _get(ehr, name) for name in self._options}
        for name, value in self._options.items():
            _set(ehr, name, value)

    def remove(self, ehr: Ehr) -> None:
        for name, value in self._usual.items():
            _set(ehr, name, value)


def _get(ehr: Ehr, name: str) -> object:
    place, name = _place(ehr, name)
    return getattr(place, name)


def _set(ehr: Ehr, name: str, value: object) -> None:
    place, name = _place(ehr, name)
    setattr(place, name, value)


def _place(ehr: Ehr, name: str) -> tuple[object, str]:
    group, separator, rest = name.partition("__")
    return (getattr(ehr.options, group), rest) if separator else (ehr.options, name)


@dataclass(frozen=True, slots=True)
class FaultKind:
    """
    One fault that can be asked for by name.

    Attributes:
        usage: Its arguments, as they stand behind ``=``; in brackets where they may be left out.
        says: What the server then does.
        source: Where that was seen or is documented; "ours" for what any network can do.
        make: Returns a new fault from its arguments as texts.
    """

    name: str
    usage: str
    says: str
    source: str
    make: Callable[..., Fault]

    @property
    def written(self) -> str:
        """The name with its arguments, as they are written."""
        return f"{self.name}={self.usage}".replace("=[", "[=") if self.usage else self.name

    def __call__(self, *arguments: str) -> Fault:
        """
        Return a new fault.

        Raises:
            ValueError: the arguments do not fit.
            TypeError: there are too many, or too few.
        """
        return self.make(*arguments)


def json_in(answer: Answer) -> Json:
    """Return the object in *answer*, or an empty one where another fault has left none to read."""
    try:
        body = decode(answer.body)
    except FhirError:
        return {}
    return body if isinstance(body, dict) else {}


def natural(text: str) -> int:
    """
    Read a number from 1 up.

    Raises:
        ValueError: it is none.
    """
    number = int(text)
    if number < 1:
        raise ValueError(f"{text!r} is not a positive number")
    return number


def seconds(text: str) -> timedelta:
    """
    Read a number of seconds, which may have a fraction.

    Raises:
        ValueError: it is none.
    """
    return timedelta(seconds=float(text))


def one_of(text: str, *allowed: str) -> str:
    """
    Return *text*.

    Raises:
        ValueError: it is none of *allowed*.
    """
    if text not in allowed:
        raise ValueError(f"{text!r} is not one of {', '.join(allowed)}")
    return text
