"""
Build, start, restart and stop a real HAPI FHIR JPA server for tests, or for a person to try Bridge against.

A server is one JVM with a port, a scratch folder and a log of its own. Its standard input is a pipe held by this
process and the JVM stops when that pipe closes, so that a test run that is killed leaves no server behind.

For a person: ``python -m tests.hapi.launcher --fhir-version R4 --port 8080``.
"""

from __future__ import annotations

import argparse
import fcntl
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Protocol, get_args

import httpx

FhirVersion = Literal["R4", "R4B", "R5"]

PROJECT = Path(__file__).parent / "server"
JAR = PROJECT / "target" / "hapi-test-server.jar"

# Seen 2026-11 on two idle cores: 20 s for R4, 35 s for R5. A loaded machine takes several times as long.
START_SECONDS = 240.0
STOP_SECONDS = 20.0


class HapiUnavailable(Exception):
    """This machine cannot run HAPI; the message says what is missing."""


class HapiFailed(Exception):
    """HAPI could be neither built nor started; the message ends with what it printed last."""


@dataclass(frozen=True)
class Switches:
    """
    What a test may ask of its server; the defaults are what the HAPI starter ships with.

    Attributes:
        database: H2 file that survives a restart, without its ``.mv.db`` ending; None keeps everything in memory.
        referential_integrity: Refuse writes and deletes that leave a reference without its target.
        validate_requests: Answer 422 to every incoming resource that HAPI's validator finds errors in.
        search_cache_ms: How long the same search is answered from its stored result; 0 turns that off.
    """

    fhir_version: FhirVersion = "R4"
    database: Path | None = None
    referential_integrity: bool = True
    validate_requests: bool = False
    search_cache_ms: int = 60_000

    def arguments(self) -> list[str]:
        """Return them as the command line of the jar."""
        return [
            f"--hapi.fhir-version={self.fhir_version}",
            f"--hapi.database-file={self.database.absolute() if self.database else ''}",
            f"--hapi.referential-integrity={str(self.referential_integrity).lower()}",
            f"--hapi.validate-requests={str(self.validate_requests).lower()}",
            f"--hapi.search-cache-millis={self.search_cache_ms}",
        ]


class HapiServer:
    """
    One HAPI server process on 127.0.0.1; it keeps its port, scratch folder and log over restarts.

    Args:
        scratch: Folder of this server alone; gets the log and the JVM's temporary files.
        port: A free one is chosen when it is 0.
    """

    def __init__(self, switches: Switches, scratch: Path, *, port: int = 0) -> None:
        self.switches = switches
        self.scratch = scratch
        self.port = port or free_port()
        self.base_url = f"http://127.0.0.1:{self.port}/fhir"
        self.log_path = scratch / "hapi.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The JVM's process id, or None while stopped."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """
        Start the JVM and return once ``/metadata`` answers.

        Raises:
            HapiUnavailable: Java is missing, or Maven is and there is no jar yet.
            HapiFailed: The jar cannot be built, the port is taken, the JVM ended, or it was not ready in time.
        """
        jar = built_jar()
        _refuse_taken(self.port)
        (self.scratch / "tmp").mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *_java(self.scratch / "tmp"),
                    "-jar",
                    str(jar),
                    f"--server.port={self.port}",
                    *self.switches.arguments(),
                ],
                cwd=self.scratch,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in a terminal is for the launcher alone, which then stops its servers in order.
                start_new_session=True,
            )
        try:
            self._await_metadata(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop the JVM in an orderly way, so that a database file is closed. Does nothing while stopped."""
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        self._forget(process)

    def kill(self) -> None:
        """End the JVM at once, as a crash would. Does nothing while stopped."""
        process = self._process
        if process is not None:
            process.kill()
            self._forget(process)

    def restart(self) -> None:
        """Stop and start on the same port; with a database file all resources are there again."""
        self.stop()
        self.start()

    def wait(self) -> int:
        """Wait until the JVM ends by itself and return its exit code."""
        if self._process is None:
            raise HapiFailed("HAPI is not running")
        return self._process.wait()

    def client(self) -> httpx.Client:
        """Return an HTTP client with this server's base address and FHIR JSON headers, and nothing of Bridge."""
        headers = {"Accept": "application/fhir+json", "Content-Type": "application/fhir+json"}
        return httpx.Client(base_url=self.base_url + "/", headers=headers, timeout=60)

    def log_tail(self, lines: int = 40) -> str:
        """Return the last *lines* of what the server printed, each cut to a length that can be read."""
        if not self.log_path.exists():
            return ""
        return "\n".join(line[:300] for line in self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def _await_metadata(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._answers():
                return
            try:
                code = process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
            raise HapiFailed(f"HAPI ended with code {code} while starting:\n{self.log_tail()}")
        raise HapiFailed(f"HAPI was not ready after {START_SECONDS:.0f} s:\n{self.log_tail()}")

    def _answers(self) -> bool:
        try:
            answer = httpx.get(f"{self.base_url}/metadata", params={"_summary": "true"}, timeout=10)
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.OK

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
        self._process = None


class RunningHapi(Protocol):
    """``hapi_running(**switches)``: a context manager of a started server; the arguments are `Switches`' fields."""

    def __call__(self, **switches: Any) -> AbstractContextManager[HapiServer]: ...


class HapiFactory(Protocol):
    """``hapi_factory(**switches)``: a started server; the arguments are the fields of `Switches`."""

    def __call__(self, **switches: Any) -> HapiServer: ...


@contextmanager
def running(switches: Switches, scratch: Path, *, port: int = 0) -> Iterator[HapiServer]:
    """Yield a started server and stop it afterwards; raises what `HapiServer.start` does."""
    server = HapiServer(switches, scratch, port=port)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _refuse_taken(port: int) -> None:
    """Without this a stranger's server on the same port would answer for ours."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise HapiFailed(f"port {port} of 127.0.0.1 is taken: {error.strerror}") from error


def built_jar() -> Path:
    """
    Return the server's jar, built first when it is missing or older than its sources.

    The first build downloads about 530 MB; later ones need no network. Two runs at once do not both build.

    Raises:
        HapiUnavailable: A build is due and there is no Maven.
        HapiFailed: Maven did not succeed.
    """
    if _java_path() is None:
        raise HapiUnavailable("no `java` on the path (17 or later is needed to run HAPI)")
    JAR.parent.mkdir(exist_ok=True)
    with (JAR.parent / "build.lock").open("w") as lock, _locked(lock):
        if _is_stale():
            _build()
    return JAR


def _is_stale() -> bool:
    if not JAR.exists():
        return True
    sources = [PROJECT / "pom.xml", *(PROJECT / "src").rglob("*")]
    return JAR.stat().st_mtime < max(source.stat().st_mtime for source in sources)


def _build() -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise HapiUnavailable("no `mvn` on the path, and HAPI's test server is not built yet")
    print("Building the HAPI test server (the first time downloads about 530 MB) ...", file=sys.stderr)
    built = subprocess.run(
        [maven, "-q", "-B", "package"],
        check=False,
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if built.returncode != 0:
        raise HapiFailed("mvn package failed:\n" + "\n".join(built.stdout.splitlines()[-40:]))
    JAR.touch()


@contextmanager
def _locked(file: IO[str]) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _java_path() -> str | None:
    return shutil.which("java")


def _java(temporary: Path) -> list[str]:
    return [
        _java_path() or "java",
        "-Xmx2g",
        # A test server lives for minutes: the optimising compiler costs more start-up than it gives back.
        "-XX:TieredStopAtLevel=1",
        f"-Djava.io.tmpdir={temporary}",
        "-Dhapi.until-stdin-closes=true",
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one server in the foreground until Ctrl-C."""
    options = _parser().parse_args(arguments)
    switches = Switches(
        fhir_version=options.fhir_version,
        database=options.database,
        referential_integrity=options.referential_integrity,
        validate_requests=options.validate_requests,
        search_cache_ms=options.search_cache_ms,
    )
    with tempfile.TemporaryDirectory(prefix="hapi-") as scratch:
        try:
            with running(switches, Path(scratch), port=options.port) as server:
                print(f"HAPI FHIR {switches.fhir_version} is at {server.base_url}; Ctrl-C stops it.", flush=True)
                code = server.wait()
                print(f"HAPI ended by itself with code {code}:\n{server.log_tail()}", file=sys.stderr)
                return 1
        except KeyboardInterrupt:
            print("Stopped.")
            return 0
        except (HapiUnavailable, HapiFailed) as error:
            print(error, file=sys.stderr)
            return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.hapi.launcher", description=main.__doc__)
    parser.add_argument("--fhir-version", choices=get_args(FhirVersion), default="R4")
    parser.add_argument("--port", type=int, default=8080, help="on 127.0.0.1; 0 picks a free one")
    parser.add_argument("--database", type=Path, metavar="FILE", help="keep resources in this H2 file")
    parser.add_argument("--referential-integrity", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--validate-requests", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--search-cache-ms", type=int, default=60_000, metavar="MS", help="0 turns the cache off")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
