"""A rolling upgrade: the next release migrates the database and starts while this one is at work."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.archives import unpack
from tests.contract.postgres import fresh_database
from tests.hapi.line import REPOSITORY
from tests.migrations.nextrelease import HEAD, NEW_COLUMNS, NEW_INDEX, add_revisions
from tests.migrations.released import releases

from .site import Reference, Site, site, until
from .test_replicas import as_undisturbed

pytestmark = pytest.mark.postgres


def next_release(folder: Path) -> Path:
    """Copy this release and give it revisions of its own; returns where it can be imported from."""
    shutil.copytree(REPOSITORY / "bridge", folder / "bridge", ignore=shutil.ignore_patterns("__pycache__"))
    add_revisions(folder / "bridge" / "store" / "migrations", NEW_COLUMNS, NEW_INDEX)
    return folder


def last_release(folder: Path) -> Path:
    """Take the last release out of git, as it was when its database was kept; returns where it can be imported."""
    kept = f"tests/migrations/released/{releases()[-1]}/sqlite.sql"
    asked = ["git", "log", "--diff-filter=A", "--format=%H", "-1", "--", kept]
    found = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout.strip()
    if not found:
        pytest.skip("not a git checkout with its history")
    packed = subprocess.run(["git", "archive", found, "bridge"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        unpack(archive, folder)
    return folder


def command(release: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of a release to its end."""
    return subprocess.run(
        [sys.executable, "-m", "bridge", *arguments],
        cwd=folder,
        env=_environment(release),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _environment(release: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    return {**kept, "PYTHONPATH": str(release)}


@contextmanager
def serving(release: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a replica of a release."""
    with (folder / "out.log").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "bridge", "serve"], cwd=folder, env=_environment(release), stdout=out, stderr=out
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def half_way(here: Site) -> bool:
    return here.settled() >= 20


def test_two_releases_share_the_work_while_one_takes_the_place_of_the_other(
    reference: Reference, database: str, tmp_path: Path
) -> None:
    newer = next_release(tmp_path / "release")
    with site(tmp_path, database, reference.filled_at) as here:
        here.workplace("newer")
        older = [here.replica("one"), here.replica("two")]
        until(lambda: half_way(here), "half of the work of this release")

        migrated = command(newer, tmp_path / "newer", "migrate")
        with serving(newer, tmp_path / "newer") as replica:
            until(lambda: b"Bridge is at" in (tmp_path / "newer" / "out.log").read_bytes(), "the next one at work")
            assert [process.code for process in older] == [None, None]
            refused = command(REPOSITORY, tmp_path / "one", "sync", "--once")
            for process in older:
                process.kill()
            here.await_rest()
            assert replica.poll() is None

        as_undisturbed_of_the_next(here, reference)

    assert (migrated.returncode, migrated.stdout) == (0, "applied 9001\napplied 9002\n")
    assert (refused.returncode, "newer Bridge" in refused.stderr) == (2, True)


def test_the_last_release_works_until_this_one_has_taken_its_place(
    reference: Reference, postgres_server: str, tmp_path: Path
) -> None:
    older = last_release(tmp_path / "release")
    with fresh_database(postgres_server) as url, site(tmp_path, url, reference.filled_at) as here:
        for name in ("one", "two", "newer"):
            here.workplace(name)
        made = command(older, tmp_path / "one", "migrate")
        with serving(older, tmp_path / "one") as one, serving(older, tmp_path / "two") as two:
            until(lambda: half_way(here), "half of the work of the last release", lambda: made.stderr)

            migrated = command(REPOSITORY, tmp_path / "newer", "migrate")
            here.await_rest()
            assert [one.poll(), two.poll()] == [None, None]
        here.replica("newer")
        here.await_rest()

        as_undisturbed(here, reference.standing)

    assert (made.returncode, migrated.returncode) == (0, 0)


def as_undisturbed_of_the_next(here: Site, reference: Reference) -> None:
    """Take the revision back, so that this release may look, and look."""
    with here.store.transaction() as tx:
        tx.conn.exec_driver_sql("UPDATE alembic_version SET version_num = %s", (HEAD,))
    as_undisturbed(here, reference.standing)
