"""
Second copies of what we wrote: of several resources under one identifier of ours, one stands.

Theory of operation. A server may make two of one: a create whose answer was lost and that showed too late, two
creates at the same moment, a sender that was frozen with its request on the way. Wherever a second one is noticed
(a look before a write, a poll that brings a Task of ours under an id that we did not know, a sweep, a look back at
what was confirmed in doubt), an intent about that one resource is queued. When it is delivered, everything is read
anew: the oldest of those that are ours is kept, and the one it is about, if it is another, is marked as entered in
error over the version just read. What is another patient's, was not written by us, or was moved by a person, is left
as it is, and the intent is parked with that reason.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bridge.cases.intents import Intent, IntentState
from bridge.cases.model import Case
from bridge.errors import Refused, ServerFault
from bridge.fhir.bundle import received
from bridge.fhir.source import SourceVersion
from bridge.store.port import Store
from bridge.store.rows import OutboxRow
from bridge.sync.hand import Done, Hand, Several, Stop, is_named
from bridge.sync.scene import Scene
from bridge.sync.whose import Whose
from bridge.tasks.elements import Json, clean
from bridge.tasks.identity import CASE_SYSTEM, COPY_SYSTEM, LANE_SYSTEM, MESSAGE_SYSTEM, STATUS_SYSTEM, case_of_task
from bridge.tasks.intents import copy_intent, task_again
from bridge.tasks.merge import decode, refuse_modifiers, retire
from bridge.tasks.transitions import FINAL

if TYPE_CHECKING:
    from bridge.sync.deliver import Channel

log = logging.getLogger(__name__)

_ALL = 1_000_000
_FIRST = "1"
_WE_SAY = {"new": {"ready", "accepted"}, "closed": FINAL}
"""Case status -> what our own Task says then; of every other it is in progress, or on hold with a reason."""


@dataclass(frozen=True)
class _Copy:
    """One resource under an identifier of ours, as it is now."""

    version: SourceVersion
    content: Json

    @property
    def ref(self) -> str:
        return self.version.ref


class Copies:
    """Keeps one of several and takes back the others. Safe to share between threads."""

    def __init__(self, store: Store, channel: Channel, hand: Hand, whose: Whose, clock: Callable[[], datetime]) -> None:
        """Look and write by *hand*, and ask *whose* record it is."""
        self._store, self._clock = store, clock
        self._client, self._fhir_version = channel.client, channel.line.fhir_version
        self._hand, self._whose = hand, whose

    # Several were found -----------------------------------------------------------------------------------

    def keep(self, scene: Scene, several: Several) -> SourceVersion:
        """
        Return the one that stands, and queue an intent for each of the others.

        Raises:
            Several: None of them is certainly ours.
        """
        live = [one for one in map(_read, several.found) if one.content.get("status") != "entered-in-error"]
        if len(live) < 2:
            return live[0].version if live else several.found[0]
        rows = self._rows(scene.case)
        ours = [one for one in live if self._not_ours(one, scene.case, rows) is None]
        if not ours:
            raise several
        kept = self._oldest(ours)
        self._queue([copy_intent(scene.case, one.ref, f"beside-{kept.ref}") for one in live if one is not kept])
        return kept.version

    # One may be a second copy -----------------------------------------------------------------------------

    def retire(self, scene: Scene) -> Done:
        """
        Mark the resource that the intent is about as entered in error, if it is a second copy.

        Raises:
            Stop: It is none, or may not be touched.
        """
        case, target = scene.case, scene.intent.target
        assert target is not None
        stands = self._hand.read(target)
        if stands is None:
            raise Stop(IntentState.SUPERSEDED, "gone", f"{target} is not on the EHR any longer")
        this, rows = _read(stands), self._rows(case)
        if any(one.get("system") == COPY_SYSTEM for one in this.content.get("identifier") or ()):
            return Done(target, stands.version)
        others = self._beside(this, scene, rows)
        if not others or this.content.get("status") == "entered-in-error":
            raise Stop(IntentState.SUPERSEDED, "alone", f"no other stands beside {target}")
        self._check_ours(this, others[0], case, rows)
        ours = [this, *(one for one in others if self._not_ours(one, case, rows) is None)]
        kept = self._oldest(ours)
        if kept is this:
            self._queue([copy_intent(case, one.ref, f"beside-{target}") for one in others])
            raise Stop(IntentState.SUPERSEDED, "kept", f"{target} is the oldest of {len(ours)} and is kept")
        self._check_untouched(this, kept, rows)
        if target in scene.tasks:
            self._queue([task_again(case, f"kept-{kept.ref}")])
        log.warning("a second copy is retired", extra={"connection": case.connection, "copy": target, "kept": kept.ref})
        changed = retire(this.content, kept.ref, self._clock(), self._fhir_version)
        return Done(target, self._hand.update(target, changed, stands.version), f"a second copy of {kept.ref}")

    def _beside(self, this: _Copy, scene: Scene, rows: Sequence[OutboxRow]) -> list[_Copy]:
        """Return the others under the same identifier, each read directly: a search may show what was."""
        name = _our_name(this.content, scene.case, rows)
        if name is None:
            reason = f"{this.ref} carries no identifier of this case"
            raise Stop(IntentState.SUPERSEDED, "not-named", reason)
        found = {version.ref for version in self._hand.search(this.version.type, *name)}
        known = {row.written for row in rows if row.written is not None and row.written.startswith(this.version.type)}
        read = [self._hand.read(ref) for ref in sorted((found | known) - {this.ref})]
        copies = [_read(version) for version in read if version is not None]
        return [
            one for one in copies if is_named(one.content, *name) and one.content.get("status") != "entered-in-error"
        ]

    def _check_ours(self, this: _Copy, other: _Copy, case: Case, rows: Sequence[OutboxRow]) -> None:
        why = self._not_ours(this, case, rows)
        if why is not None:
            raise _left(this, other, why)
        refuse_modifiers(this.content)

    def _not_ours(self, one: _Copy, case: Case, rows: Sequence[OutboxRow]) -> str | None:
        """Return why a resource with our identifier is not one that we wrote for the case's patient."""
        if not self._whose.is_theirs(one.content, case):
            return "it is for another patient"
        is_task = one.version.type == "Task"
        if not (_is_our_task(one.content, case) if is_task else _is_our_message(one.content, rows)):
            return f"it is no {one.version.type} as Bridge writes them: somebody may have copied the identifier"
        return None

    def _check_untouched(self, this: _Copy, kept: _Copy, rows: Sequence[OutboxRow]) -> None:
        """Raise Stop where a person moved it: what they did would be undone."""
        version = this.version.version
        ours = {row.written_version for row in rows if row.written == this.ref}
        if version != _FIRST and version not in ours and not _says_as_we_do(this.content):
            raise _left(this, kept, "its status is not as Bridge left it")

    # Which is the oldest ----------------------------------------------------------------------------------

    def _oldest(self, copies: Sequence[_Copy]) -> _Copy:
        """
        Return the one to keep, the same whoever looks and whenever.

        By when its first version was made, where the EHR tells that of each; by the date it carries; by its id,
        numbers in the order in which they are counted.
        """
        made = {one.ref: self._made_at(one) for one in copies}
        told = all(at is not None for at in made.values())

        def age(one: _Copy) -> tuple[str, str, int, str]:
            dated = str(one.content.get("authoredOn") or one.content.get("sent") or "")
            own_id = one.version.id
            return (str(made[one.ref]) if told else "", dated, len(own_id) if own_id.isdecimal() else 0, own_id)

        return min(copies, key=age)

    def _made_at(self, one: _Copy) -> datetime | None:
        if one.version.version == _FIRST:
            return one.version.updated_at
        try:
            first = received(self._client.ask(f"{one.ref}/_history/{_FIRST}"))
        except (Refused, ServerFault):
            return None
        return first.updated_at if first.ref == one.ref else None

    # The store --------------------------------------------------------------------------------------------

    def _rows(self, case: Case) -> Sequence[OutboxRow]:
        with self._store.reading() as tx:
            return tx.outbox(case_ids=[case.id], limit=_ALL)

    def _queue(self, intents: Sequence[Intent]) -> None:
        with self._store.transaction() as tx:
            tx.add_intents(intents, self._clock())


def _read(version: SourceVersion) -> _Copy:
    return _Copy(version, decode(version.raw))


def _left(this: _Copy, other: _Copy, why: str) -> Stop:
    reason = f"{this.ref} carries the same identifier of ours as {other.ref}, and was left as it is: {why}"
    return Stop(IntentState.PARKED, "duplicate-on-server", f"{reason}; end one of the two, then replay")


def _our_name(resource: Json, case: Case, rows: Sequence[OutboxRow]) -> tuple[str, str] | None:
    """Return the identifier (system, value) by which the resource is the case's."""
    keys = {row.intent.key for row in rows if row.intent.message is not None}
    for one in resource.get("identifier") or ():
        system, value = one.get("system"), one.get("value")
        if system == CASE_SYSTEM and isinstance(value, str) and case_of_task(value) == case.id:
            return system, value
        if system == MESSAGE_SYSTEM and value in keys:
            return system, value
    return None


def _is_our_task(task: Json, case: Case) -> bool:
    about = task.get("focus") or {}
    coded = _codings(task.get("code")).keys() | _codings(task.get("businessStatus")).keys()
    return about.get("reference") == case.root and {LANE_SYSTEM, STATUS_SYSTEM} <= coded


def _is_our_message(message: Json, rows: Sequence[OutboxRow]) -> bool:
    """Whether a Communication says what ours says."""
    texts = {row.intent.key: clean(row.intent.message.text) for row in rows if row.intent.message is not None}
    names = {one.get("value") for one in message.get("identifier") or () if one.get("system") == MESSAGE_SYSTEM}
    said = {
        part.get("contentString") or (part.get("contentCodeableConcept") or {}).get("text")
        for part in message.get("payload") or ()
    }
    return bool(said & {texts[name] for name in names if name in texts})


def _says_as_we_do(resource: Json) -> bool:
    """Whether the status of a resource of ours is the one that goes with what it says of its case."""
    status = resource.get("status")
    if resource.get("resourceType") != "Task":
        return False
    said = _codings(resource.get("businessStatus")).get(STATUS_SYSTEM)
    if status == "on-hold":
        return "statusReason" in resource and said != "closed"
    return status in _WE_SAY.get(said or "", {"in-progress"})


def _codings(concept: Any) -> dict[str, str]:
    codings = (concept or {}).get("coding") or ()
    return {str(one.get("system")): str(one.get("code")) for one in codings}
