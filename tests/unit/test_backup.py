"""A backup is whole and sound or not there; a restore takes its place, and keeps what was there."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from bridge.backup import back_up, mark, put_back
from bridge.errors import ConfigError
from bridge.store.engine import own
from bridge.store.migrations import check, pending
from bridge.store.opening import create_or_open, open_store
from bridge.store.rows import Budget, Cursor, Restored, Subscribed
from bridge.sync.restored import A_DAY
from tests.migrations.released import on_sqlite

NOW = datetime(2026, 6, 1, 14, tzinfo=UTC)
CURSOR = Cursor(connection="main", stream="Task", watermark=NOW, checked_at=NOW, rung="last-updated", read=7)
SERVICE_USER = 61234


class Place:
    """A folder with a database in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "bridge.sqlite3"
        self.url = f"sqlite:///{self.file}"
        create_or_open(self.url).close()

    def note(self, marker: str) -> None:
        """Change the database."""
        with closing(open_store(self.url)) as store, store.transaction() as tx:
            tx.save_cursor(replace(CURSOR, problem=marker))

    def noted(self, url: str | None = None) -> str | None:
        """Return the last change."""
        with closing(open_store(url or self.url)) as store, store.reading() as tx:
            cursor = tx.cursor("main", "Task")
            return cursor.problem if cursor is not None else None

    def files(self) -> set[str]:
        """Return what stands in the folder, but for the lock and what SQLite keeps beside an open file."""
        beside = (".lock", "-wal", "-shm")
        return {one.name for one in self.folder.iterdir() if not one.name.endswith(beside)}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_backup_holds_what_was_committed_and_nothing_else(place: Place, tmp_path: Path) -> None:
    place.note("committed")
    with closing(open_store(place.url)) as store, store.transaction() as tx:
        tx.save_cursor(replace(CURSOR, problem="not yet"))
        made = back_up(place.url, tmp_path / "copy")

    assert made.size == (tmp_path / "copy").stat().st_size
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0
    assert place.noted(f"sqlite:///{tmp_path / 'copy'}") == "committed"


def test_a_backup_overwrites_nothing(place: Place, tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("somebody's")

    with pytest.raises(ConfigError, match="there already"):
        back_up(place.url, tmp_path / "copy")

    assert (tmp_path / "copy").read_text() == "somebody's"


def test_a_backup_of_a_damaged_database_is_none(place: Place, tmp_path: Path) -> None:
    for number in range(50):
        place.note(f"{number}" + "x" * 3000)
    with closing(sqlite3.connect(place.file)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page, size = conn.execute("SELECT rootpage, 4096 FROM sqlite_master WHERE name = 'cursor'").fetchone()
    with place.file.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)

    with pytest.raises(ConfigError, match=r"damaged|copied"):
        back_up(place.url, tmp_path / "copy")

    assert place.files() == {"bridge.sqlite3"}


def test_a_backup_where_there_is_no_folder_says_so(place: Place, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        back_up(place.url, tmp_path / "nowhere" / "copy")


def test_a_restore_takes_the_place_of_what_is_there_and_keeps_it(place: Place, tmp_path: Path) -> None:
    place.note("before")
    back_up(place.url, tmp_path / "copy")
    place.note("after")

    done = put_back(place.url, tmp_path / "copy", ["main"], NOW)

    assert place.noted() == "before"
    assert done.aside is not None
    assert place.noted(f"sqlite:///{done.aside}") == "after"
    assert place.files() == {"bridge.sqlite3", "copy", done.aside.name}


def test_a_restore_does_not_take_up_the_log_of_what_was_there(place: Place, tmp_path: Path) -> None:
    """SQLite would apply a write-ahead log that stays beside the file to whatever file has its name."""
    place.note("before")
    back_up(place.url, tmp_path / "copy")
    place.note("after")
    log = place.file.with_name("bridge.sqlite3-wal")
    with closing(sqlite3.connect(place.file)) as conn:
        conn.execute("PRAGMA journal_mode=WAL")
        conn.execute("UPDATE cursor SET problem = 'in the log'")
        conn.commit()
        left = log.read_bytes()
    log.write_bytes(left)

    put_back(place.url, tmp_path / "copy", ["main"], NOW)

    assert not log.exists()
    assert place.noted() == "before"


def test_a_restore_makes_the_database_where_there_is_none(place: Place, tmp_path: Path) -> None:
    place.note("before")
    back_up(place.url, tmp_path / "copy")
    place.file.unlink()

    done = put_back(place.url, tmp_path / "copy", ["main"], NOW)

    assert done.aside is None
    assert place.noted() == "before"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
@pytest.mark.parametrize("fresh", [False, True], ids=["over a database", "where there is none"])
def test_what_root_makes_and_restores_belongs_to_the_user_of_the_service(fresh: bool, tmp_path: Path) -> None:
    """systemd gives the service's folder to a user made for it, and gives it anew only where the folder is not its."""
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "service"
    elsewhere.mkdir()
    folder.mkdir()
    os.chown(folder, SERVICE_USER, SERVICE_USER)
    back_up(Place(elsewhere).url, elsewhere / "copy")
    url = f"sqlite:///{folder}/bridge.sqlite3" if fresh else Place(folder).url

    put_back(url, elsewhere / "copy", ["main"], NOW)

    assert {(one.stat().st_uid, one.stat().st_gid) for one in folder.iterdir()} == {(SERVICE_USER, SERVICE_USER)}
    assert {one.stat().st_uid for one in elsewhere.iterdir()} == {0}


def test_nothing_is_restored_while_bridge_runs(place: Place, tmp_path: Path) -> None:
    back_up(place.url, tmp_path / "copy")
    place.note("after")

    with own(place.url), pytest.raises(ConfigError, match="in use by process"):
        put_back(place.url, tmp_path / "copy", ["main"], NOW)

    assert place.noted() == "after"


def _newer(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as conn, conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")


def _foreign(copy: Path) -> None:
    copy.unlink()
    with closing(sqlite3.connect(copy)) as conn, conn:
        conn.execute("CREATE TABLE something (id INTEGER)")


def _text(copy: Path) -> None:
    copy.write_text("not a database")


def _cut_short(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:60_000])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(_newer, "newer Bridge"), (_foreign, "not made by Bridge"), (_text, "not an SQLite"), (_cut_short, "damaged")],
)
def test_what_cannot_be_used_changes_nothing(
    spoil: Callable[[Path], None], said: str, place: Place, tmp_path: Path
) -> None:
    back_up(place.url, tmp_path / "copy")
    place.note("after")
    spoil(tmp_path / "copy")

    with pytest.raises(ConfigError, match=said):
        put_back(place.url, tmp_path / "copy", ["main"], NOW)

    assert place.noted() == "after"
    assert place.files() == {"bridge.sqlite3", "copy"}


def test_an_older_schema_is_migrated_and_the_backup_stays_as_it_is(place: Place, tmp_path: Path) -> None:
    older = tmp_path / "older"
    on_sqlite("0.1.0", older)
    to_come = pending(f"sqlite:///{older}")
    kept = older.read_bytes()

    done = put_back(place.url, older, ["main"], NOW)

    assert done.migrated == to_come
    check(place.url)
    assert older.read_bytes() == kept


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_restored_database_knows_that_it_is_older(by_hand: bool, place: Place, tmp_path: Path) -> None:
    rang = Subscribed(
        connection="main", key="k", flavor="classic", about="Task", types=("Task",), counter=9, gap=(2, 4)
    )
    with closing(open_store(place.url)) as store, store.transaction() as tx:
        tx.save_cursor(replace(CURSOR, position=NOW, started_at=NOW))
        tx.save_cursor(Cursor(connection="main", stream="rules", place="by these"))
        tx.save_subscribed([rang])
        tx.save_budget(Budget(connection="main", away_since=NOW, open_until=NOW, trips=1))
    later = NOW + timedelta(hours=2)

    if by_hand:
        mark(place.url, ["main"], later)
    else:
        back_up(place.url, tmp_path / "copy")
        put_back(place.url, tmp_path / "copy", ["main"], later)

    with closing(open_store(place.url)) as store, store.reading() as tx:
        assert tx.restored("main") == Restored(connection="main", restored_at=later, known_until=NOW)
        assert tx.cursor("main", "Task") == replace(CURSOR, watermark=NOW - A_DAY, read=0)
        assert tx.cursor("main", "rules") == Cursor(connection="main", stream="rules", place="by these")
        assert tx.subscribed("main") == [replace(rang, counter=None, gap=None)]
        assert tx.budget("main") == Budget(connection="main")
