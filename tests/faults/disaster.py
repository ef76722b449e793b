"""A disaster: the database is lost hours after its backup, and put back from that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.backup import back_up, put_back
from bridge.store.rows import Restored
from tests.faults.beside import FileWorld


def asking(**changes: Any) -> dict[str, Any]:
    """Return a Task that asks for something by itself."""
    about = {"status": "requested", "intent": "order", "for": {"reference": "Patient/p1"}}
    return {"resourceType": "Task", "id": "t9", "authoredOn": "2026-05-29T09:00:00Z", **about, **changes}


OWN_OR_NOT = pytest.mark.parametrize("own_ids", [True, False], ids=["own id", "conditional"])


class Disaster(FileWorld):
    """Orders that are worked on, a backup, two hours of more work, and the backup put back."""

    def __init__(self, folder: Path, own_ids: bool) -> None:
        super().__init__(folder)
        self.copy = folder / "copy"
        self.ehr.options.update_as_create = own_ids
        self.fill(6)
        self.sync()
        self.back_up()

    def back_up(self) -> None:
        """Make a backup, as its command does."""
        self.copy.unlink(missing_ok=True)
        back_up(f"sqlite:///{self.file}", self.copy)

    def restore(self) -> None:
        """Put the backup back, as its command does."""
        self.store.close()
        put_back(f"sqlite:///{self.file}", self.copy, ["main"], self.clock())
        self.reopen()

    def restored_after(self) -> Restored:
        """Put the backup back, and return what is noted before the first start."""
        self.restore()
        return self.restored()

    def said(self) -> dict[str, tuple[str, str]]:
        """Return what of ours stands on the EHR: status and version by reference; none of it twice."""
        ours = self.ours("Task", "urn:bridge:case") + self.ours("Communication", "urn:bridge:message")
        names = [one["identifier"][0]["value"] for one in ours]
        assert len(names) == len(set(names))
        return {f"{one['resourceType']}/{one['id']}": (one["status"], one["meta"]["versionId"]) for one in ours}

    def open_tasks(self) -> list[dict[str, Any]]:
        """Return the Tasks of ours that somebody still has to do something about."""
        ended = ("completed", "cancelled", "rejected", "failed", "entered-in-error")
        return [one for one in self.ours("Task", "urn:bridge:case") if one["status"] not in ended]

    def restored(self) -> Restored:
        """Return what the restore found."""
        with self.store.reading() as tx:
            row = tx.restored("main")
        assert row is not None
        return row

    def told(self) -> list[str]:
        """Return what tells of the cases (``Communication/id``) and was not taken back."""
        ours = self.ours("Communication", "urn:bridge:message")
        return [f"Communication/{one['id']}" for one in ours if one["status"] not in ("not-done", "entered-in-error")]
