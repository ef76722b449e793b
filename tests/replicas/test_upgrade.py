"""A rolling upgrade: the next release migrates the database and starts while this one is at work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hapi.line import REPOSITORY
from tests.migrations.nextrelease import HEAD, NEW_COLUMNS, NEW_INDEX, add_revisions

from .site import Reference, Site, site, until
from .test_replicas import as_undisturbed

pytestmark = pytest.mark.postgres


def next_release(folder: Path) -> Path:
    """Copy this release and give it revisions of its own; returns where it can be imported from."""
    shutil.copytree(REPOSITORY / "bridge", folder / "bridge", ignore=shutil.ignore_patterns("__pycache__"))
    add_revisions(folder / "bridge" / "store" / "migrations", NEW_COLUMNS, NEW_INDEX)
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


def as_undisturbed_of_the_next(here: Site, reference: Reference) -> None:
    """Take the revision back, so that this release may look, and look."""
    with here.store.transaction() as tx:
        tx.conn.exec_driver_sql("UPDATE alembic_version SET version_num = %s", (HEAD,))
    as_undisturbed(here, reference.standing)
