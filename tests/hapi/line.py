"""
The whole line as its users drive it: the command line in a folder with a configuration, beside a HAPI server.

`Workplace` is the site's side: it runs the command line as a subprocess and looks into the database that this
leaves. `Ehr` is the server's side, over plain HTTP: it seeds resources and finds what Bridge wrote.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bridge.bootstrap import Bridge, open_bridge
from bridge.cases.changes import Change
from bridge.cases.commands import AnyCommand
from bridge.cases.model import Case
from bridge.config import load_settings
from bridge.store.queries import CaseFilter
from bridge.store.rows import InboxRow, OutboxRow
from bridge.sync.command import execute
from bridge.tasks.identity import CASE_SYSTEM, MESSAGE_SYSTEM
from conformance.generator import transactions

from .launcher import HapiServer
from .plain import NO_CACHE, Json, pages

REPOSITORY = Path(__file__).resolve().parents[2]
CONNECTION = "main"
WORK = ("ServiceRequest", "MedicationRequest", "Appointment", "Task")
SHOWN_AT_ONCE = "overlap_seconds = 0\nlag_seconds = 0"
"""For an EHR that shows at once what is written: a create without an answer is looked for, and not waited for."""

ALL_ROWS = 1_000_000
RUN_SECONDS = 300.0


@dataclass(frozen=True)
class Run:
    """What one run of the command line came to."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return what was printed with ``--json``."""
        return json.loads(self.out)


class Workplace:
    """
    A folder with a ``bridge.toml``, and the command line run in it as a user would.

    Args:
        folder: Of this workplace alone; gets the configuration and the database.
        base_url: The EHR.
        connection: More lines of the connection's section, such as ``'we_are = ["Practitioner/1"]'``.
        more: Whole sections, added as they are.
    """

    def __init__(self, folder: Path, base_url: str, *, connection: str = "", more: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.config = folder / "bridge.toml"
        section = f'[connections.{CONNECTION}]\nbase_url = "{base_url}"\nvendor = "hapi"\n{connection}\n'
        self.config.write_text(f"{section}\n{more}\n")

    # The command line -------------------------------------------------------------------------------------

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``bridge ARGUMENTS`` and return at once; the caller waits for it or ends it."""
        return subprocess.Popen(
            [sys.executable, "-m", "bridge", *arguments],
            cwd=self.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> Run:
        """Run ``bridge ARGUMENTS`` to its end; too long a run is killed and fails."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"bridge {' '.join(arguments)} took too long: {process.communicate()}") from None
        return Run(process.returncode, out, err)

    def sync(self, *, code: int = 0) -> Json:
        """Run ``bridge sync --once --json``, expect its exit *code*, and return the report of the connection."""
        run = self.run("sync", "--once", "--json")
        assert run.code == code, f"expected exit code {code}, got {run.code}\n{run.out}\n{run.err}"
        (report,) = run.json()
        return dict(report)

    # The database -----------------------------------------------------------------------------------------

    @contextmanager
    def bridge(self) -> Iterator[Bridge]:
        """Open what the command line left, beside it: nothing is taken in or delivered."""
        with open_bridge(load_settings(self.config), owning=False) as bridge:
            yield bridge

    def cases(self, *, merged: bool = False) -> dict[str, Case]:
        """Return the cases by their root, those merged into others only if *merged*."""
        with self.bridge() as bridge, bridge.store.reading() as tx:
            found = tx.list_cases(CaseFilter(connection=CONNECTION, merged=merged), limit=ALL_ROWS).cases
        by_root = {case.root: case for case in found}
        assert len(by_root) == len(found), "a root has two cases"
        return by_root

    def case(self, root: str) -> Case:
        """Return the case of *root*, merged or not."""
        return self.cases(merged=True)[root]

    def histories(self, cases: Iterable[Case]) -> dict[str, list[Change]]:
        """Return the histories by case id."""
        with self.bridge() as bridge, bridge.store.reading() as tx:
            return {case.id: tx.history(case.id) for case in cases}

    def inbox(self) -> list[InboxRow]:
        """Return everything that was received."""
        with self.bridge() as bridge, bridge.store.reading() as tx:
            return tx.inbox(connection=CONNECTION, limit=ALL_ROWS)

    def outbox(self) -> list[OutboxRow]:
        """Return everything that was or is to be written."""
        with self.bridge() as bridge, bridge.store.reading() as tx:
            return tx.outbox(connection=CONNECTION, limit=ALL_ROWS)

    def act(self, root: str, command: AnyCommand, *, by: str = "maria", new_id: str = "attempt-1") -> Case:
        """Carry out a person's command on the case of *root*, as the web view would."""
        case = self.case(root)
        with self.bridge() as bridge:
            return execute(
                bridge.store,
                dict(bridge.lines),
                case.id,
                command,
                by=by,
                expected_version=case.version,
                now=bridge.clock(),
                new_id=new_id,
            )


def _environment() -> dict[str, str]:
    """Return our environment without settings of somebody's own Bridge, and with the package within reach."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    return {**kept, "PYTHONPATH": str(REPOSITORY), "PYTHONWARNINGS": "default"}


class Ehr:
    """What stands on the server, seen by a client that knows nothing of Bridge."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    # Writing ----------------------------------------------------------------------------------------------

    def put(self, resource: Json) -> Json:
        """Store a resource under its id and return it as it then stands."""
        answer = self.client.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def put_all(self, resources: Iterable[Json]) -> None:
        """Store resources in their order, by transactions."""
        for bundle in transactions(resources):
            answer = self.client.post("", json=bundle)
            assert answer.is_success, answer.text[:2000]

    def change(self, target: str, **elements: Any) -> Json:
        """Replace elements of what stands there (``None`` removes one, a trailing ``_`` is taken off a name)."""
        resource = self.read(target)
        for name, value in elements.items():
            resource[name.rstrip("_")] = value
        return self.put({name: value for name, value in resource.items() if value is not None})

    def delete(self, target: str) -> httpx.Response:
        """Ask for a resource to be deleted; a server that minds its references may refuse with 409."""
        answer = self.client.delete(target)
        assert answer.is_success or answer.status_code == httpx.codes.CONFLICT, answer.text
        return answer

    # Reading ----------------------------------------------------------------------------------------------

    def read(self, target: str) -> Json:
        """Return one resource."""
        return dict(self.client.get(target, headers=NO_CACHE).raise_for_status().json())

    def search(self, kind: str, **params: str) -> list[Json]:
        """Return every match, each page followed; underscores in names stand for dashes but for a first one."""
        asked = {name[0] + name[1:].replace("_", "-"): value for name, value in params.items()}
        asked.setdefault("_count", "500")
        found = [entry["resource"] for page in pages(self.client, kind, asked) for entry in page.get("entry", ())]
        assert len({one["id"] for one in found}) == len(found), f"{kind} came twice in one search"
        return found

    def everything(self, kinds: Sequence[str] = (*WORK, "Communication")) -> dict[str, Json]:
        """Return all that stands there of these types, by ``Type/id``."""
        return {ref_of(one): one for kind in kinds for one in self.search(kind)}

    def work(self) -> dict[str, Json]:
        """Return every resource of the four types that is not Bridge's own, by ``Type/id``."""
        return work_among(self.everything(WORK))

    def our_tasks(self) -> dict[str, Json]:
        """Return Bridge's coordination Tasks by case id (``CASE-ROUND`` from the second life of a case on)."""
        return ours_among(self.everything(["Task"]), CASE_SYSTEM)

    def our_messages(self) -> dict[str, Json]:
        """Return Bridge's Communications by their intents' keys."""
        return ours_among(self.everything(["Communication"]), MESSAGE_SYSTEM)

    def versions(self) -> dict[str, str]:
        """Return the versionId of all work, Tasks and Communications: unchanged means that nobody wrote."""
        return versions_of(self.everything())

    def faults(self, resources: Iterable[Json]) -> list[str]:
        """Return what the server's own validator finds wrong (error or fatal) with any of these."""
        with ThreadPoolExecutor(2) as pool:
            return [fault for faults in pool.map(self._faults_of, resources) for fault in faults]

    def _faults_of(self, resource: Json) -> list[str]:
        answer = self.client.post(f"{resource['resourceType']}/$validate", json=resource).json()
        return [
            f"{ref_of(resource)}: {issue.get('diagnostics')}"
            for issue in answer["issue"]
            if issue["severity"] in ("error", "fatal")
        ]


def ref_of(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def own_value(resource: Json, system: str) -> str | None:
    """Return the value of the identifier that Bridge put on a resource, if it did."""
    found = [one["value"] for one in resource.get("identifier", ()) if one.get("system") == system]
    return found[0] if found else None


def work_among(standing: Mapping[str, Json]) -> dict[str, Json]:
    """Return the work that is not Bridge's own."""
    return {ref: one for ref, one in standing.items() if _kind(ref) in WORK and own_value(one, CASE_SYSTEM) is None}


def ours_among(standing: Mapping[str, Json], system: str) -> dict[str, Json]:
    """Return what carries an identifier of Bridge's *system*, by its value; two of a value fail."""
    found = [(own_value(one, system), one) for one in standing.values()]
    values = Counter(value for value, _ in found if value is not None)
    doubled = [value for value, times in values.items() if times > 1]
    assert not doubled, f"these stand on the server twice: {doubled}"
    return {value: one for value, one in found if value is not None}


def versions_of(standing: Mapping[str, Json]) -> dict[str, str]:
    return {ref: one["meta"]["versionId"] for ref, one in standing.items()}


def _kind(ref: str) -> str:
    return ref.partition("/")[0]


def streams_add_up(report: Mapping[str, Any]) -> bool:
    """Whether all that was received was applied, known already, ignored or parked, stream by stream."""
    return all(
        stream["received"] == stream["applied"] + stream["duplicate"] + stream["ignored"] + stream["parked"]
        for stream in report["streams"].values()
    )


@contextmanager
def beside(server: HapiServer) -> Iterator[Ehr]:
    """Look at *server* from the outside."""
    client: AbstractContextManager[httpx.Client] = server.client()
    with client as opened:
        yield Ehr(opened)
