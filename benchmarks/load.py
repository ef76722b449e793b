"""
What Bridge carries from end to end: `python -m benchmarks.load --rates 10 50`.

Orders are written to an EHR at a given rate, one in six of them changed again soon after, while ``bridge serve`` (one
process, or several on one PostgreSQL database) reads them and writes a coordination Task for each. How long that took
is read off the EHR's own stamps afterwards: from the version of the order to the first version of its Task. A rate is
carried if nothing is left over ``--patience`` seconds after the last order and the second half waited no longer than
twice as long as the first.

The EHR is a simulated one in a process of its own, or with ``--fhir URL`` a real one on 127.0.0.1 (`make hapi`) that
holds nothing else and takes resources with ids of ours.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import httpx

ROOT = Path(__file__).parents[1]
PATIENTS = 200
FIRST_PORT_LINE = 3
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Found:
    """What one rate came to: seconds from an order to its Task, in the order they were written; and the cost."""

    waits: tuple[float, ...]
    missing: int
    doubled: int
    drained_s: float
    cpu_s: float
    resident_mb: float

    @property
    def is_carried(self) -> bool:
        """Whether Bridge kept up; see above."""
        half = len(self.waits) // 2
        if self.missing or self.doubled or not half:
            return False
        return median(self.waits[half:]) <= max(2.0, 2 * median(self.waits[:half]))


def main() -> None:
    """Print a line for each rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=int, nargs="+", default=[5, 20, 50], help="orders a second")
    parser.add_argument("--seconds", type=int, default=60, help="how long each rate is kept up")
    parser.add_argument("--patience", type=int, default=60, help="seconds for what is left afterwards")
    parser.add_argument("--replicas", type=int, default=1, help="processes of Bridge; more than one needs --postgres")
    parser.add_argument("--postgres", help="URL of an empty database; without it an SQLite file")
    parser.add_argument("--fhir", help="base URL of a real EHR on 127.0.0.1")
    asked = parser.parse_args()
    if asked.replicas > 1 and not asked.postgres:
        parser.error("--replicas needs --postgres: one process alone owns an SQLite file")
    if asked.fhir and urlsplit(asked.fhir).hostname not in ("127.0.0.1", "localhost"):
        parser.error("--fhir: only an EHR on this machine")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        base = asked.fhir or stack.enter_context(simulator(folder))
        ehr = stack.enter_context(httpx.Client(base_url=f"{base.rstrip('/')}/", timeout=60, trust_env=False))
        admit(ehr)
        bridges = stack.enter_context(serving(folder, base, asked.replicas, asked.postgres))
        for rate in asked.rates:
            found = run(ehr, bridges, rate, asked.seconds, asked.patience)
            print(f"{rate}/s: {in_words(found)}", flush=True)


def in_words(found: Found) -> str:
    """Return one line for a person."""
    waits = sorted(found.waits)
    marks = ", ".join(f"p{100 * part:g} {waits[int(part * (len(waits) - 1))]:.2f} s" for part in (0.5, 0.95, 0.99))
    verdict = "carried" if found.is_carried else "NOT carried"
    return (
        f"{verdict}; {len(waits)} Tasks, {found.missing} missing, {found.doubled} twice; {marks}; "
        f"drained in {found.drained_s:.1f} s; CPU {found.cpu_s:.1f} s, resident {found.resident_mb:.0f} MB"
    )


# The EHR and Bridge ---------------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    """Return the environment for a process of ours."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


@contextmanager
def running(*command: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run ``bridge`` *command* until the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge", *command], cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def simulator(folder: Path) -> Iterator[str]:
    """Run a simulated EHR, with one patient in it, and give its base URL."""
    with running("simulator", "--port", "0", "--patients", "1", folder=folder) as process:
        assert process.stdout is not None
        for line in process.stdout:
            base = next((word.rstrip(".,") for word in line.split() if word.startswith("http://")), None)
            if base is not None:
                yield base
                return
    raise RuntimeError("the simulated EHR did not start")


@contextmanager
def serving(folder: Path, base: str, replicas: int, postgres: str | None) -> Iterator[list[int]]:
    """Run so many processes of Bridge, and give their pids once each has read what was there."""
    database = f'[database]\nurl = "{postgres}"\n' if postgres else ""
    (folder / "bridge.toml").write_text(
        f'[connections.main]\nbase_url = "{base}"\npoll_seconds = 1\nlag_seconds = 0\noverlap_seconds = 5\n'
        f"[web]\nport = 0\n{database}"
    )
    if postgres:
        subprocess.run([sys.executable, "-m", "bridge", "migrate"], cwd=folder, env=environment(), check=True)
    with ExitStack() as stack:
        pids = []
        for _ in range(replicas):
            process = stack.enter_context(running("serve", folder=folder))
            assert process.stdout is not None
            port = int(process.stdout.readline().split()[FIRST_PORT_LINE].rpartition(":")[2])
            wait_for(partial(has_read, port), 60)
            pids.append(process.pid)
        yield pids


def has_read(port: int) -> bool:
    """Return whether the first poll is over."""
    (connection,) = httpx.get(f"http://127.0.0.1:{port}/api/v1/connections", timeout=30).json()["connections"]
    return all(stream["last_success_at"] for stream in connection["streams"])


def wait_for(is_so: Any, seconds: float) -> None:
    """Wait until *is_so*."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"not so after {seconds:g} s")
        time.sleep(0.2)


# The load -------------------------------------------------------------------------------------------------

_runs = itertools.count(1)


def admit(ehr: httpx.Client) -> None:
    """Store the patients."""
    for number in range(PATIENTS):
        who = {"resourceType": "Patient", "id": f"load-p{number}", "name": [{"family": f"Example {number}"}]}
        ehr.put(f"Patient/load-p{number}", json=who).raise_for_status()


def order(own_id: str, number: int, status: str) -> dict[str, Any]:
    """Return one order."""
    return {
        "resourceType": "ServiceRequest",
        "id": own_id,
        "status": status,
        "intent": "order",
        "code": {"text": "Referral to cardiology"},
        "subject": {"reference": f"Patient/load-p{number % PATIENTS}"},
        "authoredOn": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def run(ehr: httpx.Client, bridges: list[int], rate: int, seconds: int, patience: int) -> Found:
    """Keep a rate up, wait for what is left, and measure."""
    prefix, total = f"load-{os.getpid()}-{next(_runs)}", rate * seconds
    before, begin = sum(map(cpu_of, bridges)), time.monotonic() + 0.5
    stamps: dict[str, datetime] = {}

    def write(number: int) -> None:
        time.sleep(max(0.0, begin + number / rate - time.monotonic()))
        own_id = f"{prefix}-{number}"
        answer = ehr.put(f"ServiceRequest/{own_id}", json=order(own_id, number, "active"))
        answer.raise_for_status()
        stamps[own_id] = written_at(answer.json())
        if number % 6 == 5:
            changed = f"{prefix}-{number - 5}"
            ehr.put(f"ServiceRequest/{changed}", json=order(changed, number - 5, "on-hold")).raise_for_status()

    with ThreadPoolExecutor(min(32, 4 + rate)) as writers:
        for one in [writers.submit(write, number) for number in range(total)]:
            one.result()
    ended, tasks = time.monotonic(), tasks_of(ehr, prefix)
    while len(tasks) < total and time.monotonic() < ended + patience:
        time.sleep(1)
        tasks = tasks_of(ehr, prefix)
    drained = time.monotonic() - ended
    waits = tuple(
        (min(tasks[own_id]) - at).total_seconds()
        for own_id, at in sorted(stamps.items(), key=lambda one: one[1])
        if own_id in tasks
    )
    return Found(
        waits=waits,
        missing=total - len(tasks),
        doubled=sum(len(one) - 1 for one in tasks.values()),
        drained_s=drained,
        cpu_s=sum(map(cpu_of, bridges)) - before,
        resident_mb=sum(map(resident_of, bridges)),
    )


def written_at(resource: dict[str, Any]) -> datetime:
    """Return when a version was written, by the EHR's clock."""
    return datetime.fromisoformat(resource["meta"]["lastUpdated"])


def tasks_of(ehr: httpx.Client, prefix: str) -> dict[str, list[datetime]]:
    """Return when the first version of each coordination Task was written, by the order it is about."""
    found: dict[str, list[datetime]] = {}
    url: str | None = "Task?_count=500"
    while url is not None:
        page = ehr.get(url, headers={"Cache-Control": "no-cache"}).json()
        for entry in page.get("entry", ()):
            task = entry["resource"]
            own_id = task.get("focus", {}).get("reference", "").partition("/")[2]
            if own_id.startswith(f"{prefix}-"):
                found.setdefault(own_id, []).append(first_version_of(ehr, task))
        url = next((link["url"] for link in page.get("link", ()) if link["relation"] == "next"), None)
    return found


def first_version_of(ehr: httpx.Client, task: dict[str, Any]) -> datetime:
    """Return when a Task was created."""
    if task["meta"]["versionId"] == "1":
        return written_at(task)
    return written_at(ehr.get(f"Task/{task['id']}/_history/1").json())


# What it costs --------------------------------------------------------------------------------------------


def cpu_of(pid: int) -> float:
    """Return the seconds of processor time that a process used (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_of(pid: int) -> float:
    """Return the memory of a process in MB (proc(5), field 2 of statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB


if __name__ == "__main__":
    main()
