"""What a network can do to the FHIR client: nothing is taken for an answer that is none, and nothing hangs."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from bridge.errors import OutcomeUnknown, RemoteError, ServerFault, Unreachable, UnsafeAnswer
from bridge.fhir.auth import BearerToken
from bridge.fhir.client import Endpoint, FhirClient
from tests.contract.wire import Wire, answer, listening

BUNDLE = json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": []}).encode()
TASK = b'{"resourceType":"Task","id":"t1"}'
Ask = Callable[[FhirClient], object]


def search(client: FhirClient) -> object:
    return client.search("Task", [("_count", "1")])


def read(client: FhirClient) -> object:
    return client.read("Task/t1")


def create(client: FhirClient) -> object:
    return client.create("Task", TASK)


def update(client: FhirClient) -> object:
    return client.update("Task/t1", TASK, if_match="1")


reads = pytest.mark.parametrize("ask", [search, read])
writes = pytest.mark.parametrize("ask", [create, update])


def client_for(wire: Wire, **settings: object) -> FhirClient:
    """Return a client that loses patience soon."""
    usual: dict[str, object] = {"attempts": 2, "timeout_seconds": 5.0, "total_seconds": 5.0}
    endpoint = Endpoint("main", wire.base_url, BearerToken("s3cret"), **{**usual, **settings})  # type: ignore[arg-type]
    return FhirClient(endpoint, clock=lambda: datetime(2026, 6, 1, tzinfo=UTC), sleep=lambda _: None)


def failure(
    ask: Ask, sent: Callable[[socket.socket, threading.Event], None], **settings: object
) -> tuple[Wire, RemoteError]:
    """Return what *ask* ends with on a server that sends *sent*."""
    with listening(sent) as wire, client_for(wire, **settings) as client, pytest.raises(RemoteError) as failed:
        ask(client)
    assert "s3cret" not in str(failed.value)
    return wire, failed.value


def sends(data: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Return a script that sends *data* and closes."""
    return lambda connection, _: connection.sendall(data)


def resets_after(data: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Return a script that sends *data* and resets the connection."""

    def script(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return script


def drips(data: bytes, at_once: int) -> Callable[[socket.socket, threading.Event], None]:
    """Return a script that sends *data* byte by byte, slowly, after so many *at_once*."""

    def script(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(data[:at_once])
        for byte in data[at_once:]:
            connection.sendall(bytes([byte]))
            if over.wait(0.02):
                return

    return script


BROKEN = {
    "nothing at all": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Ty",
    "half a body": answer(BUNDLE[:20], length=len(BUNDLE)),
    "a length too long": answer(BUNDLE, length=len(BUNDLE) + 10),
    "a length too short": answer(BUNDLE, length=len(BUNDLE) - 10),
    "an empty body": answer(b""),
    "no content": b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    "a login page": answer(b"<!DOCTYPE html><title>Sign in</title>"),
    "JSON that is no FHIR": answer(b'{"status":"UP"}'),
    "only an outcome": answer(b'{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"exception"}]}'),
    "half a gzip": answer(gzip.compress(BUNDLE)[:-12], "Content-Encoding: gzip"),
    "no gzip": answer(BUNDLE, "Content-Encoding: gzip"),
    "an encoding nobody asked for": answer(BUNDLE, "Content-Encoding: br"),
    "a broken chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n" + BUNDLE,
    "half the chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"res\r\n",
    "a proxy's error": answer(b"<html>Bad Gateway</html>", status="502 Bad Gateway"),
}  # fmt: skip


@reads
@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_a_broken_answer_is_asked_for_again_and_never_taken_for_an_empty_one(ask: Ask, data: bytes) -> None:
    wire, error = failure(ask, sends(data))

    assert isinstance(error, ServerFault)
    assert len(wire.requests) == 2


CUT = ["nothing at all", "no HTTP", "half a head", "half a body", "half a gzip", "half the chunks", "a proxy's error"]


@writes
@pytest.mark.parametrize("how", CUT)
def test_a_write_without_a_whole_answer_may_have_happened_and_is_not_sent_again(ask: Ask, how: str) -> None:
    wire, error = failure(ask, sends(BROKEN[how]))

    assert isinstance(error, OutcomeUnknown)
    assert len(wire.requests) == 1


@pytest.mark.parametrize(("ask", "error"), [(search, ServerFault), (create, OutcomeUnknown)])
@pytest.mark.parametrize("kept", [0, 10, 100, len(answer(BUNDLE)) - 1])
def test_a_reset_in_the_midst_of_an_answer(ask: Ask, error: type, kept: int) -> None:
    _, failed = failure(ask, resets_after(answer(BUNDLE)[:kept]))

    assert isinstance(failed, error)


@pytest.mark.parametrize(("ask", "error"), [(search, Unreachable), (create, Unreachable)])
def test_without_a_connection_nothing_was_sent(ask: Ask, error: type) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with client_for(Wire(port)) as client, pytest.raises(error, match="Connection refused"):
        ask(client)


def test_a_name_that_nobody_knows_is_told() -> None:
    endpoint = Endpoint("main", "http://ehr.invalid/fhir", attempts=1)

    with (
        FhirClient(endpoint, clock=lambda: datetime.now(UTC)) as client,
        pytest.raises(Unreachable, match=r"ehr\.invalid"),
    ):
        client.read("Task/t1")


SLOW = {
    "head": (answer(BUNDLE), 0),
    "endless head": (b"HTTP/1.1 200 OK\r\n" + b"X-Filler: x\r\n" * 1000, 10),
    "body": (answer(BUNDLE), len(answer(BUNDLE)) - len(BUNDLE)),
}


@pytest.mark.parametrize("slow", SLOW.values(), ids=SLOW)
@pytest.mark.parametrize(("ask", "error"), [(search, ServerFault), (create, OutcomeUnknown)])
def test_a_server_that_sends_a_byte_at_a_time_is_left_when_the_time_is_over(
    slow: tuple[bytes, int], ask: Ask, error: type
) -> None:
    """Each byte comes in time; the whole does not."""
    began = time.monotonic()

    _, failed = failure(ask, drips(*slow), total_seconds=0.4)

    assert isinstance(failed, error)
    assert time.monotonic() - began < 2.5


@pytest.mark.parametrize(("ask", "error"), [(search, ServerFault), (create, OutcomeUnknown)])
def test_a_server_that_never_answers_is_left(ask: Ask, error: type) -> None:
    _, failed = failure(ask, lambda _, over: over.wait(5) or None, timeout_seconds=0.1, attempts=1)

    assert isinstance(failed, error)


def test_an_answer_that_is_too_large_is_not_read_to_its_end_and_not_asked_for_again() -> None:
    wire, error = failure(search, sends(answer(b"{" + b" " * 200_000, length=10**9)), max_body_bytes=100_000)

    assert isinstance(error, UnsafeAnswer)
    assert len(wire.requests) == 1


def test_a_small_gzip_that_grows_is_not_inflated_to_its_end() -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 60_000

    _, error = failure(search, sends(answer(bomb, "Content-Encoding: gzip")), max_body_bytes=1_000_000)

    assert isinstance(error, UnsafeAnswer)


def test_a_gzip_is_read() -> None:
    with listening(sends(answer(gzip.compress(BUNDLE), "Content-Encoding: gzip"))) as wire, client_for(wire) as client:
        assert client.search("Task", []).entries == ()

    assert b"accept-encoding: gzip\r\n" in wire.requests[0].lower()


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize("ask", [search, read, create, update])
def test_a_redirect_is_not_followed_and_the_token_goes_nowhere_else(status: str, ask: Ask) -> None:
    with listening(sends(answer(b"", status="200 OK"))) as capture:
        moved = answer(b"", f"Location: {capture.base_url}/Task/t1", status=status)

        _, error = failure(ask, sends(moved))

    assert error.status is not None
    assert 300 <= error.status < 400
    assert capture.requests == []


def test_a_link_to_another_server_is_not_followed() -> None:
    with listening(sends(answer(BUNDLE))) as capture:
        linked = {"resourceType": "Bundle", "link": [{"relation": "next", "url": f"{capture.base_url}/Task?_page=2"}]}
        with listening(sends(answer(json.dumps(linked).encode()))) as wire, client_for(wire) as client:
            page = client.search("Task", [])
            assert page.next_url is not None
            with pytest.raises(UnsafeAnswer):
                client.next_page(page.next_url)

    assert capture.requests == []
    assert b"authorization: bearer s3cret" in wire.requests[0].lower()
