"""An EHR behind TLS: trusted only where its authority is."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.errors import ServerFault, Unreachable
from bridge.fhir.auth import BearerToken
from bridge.fhir.client import Endpoint, FhirClient
from tests.contract.wire import Script, Wire, answer, listening

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="makes its certificates with openssl")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of localhost and its key, made now, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    key, pem = folder / "key.pem", folder / "both.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    command = [str(OPENSSL), "req", "-x509", *kind, *subject, "-keyout", str(key), "-out", str(pem)]
    subprocess.run(command, check=True, capture_output=True)
    pem.write_bytes(pem.read_bytes() + key.read_bytes())
    return pem


def behind_tls(certificate: Path, script: Script) -> Iterator[Wire]:
    """Serve *script* behind TLS by passing bytes on; its URL has to name localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with listening(script) as inner, socket.create_server(("127.0.0.1", 0)) as listener:
        outer = Wire(listener.getsockname()[1], requests=inner.requests)
        thread = threading.Thread(target=_accept, args=(listener, context, inner), daemon=True)
        thread.start()
        yield outer
        inner.over.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", outer.port), timeout=1).close()
        thread.join(5)


def _accept(listener: socket.socket, context: ssl.SSLContext, inner: Wire) -> None:
    while not inner.over.is_set():
        plain, _ = listener.accept()
        with plain, contextlib.suppress(OSError):
            plain.settimeout(5)
            with (
                context.wrap_socket(plain, server_side=True) as secure,
                socket.create_connection(("127.0.0.1", inner.port), timeout=5) as behind,
            ):
                behind.sendall(secure.recv(65536))
                while piece := behind.recv(65536):
                    secure.sendall(piece)


def client_for(wire: Wire, **settings: float) -> FhirClient:
    """Return a client of ``https://localhost``."""
    base_url = f"https://localhost:{wire.port}/fhir"
    endpoint = Endpoint("main", base_url, BearerToken("s3cret"), attempts=1, **settings)  # type: ignore[arg-type]
    return FhirClient(endpoint, clock=lambda: datetime.now(UTC))


TASK = b'{"resourceType":"Task","id":"t1"}'


@pytest.fixture
def secure(certificate: Path) -> Iterator[Wire]:
    """An EHR behind TLS."""
    yield from behind_tls(certificate, lambda connection, _: connection.sendall(answer(TASK)))


def test_an_authority_that_nobody_vouches_for_is_not_trusted(secure: Wire) -> None:
    with client_for(secure) as client, pytest.raises(Unreachable, match="certificate verify failed"):
        client.read("Task/t1")

    assert secure.requests == [], "the token was not sent"


def test_an_authority_of_the_operators_own_is_trusted_where_it_is_named(
    secure: Wire, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    with client_for(secure) as client:
        assert client.read("Task/t1").raw == TASK


def test_the_deadline_holds_behind_tls_too(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    def dawdle(connection: socket.socket, over: threading.Event) -> None:
        for byte in answer(TASK):
            connection.sendall(bytes([byte]))
            if over.wait(0.02):
                return

    for wire in behind_tls(certificate, dawdle):
        with client_for(wire, total_seconds=0.5) as client, pytest.raises(ServerFault):
            client.read("Task/t1")
