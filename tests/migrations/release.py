"""
Keep what this release leaves behind: ``python -m tests.migrations.release VERSION``, once, when it is released.

Needs PostgreSQL's binaries (``initdb``, ``pg_dump``). What a released version left is never written anew.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import bridge
from bridge.store.migrations import migrate
from bridge.store.tables import metadata
from tests.contract import postgres
from tests.migrations.filled import fill
from tests.migrations.released import FOLDER
from tests.migrations.replica import DatabaseWorld

KINDS = ("Patient", "ServiceRequest", "Appointment", "MedicationRequest", "Task", "Communication")
DUMP = ("pg_dump", "--inserts", "--no-owner", "--no-privileges", "--no-comments")


def keep(folder: Path) -> None:
    """Write what this release leaves behind into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "bridge.db"
        world = DatabaseWorld(f"sqlite:///{file}")
        fill(world)
        world.store.close()
        with closing(sqlite3.connect(file)) as conn:
            (folder / "sqlite.sql").write_text("\n".join(conn.iterdump()) + "\n")
    held = [resource for kind in KINDS for resource in world.ehr.all(kind)]
    (folder / "ehr.json").write_text(json.dumps(held, indent=1, sort_keys=True) + "\n")
    reads = {table.name: sorted(table.columns.keys()) for table in metadata.sorted_tables}
    (folder / "reads.json").write_text(json.dumps(reads, indent=1, sort_keys=True) + "\n")
    with postgres.server() as server, postgres.fresh_database(server) as url:
        migrate(url)
        world = DatabaseWorld(url)
        fill(world)
        world.store.close()
        dumped = subprocess.run([*DUMP, url], capture_output=True, text=True, check=True)
        (folder / "postgresql.sql").write_text(_plain(dumped.stdout))


def _plain(dump: str) -> str:
    """Leave out what only psql or another version of the server knows."""
    kept = (line for line in dump.splitlines() if not re.match(r"\\|SET |SELECT pg_catalog\.set_config|--|$", line))
    return "\n".join(kept) + "\n"


def main() -> int:
    """Keep the release that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version")
    parser.add_argument("--again", action="store_true", help="write it anew, as long as it is not really released")
    asked = parser.parse_args()
    folder = FOLDER / asked.version
    if asked.version != bridge.__version__:
        print(f"this is {bridge.__version__}, not {asked.version}", file=sys.stderr)
        return os.EX_USAGE
    if folder.exists() and not asked.again:
        print(f"{asked.version} is kept already", file=sys.stderr)
        return os.EX_USAGE
    keep(folder)
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
