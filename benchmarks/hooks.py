"""
How fast a notification is acknowledged once it is durable: `python -m benchmarks.hooks`.

A `bridge serve` of its own on an SQLite file, a simulated EHR, and a sender that keeps to a rate: each request
is due at a moment given before, and its latency counts from that moment, so that a stalled server cannot hide
behind a sender that waits for it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from threading import local

from conformance.simulator import start

SECRET = "0123456789abcdef-benchmark"
_mine = local()


def ring(port: int, number: int, due: float) -> float:
    """Send one notification when it is due and return the seconds from then to the answer."""
    time.sleep(max(0.0, due - time.monotonic()))
    connection: HTTPConnection | None = getattr(_mine, "connection", None)
    if connection is None:
        connection = _mine.connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("PUT", f"/hooks/main/{SECRET}/Task/t{number % 500}", body=b"")
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 204, answer.status
    return time.monotonic() - due


def at_rate(port: int, rate: int, seconds: int) -> list[float]:
    """Return the sorted latencies of *rate* notifications a second."""
    begin = time.monotonic() + 0.5
    with ThreadPoolExecutor(64) as senders:
        found = [senders.submit(ring, port, number, begin + number / rate) for number in range(rate * seconds)]
        return sorted(one.result() for one in found)


def main() -> None:
    """Print the percentiles for each rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rates", type=int, nargs="+", default=[200, 1000])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, start() as ehr:
        process, port = serve(Path(folder), ehr.base_url)
        try:
            for rate in asked.rates:
                found = at_rate(port, rate, asked.seconds)
                marks = {f"p{100 * part:g}": found[int(part * (len(found) - 1))] for part in (0.5, 0.95, 0.99, 1)}
                words = ", ".join(f"{name} {1000 * value:.1f} ms" for name, value in marks.items())
                print(f"{rate}/s for {asked.seconds} s: {words}")
        finally:
            process.terminate()
            process.wait(30)


def serve(folder: Path, base_url: str) -> tuple[subprocess.Popen[str], int]:
    """Start Bridge and return it with its port once it answers."""
    (folder / "bridge.toml").write_text(f'[connections.main]\nbase_url = "{base_url}"\n[web]\nport = 0\n')
    env = {**os.environ, "BRIDGE_CONNECTIONS__MAIN__HOOK_SECRET": SECRET, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge", "serve"], cwd=folder, env=env, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    port = int(process.stdout.readline().split()[3].rpartition(":")[2])
    while not has_read(port):
        time.sleep(0.1)
    return process, port


def has_read(port: int) -> bool:
    """Return whether the first poll is over, so that notifications are all there is to do."""
    asking = HTTPConnection("127.0.0.1", port, timeout=30)
    asking.request("GET", "/api/v1/connections")
    (connection,) = json.load(asking.getresponse())["connections"]
    return all(stream["last_success_at"] for stream in connection["streams"])


if __name__ == "__main__":
    main()
