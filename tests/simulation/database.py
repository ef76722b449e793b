"""The database of a run: a file of SQLite, or in memory in the place of a server; it can be lost and restored."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

from bridge.backup import back_up, put_back
from bridge.store.memory import MemoryStore
from bridge.store.memory.state import State
from bridge.store.opening import open_store
from bridge.store.port import Store
from bridge.sync.restored import mark_restored


class Database:
    """
    Where Bridge keeps everything.

    Args:
        folder: Where a file may stand; without one, all is in memory.
        template: A database file with nothing in it, to be copied.
    """

    def __init__(self, folder: Path | None, template: Path | None) -> None:
        self.file = folder / "bridge.sqlite3" if folder is not None and template is not None else None
        if self.file is not None and template is not None:
            shutil.copy(template, self.file)
        self._copy: State | None = None
        self.open()

    @property
    def is_file(self) -> bool:
        """Whether one process alone may use it."""
        return self.file is not None

    def open(self) -> None:
        """Open it, once more."""
        if self.file is not None:
            self.store: Store = open_store(self._url, pool_size=2)
        elif not hasattr(self, "store"):
            self.store = MemoryStore()

    def back_up(self) -> None:
        """Keep a copy of it as it is, in the midst of its use."""
        if self.file is None:
            assert isinstance(self.store, MemoryStore)
            self._copy = self.store._state.copied()
            return
        self._copy_file.unlink(missing_ok=True)
        back_up(self._url, self._copy_file)

    @property
    def is_backed_up(self) -> bool:
        """Whether there is a copy to be put back."""
        return self._copy is not None if self.file is None else self._copy_file.exists()

    def restore(self, now: datetime) -> None:
        """Put the copy in its place, as the command does; it has to be closed."""
        if self.file is None:
            assert self._copy is not None
            fresh = MemoryStore()
            fresh._state = self._copy.copied()
            self.store = fresh
            with self.store.transaction() as tx:
                mark_restored(tx, ["main"], now)
            return
        done = put_back(self._url, self._copy_file, ["main"], now)
        assert done.aside is not None
        done.aside.unlink()
        self.open()
        with self.store.transaction() as tx:
            tx.release_leases(now)

    @property
    def _url(self) -> str:
        return f"sqlite:///{self.file}"

    @property
    def _copy_file(self) -> Path:
        assert self.file is not None
        return self.file.with_name("copy.sqlite3")
