"""An intent with everything it is about, as it is at the moment of sending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.cases.intents import Intent, IntentKind, IntentState
from bridge.cases.model import Case
from bridge.cases.sources import SourceRow
from bridge.store.port import Store
from bridge.store.rows import OutboxRow
from bridge.sync.hand import Stop


@dataclass(frozen=True)
class Scene:
    """An intent with everything it is about: the case as it is now and the sources of its group."""

    row: OutboxRow
    case: Case
    rows: Sequence[SourceRow]
    written: str | None
    """The Task that was last written for the case, in whichever of its lives."""
    task_on_ehr: str | None
    """The same, where it is certainly of the life the case is in."""
    tasks: Sequence[str]
    """The case's Tasks that were written, of all its lives, the last first."""
    held: bool = False
    """Whether a person has to look at the case first: the database was restored from before it was closed."""
    waits: bool = False
    """Whether something of ours about it was found after a restore and was not held against the case yet."""
    was_restored: bool = False
    """Whether the database was once put back from a backup."""
    adrift: Sequence[str] = ()
    """What of ours about the case is known from the EHR alone, since the database was restored."""
    life: int = 1
    """The newest life of the case that had a Task there by then."""
    last_word: str | None = None
    """The one of them that is still the last that its requester heard."""

    @property
    def intent(self) -> Intent:
        """What should become true."""
        return self.row.intent


def scene_of(store: Store, row: OutboxRow) -> Scene:
    """
    Read what an intent is about.

    Raises:
        Stop: There is no such case.
    """
    intent = row.intent
    with store.reading() as tx:
        case = tx.case(intent.case_id)
        if case is None:
            raise Stop(IntentState.PARKED, "no-case", f"case {intent.case_id} is not in the database")
        rows = tx.sources_of_roots(intent.connection, [case.root])
        restored = tx.restored(intent.connection)
        confirmed = tx.written(case.id, [IntentKind.COORDINATION_TASK, IntentKind.RETRACTION])
        adrift = [one for one in restored.adrift if one.root == case.root] if restored is not None else []
        told = tx.written(case.id, [IntentKind.STATUS_MESSAGE]) if restored is not None and adrift else []
    since = {
        row.written
        for row in told
        if restored is not None and (row.settled_at or row.created_at) >= restored.restored_at
    }
    last = next((one for one in adrift if one.is_last and since <= {*one.beside}), None)
    held = restored is not None and case.id in restored.held
    retired = {row.written for row in confirmed if row.intent.is_copy}
    standing = [row for row in confirmed if row.intent.kind is not IntentKind.RETRACTION and row.written not in retired]
    # A reopened case has a Task of its own; what was written may still be that of its earlier life.
    written = standing[-1].written if standing else None
    tasks = dict.fromkeys(row.written for row in reversed(standing) if row.written is not None)
    return Scene(
        row=row,
        case=case,
        rows=rows,
        written=written,
        task_on_ehr=written if case.round == 1 else None,
        tasks=tuple(tasks),
        held=held,
        waits=any(one.waits for one in adrift),
        was_restored=restored is not None,
        adrift=tuple(one.ref for one in adrift),
        life=max((one.life for one in adrift), default=1) or 1,
        last_word=last.ref if last is not None else None,
    )
