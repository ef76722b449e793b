"""The database of a run: a file of SQLite, or in memory in the place of a server; it can be lost and restored."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from bridge.store.memory import MemoryStore
from bridge.store.memory.state import State
from bridge.store.opening import open_store
from bridge.store.port import Store


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
            self.store: Store = open_store(f"sqlite:///{self.file}", pool_size=2)
        elif not hasattr(self, "store"):
            self.store = MemoryStore()

    def back_up(self) -> None:
        """Keep a copy of it as it is, in the midst of its use."""
        if self.file is None:
            assert isinstance(self.store, MemoryStore)
            self._copy = self.store._state.copied()
            return
        copy = self.file.with_name("copy.sqlite3")
        copy.unlink(missing_ok=True)
        with closing(sqlite3.connect(self.file)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)

    def restore(self) -> None:
        """Put the copy in its place; it has to be closed."""
        if self.file is None:
            assert self._copy is not None
            fresh = MemoryStore()
            fresh._state = self._copy.copied()
            self.store = fresh
            return
        for rest in self.file.parent.glob("bridge.sqlite3*"):
            rest.unlink()
        shutil.copy(self.file.with_name("copy.sqlite3"), self.file)
        self.open()
