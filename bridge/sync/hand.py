"""What a writer does on the EHR itself: look what stands there under our identifier, create once, change a version."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock, local
from urllib.parse import quote

from bridge.cases.intents import IntentState
from bridge.errors import Gone, NotFound, OutcomeUnknown, Refused, VersionConflict
from bridge.fhir.client import FhirClient, Written, escape
from bridge.fhir.source import SourceVersion, is_by_content
from bridge.tasks.check import encode
from bridge.tasks.elements import Json
from bridge.tasks.merge import decode
from bridge.tasks.route import How

_OK = 200
_PRECONDITION_FAILED = 412


@dataclass(frozen=True)
class Done:
    """What stands on the EHR now: the resource and its version, ``None`` where nothing had to be there."""

    ref: str | None
    version: str | None
    reason: str | None = None
    """What there is to say of it, in words."""


class Stop(Exception):
    """This intent ends here, without a write: its state, a stable code, and a reason a person can act on."""

    def __init__(self, state: IntentState, code: str, reason: str) -> None:
        super().__init__(reason)
        self.state, self.code, self.reason = state, code, reason


class Overtaken(Exception):
    """The lease ran out between looking and writing: another process may have done this, and knows more."""


class NotYet(Exception):
    """What was sent without an answer may stand there and not show yet: nothing is created before it would."""

    def __init__(self, at: datetime, reason: str) -> None:
        super().__init__(reason)
        self.at = at
        """When to look again."""


class Several(Stop):
    """More than one resource on the EHR carries one identifier of ours."""

    def __init__(self, found: Sequence[SourceVersion], value: str) -> None:
        kind = found[0].type
        reason = f"the EHR holds {len(found)} resources {kind} with our identifier {value}; keep one, then replay"
        super().__init__(IntentState.PARKED, "duplicate-on-server", reason)
        self.found = found


class Outrun(VersionConflict):
    """The EHR answered a write over *version* of *ref* with a conflict."""

    def __init__(self, ref: str, version: str, error: VersionConflict) -> None:
        super().__init__(str(error), status=error.status, issues=error.issues)
        self.ref, self.version = ref, version


class EndedThere(Stop):
    """Our Task was ended on the EHR while the case is open: that stands, and is shown."""

    def __init__(self, ref: str, status: object) -> None:
        reason = f"{ref} was ended in the EHR by somebody else ({status}): it is left so while the case is open here"
        super().__init__(IntentState.NOT_WRITABLE, "ended-in-ehr", reason)
        self.ref = ref


class Hand:
    """Looks and writes over one client, counting what it wrote. Safe to share between threads."""

    def __init__(self, client: FhirClient, clock: Callable[[], datetime]) -> None:
        """Write over *client*; *clock* tells when a lease has run out."""
        self._client, self._clock = client, clock
        self._lock = Lock()
        self._mine = local()
        self.written = 0

    def lease(self, until: datetime | None) -> None:
        """Let this thread write until then, and no longer: what it looked at may be old after that."""
        self._mine.until = until

    def _may_write(self) -> None:
        until: datetime | None = getattr(self._mine, "until", None)
        if until is not None and self._clock() >= until:
            raise Overtaken(f"the lease ran out at {until:%H:%M:%S} UTC")

    def look(self, how: How, ref: str, system: str, value: str, written: Iterable[str] = ()) -> SourceVersion | None:
        """
        Return what stands on the EHR under our identifier; a deleted one does not stand.

        Raises:
            Several: More than one does.

        Args:
            ref: Where it stands if we may choose ids.
            written: What we know to have written for the case. It is read before anything is searched for: a
                search shows what was just written late, and may lose sight of it while an index is rebuilt
                (AWS HealthLake, FHIR search consistency levels), and what is not found is created.
        """
        if how is How.PUT_OWN_ID:
            return self.read(ref)
        for known in written:
            stands = self.read(known)
            if stands is not None and is_named(decode(stands.raw), system, value):
                return stands
        found = self.search(ref.partition("/")[0], system, value)
        if len(found) > 1:
            raise Several(found, value)
        return found[0] if found else None

    def search(self, kind: str, system: str, value: str) -> list[SourceVersion]:
        """Return what a search shows under an identifier of ours, each resource once."""
        token = f"{escape(system)}|{escape(value)}"
        page = self._client.search(kind, [("identifier", token), ("_count", "10")], critical=("identifier",))
        return list({version.ref: version for version in page.entries if version.type == kind}.values())

    def whole_of(self, parts: Iterable[str | None], system: str, value: str) -> SourceVersion | None:
        """Return what stands under our identifier and one of *parts* (``Type/id``) says it is part of."""
        for part in parts:
            stands = self.read(part) if part is not None else None
            if stands is None:
                continue
            for named in decode(stands.raw).get("partOf", ()):
                whole = self.read(named["reference"]) if is_relative(named) else None
                if whole is not None and is_named(decode(whole.raw), system, value):
                    return whole
        return None

    def read(self, ref: str) -> SourceVersion | None:
        """Return what stands there now, ``None`` where nothing does."""
        try:
            return self._client.read(ref)
        except (Gone, NotFound):
            return None

    def create(self, how: How, kind: str, ref: str, system: str, value: str, body: bytes) -> Written:
        """
        Create a resource of ours, once, however often this is repeated.

        ``If-None-Exist`` is read as a query string: a plain ``+`` in it is a space, finds nothing, and HAPI 8.0.0
        refuses to create what does not fit its own condition (HAPI-0929, seen 2026-11).
        """
        self._may_write()
        if how is How.PUT_OWN_ID:
            resource = {**decode(body), "id": ref.partition("/")[2]}
            written = self._client.update(ref, encode(resource), create_only=True)
        else:
            condition = f"identifier={quote(f'{escape(system)}|{escape(value)}', safe='/:|')}"
            written = self._create(kind, body, condition)
        self._count()
        return written

    def _create(self, kind: str, body: bytes, condition: str) -> Written:
        """Create unless something fits *condition*; where several do, the next look has to tell which is ours."""
        try:
            return self._client.create(kind, body, if_none_exist=condition)
        except Refused as error:
            if error.status != _PRECONDITION_FAILED:
                raise
            told = f"create of {kind}: the EHR says that several are there already, and a search shows none"
            raise OutcomeUnknown(told, status=error.status) from None

    def update(self, ref: str, resource: Json, version: str) -> str:
        """
        Write over *version* and return the version that this made.

        Raises:
            Outrun: Somebody else wrote first, or the EHR says so.
            OutcomeUnknown: There was no answer, or one that says nothing, and nothing changed.
        """
        if not _is_version(version):
            raise Stop(
                IntentState.NOT_WRITABLE,
                "no-version",
                f"the EHR gives no version of {ref}: it cannot be changed without the risk of overwriting",
            )
        self._may_write()
        try:
            written = self._client.update(ref, encode(resource), if_match=version)
        except VersionConflict as error:
            raise Outrun(ref, version, error) from error
        made = written.version or self._client.read(ref).version
        if written.version is None and made == version:
            # A proxy may answer 200 with nothing for what never reached the EHR.
            raise OutcomeUnknown(f"update of {ref}: answered {_OK} with nothing, and it stands as it did")
        self._count()
        return made

    def _count(self) -> None:
        with self._lock:
            self.written += 1


def is_relative(named: object) -> bool:
    """Whether this is a Reference to a resource of the same server, as we write them (``Type/id``)."""
    stated = named.get("reference") if isinstance(named, dict) else None
    return isinstance(stated, str) and stated.count("/") == 1


def is_named(resource: Json, system: str, value: str) -> bool:
    """Whether a resource carries this identifier."""
    names = resource.get("identifier")
    return isinstance(names, list) and any(
        isinstance(one, dict) and (one.get("system"), one.get("value")) == (system, value) for one in names
    )


def _is_version(version: str) -> bool:
    """Whether a version is the server's own, fit for ``If-Match``, rather than a hash of ours."""
    return not is_by_content(version)
