"""
The ladder: for each resource type of a connection, the best way to read it, proven before it is used.

What a server declares and what its profile says is where the search for a way begins (``rungs``); a probe
decides. A filter is proven when nothing comes back that it should have kept out, and something that it should
have let in. What failed the probe is passed over, with the reason, and the next rung is tried. The site can set
the rung; it is tried all the same. What was proven is believed for an hour, or until a poll by it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bridge.errors import Refused, ServerFault, SourceError, UnsafeAnswer
from bridge.fhir.capability import Capability
from bridge.fhir.client import FhirClient, SearchPage
from bridge.fhir.group import members
from bridge.fhir.times import format_instant
from bridge.fhir.vendors import VendorProfile
from bridge.fhir.vendors.compare import LAST_UPDATED, disagreements, readable
from bridge.mappers import MAPPERS
from bridge.sync.line import Line
from bridge.sync.rungs import BEGINNING, KEYED, Roster, Rung, Step, Steps, steps, wanted

PROVEN_FOR = timedelta(hours=1)
"""How long a proven rung is believed (rule ours)."""

LOOK_AGAIN = timedelta(minutes=5)
"""How long it is believed that there is no way (rule ours)."""

HOLD_ON = timedelta(minutes=15)
"""How long a rung has to fail its probe before a lower one is taken (rule ours)."""

AHEAD = timedelta(days=1)
"""Nothing can have changed so far in the future, whatever the clocks say (rule ours)."""

FAR_AHEAD = timedelta(days=3650)
"""Nothing is dated so far in the future (rule ours)."""

TRIES = 3
"""How often a resource is looked for by its own timestamp: one may be deleted meanwhile (rule ours)."""

KEYS_TRIED = 3
"""How many patients or schedules a search by them is tried with (rule ours): one may be closed to us."""


@dataclass(frozen=True)
class Choice:
    """
    How a resource type is read, and why so; ``step`` is ``None`` where there is no way.

    Args:
        proof: What the probe showed, or why nothing could be proven.
        passed_over: The better rungs and why not they, each in words.
    """

    stream: str
    step: Step | None
    proof: str
    passed_over: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The rung and its reasons in a sentence."""
        if self.step is None:
            return "; ".join([self.proof, *self.passed_over])
        return f"{self.step.rung.value}: {self.step.why}; {self.proof}"


PLAIN = Step(Rung.LAST_UPDATED, "the usual way", LAST_UPDATED)
"""The way of a connection without a ladder."""


class Ladder:
    """
    Chooses for one connection; asked under the connector's lock, read by whoever shows it.

    Args:
        capability: What the server declares; asked when it is needed.
        settings: The rungs that the site has set, by resource type.
        patients: The patients that Bridge knows.
    """

    def __init__(
        self,
        line: Line,
        client: FhirClient,
        vendor: VendorProfile,
        capability: Callable[[], Capability],
        clock: Callable[[], datetime],
        *,
        settings: Mapping[str, Rung] | None = None,
        roster: Roster | None = None,
        patients: Callable[[], Sequence[str]] = lambda: (),
    ) -> None:
        self._line, self._client, self._vendor, self._clock = line, client, vendor, clock
        self._capability, self._settings, self._patients = capability, settings or {}, patients
        self.roster = roster or Roster()
        self.known: dict[str, Choice] = {}
        """The choices as last made, by resource type."""
        self.disagreements: tuple[str, ...] = ()
        """Where the server declares otherwise than its profile says, as last heard."""
        self.ahead: timedelta | None = None
        """How far the EHR's clock was ahead of ours when it last told."""
        self._until: dict[str, datetime] = {}
        self._failing: dict[str, datetime] = {}

    def choice(self, stream: str) -> Choice:
        """
        Return how *stream* is read, proven within the hour.

        Raises:
            RemoteError: The EHR does not answer.
        """
        if self._until.get(stream, self._clock()) <= self._clock():
            found = self._choose(stream)
            self._hold(stream, found)
            self.known[stream] = found
            self._until[stream] = self._clock() + (PROVEN_FOR if found.step is not None else LOOK_AGAIN)
        return self.known[stream]

    def _hold(self, stream: str, found: Choice) -> None:
        """
        Stay on a rung that fails for a while: on a lower one everything would be read anew.

        Raises:
            UnsafeAnswer: The rung that *stream* was read by fails its probe, but not for long enough.
        """
        before = self.known.get(stream)
        if before is None or before.step is None or found.step is None or not _is_lower(found.step, before.step):
            self._failing.pop(stream, None)
            return
        since = self._failing.setdefault(stream, self._clock())
        if self._clock() - since < HOLD_ON:
            raise UnsafeAnswer(f"{stream} cannot be read as before just now: {'; '.join(found.passed_over)}")
        self._failing.pop(stream)

    def unreadable(self) -> frozenset[str]:
        """Return the types that there is no way to poll, as far as was tried."""
        return frozenset(stream for stream, choice in dict(self.known).items() if choice.step is None)

    def doubt(self, stream: str) -> None:
        """Have *stream* proven anew: a poll by its rung was refused."""
        self._until.pop(stream, None)

    def keys(self, step: Step) -> list[str]:
        """
        Return whose resources a step reads, in order: who is configured and, by patient, who is known.

        Raises:
            RemoteError: A Group that is configured cannot be read.
        """
        if step.rung not in KEYED:
            return []
        param = KEYED[step.rung]
        found = {key for ref in self.roster.named(param) for key in self._expanded(ref)}
        known = set(self._patients()) if step.rung is Rung.BY_PATIENT else set()
        return sorted(key for key in found | known if key.startswith(f"{param.title()}/"))

    def _expanded(self, ref: str) -> Sequence[str]:
        if not ref.startswith("Group/"):
            return [ref]
        try:
            return members(self._client.read(ref).raw, self._line.base_url)
        except SourceError as error:
            raise Refused(f"{ref}: {error}") from None

    # Choosing ---------------------------------------------------------------------------------------------

    def _choose(self, stream: str) -> Choice:
        offered = self._offered(stream)
        passed = list(offered.passed_over)
        for step in offered.steps:
            try:
                proven, proof = self._proven(stream, step)
                return Choice(stream, proven, proof, _above(step.rung, passed))
            except (Refused, UnsafeAnswer) as error:
                passed.append(f"{step.rung.value}: {error}")
        passed.sort(key=_height)
        return Choice(stream, None, f"there is no way to read {stream} that this EHR lets us prove", tuple(passed))

    def _offered(self, stream: str) -> Steps:
        declared = self._declared()
        can, search = readable(stream, self._vendor, declared), MAPPERS[stream].search
        set_to = self._settings.get(stream)
        return Steps(wanted(set_to, can, search), ()) if set_to is not None else steps(can, search, self.roster)

    def _declared(self) -> Capability | None:
        """Return what the server declares; one whose statement cannot be had is judged by profile and probe."""
        try:
            declared = self._capability()
        except (Refused, ServerFault):
            return None
        self.disagreements = disagreements(self._vendor, declared, self._line.types)
        return declared

    # Proving ----------------------------------------------------------------------------------------------

    def _proven(self, stream: str, step: Step) -> tuple[Step, str]:
        """
        Return *step* with what its probe taught, and what that showed, in words.

        Raises:
            Refused, UnsafeAnswer: It failed.
        """
        if step.rung is Rung.LAST_UPDATED:
            return self._prove_last_updated(stream, step)
        if step.rung is Rung.DATE:
            return self._prove_date(stream, step)
        if step.rung in KEYED:
            return step, self._prove_keyed(stream, step)
        self._first(stream, step, self.roster.window(step.window, self._clock()))
        return step, "a search of the whole type was answered"

    def _prove_last_updated(self, stream: str, step: Step) -> tuple[Step, str]:
        later = self._clock() + AHEAD
        if any(at is None or at < later for at in self._changed_since(stream, step, later)):
            raise UnsafeAnswer(f"asked for changes from tomorrow on, the server gave older ones: {LAST_UPDATED} fails")
        for _ in range(TRIES):
            try:
                any_one = self._first(stream, step, [])
            except Refused:
                self._changed_since(stream, step, BEGINNING)
                return replace(step, bare=False), "asked for changes from tomorrow on, the server gave none"
            if any_one is None or self._changed_since(stream, step, any_one):
                return step, "the server gives what changed and nothing else"
        raise UnsafeAnswer(f"a resource that is there is not found by its own {LAST_UPDATED}")

    def _search(self, stream: str, step: Step, params: Sequence[tuple[str, str]], *critical: str) -> SearchPage:
        """Search for one resource."""
        page = self._client.search(stream, [*params, (step.count, "1")], critical=critical)
        if page.server_at is not None:
            self.ahead = page.server_at - self._clock()
        return page

    def _changed_since(self, stream: str, step: Step, at: datetime) -> list[datetime | None]:
        params = [(LAST_UPDATED, f"ge{format_instant(at)}"), ("_sort", LAST_UPDATED)]
        page = self._search(stream, step, params, LAST_UPDATED)
        return [entry.updated_at for entry in page.entries]

    def _prove_date(self, stream: str, step: Step) -> tuple[Step, str]:
        if step.param is None:
            raise UnsafeAnswer(f"{stream} has no time at which it was made to search by")
        self._try_date(stream, step, step.param)
        if step.also is not None:
            try:
                self._try_date(stream, step, step.also)
            except (Refused, UnsafeAnswer):
                step = replace(step, also=None)
        return step, f"asked by {step.param} for what is made ten years from now, the server gave none"

    def _try_date(self, stream: str, step: Step, param: str) -> None:
        day = (self._clock() + FAR_AHEAD).date().isoformat()
        if self._search(stream, step, [(param, f"ge{day}")], param).entries:
            raise UnsafeAnswer(f"asked for what is made ten years from now, the server gave some: {param} fails")

    def _prove_keyed(self, stream: str, step: Step) -> str:
        assert step.param is not None
        keys = self.keys(step)
        if not keys:
            raise Refused(f"no {step.param} is known; name some in connections.{self._line.name}.{step.param}s")
        for number, key in enumerate(keys[:KEYS_TRIED], 1):
            try:
                window = self.roster.window(step.window, self._clock())
                self._first(stream, step, [(step.param, key.partition("/")[2]), *window])
                break
            except Refused:
                if number == min(len(keys), KEYS_TRIED):
                    raise
        return f"a search by {step.param} was answered; {len(keys)} to read"

    def _first(self, stream: str, step: Step, params: Sequence[tuple[str, str]]) -> datetime | None:
        """Search, and return when the first resource of the answer changed last."""
        page = self._search(stream, step, params, *(name for name, _ in params))
        return next((entry.updated_at for entry in page.entries), None)


def _is_lower(one: Step, than: Step) -> bool:
    order = list(Rung)
    return order.index(one.rung) > order.index(than.rung)


def _height(passed_over: str) -> int:
    """Return how far down the ladder the rung is that was passed over; reasons that name none come first."""
    return next((place for place, rung in enumerate(Rung) if passed_over.startswith(f"{rung.value}:")), -1)


def _above(rung: Rung, passed_over: Sequence[str]) -> tuple[str, ...]:
    """Return what was passed over of the rungs that are better than *rung*, best first."""
    return tuple(words for words in sorted(passed_over, key=_height) if _height(words) < list(Rung).index(rung))
