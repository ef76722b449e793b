"""Whether somebody is told again what they were told before the database was lost, by rules that are not Bridge's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bridge.store.rows import OutboxRow

from .clinic import is_ours
from .truth import Json, reference

if TYPE_CHECKING:
    from .world import World


class Told:
    """
    The messages on the EHR that no database knows any more.

    Two in a row about one piece of work that say the same are one too many where the first was forgotten with a
    database. Not where a person went on with a case that the EHR calls closed: its end is news once more.
    """

    def __init__(self) -> None:
        self._forgotten: set[str] = set()
        """Messages (``Communication/id``) that a database was lost with."""
        self._gone_on: set[str] = set()

    def lose(self, world: World) -> None:
        """Note what stands on the EHR, and the database that was just restored does not know."""
        known = {row.intent.key for row in _rows(world)}
        self._forgotten |= {f"Communication/{one['id']}" for one in _messages(world) if _name(one) not in known}

    def goes_on(self, world: World, ids: list[int]) -> None:
        """Note the cases with which a person goes on though the EHR calls them closed."""
        rows = [row for row in _rows(world) if row.id in ids and row.code == "restored"]
        held = {row.intent.case_id for row in rows}
        self._gone_on |= {case.root for case in world.cases() if case.id in held}

    def twice(self, world: World) -> Iterator[str]:
        """Say what was told again right after it had been told."""
        rows = _rows(world)
        known = {row.intent.key for row in rows}
        taken = {row.written for row in rows}
        last: dict[str, Json] = {}
        for one in _messages(world):
            root = reference(one["basedOn"][0]) or ""
            before, last[root] = last.get(root), one
            if before is None or root in self._gone_on or one["subject"] != before["subject"]:
                continue
            ref = f"Communication/{before['id']}"
            forgotten = ref in self._forgotten and ref not in taken and _name(before) not in known
            if forgotten and _name(one) in known and _news(one) == _news(before):
                yield f"O3: {root} was told again: {_news(one)!r}, by {ref} and Communication/{one['id']}"


def _rows(world: World) -> list[OutboxRow]:
    with world.store.reading() as tx:
        return tx.outbox(limit=100_000)


def _messages(world: World) -> list[Json]:
    """Return the messages that tell somebody where work stands, in the order in which they were made."""
    store = world.ehr.ehr.store
    heads = [head for head in store.heads() if head.type == "Communication" and not head.deleted]
    firsts = [(store.version(head.type, head.id, "1"), head.resource()) for head in heads]
    made = [(first.at, one["id"], one) for first, one in firsts if first is not None and is_ours(one)]
    told = [one for _, _, one in sorted(made, key=lambda each: each[:2])]
    return [one for one in told if not _name(one).startswith("outreach/") and one["status"] != "entered-in-error"]


def _name(message: Json) -> str:
    found: str = message["identifier"][0]["value"]
    return found


def _news(message: Json) -> str:
    """Return what happened, without what is to happen next."""
    part = message["payload"][0]
    text: str = part.get("contentString") or part["contentCodeableConcept"]["text"]
    return text.split(" Next: ")[0].split(" Responsible: ")[0]
