"""F3: the network is cut in the midst of a page, at any byte of it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import httpx

from tests.faults.beside import SpoiltWorld
from tests.unit.sync.world import order, patient

STEP = 997


def test_a_page_cut_at_any_byte_moves_no_cursor_and_is_read_whole_the_next_time() -> None:
    world = SpoiltWorld(page_size=50)
    world.ehr.put(patient())
    for number in range(10):
        world.ehr.put(order(f"o{number}"))
    whole = len(world.clinic.get("ServiceRequest", params={"_count": "50"}).content)

    for size in range(0, whole, STEP):
        world.go_by(partial(Cut, size=size))
        _, problems = world.bridge.read()

        assert len(problems) == len(world.line.types), f"cut after {size} bytes"
        with world.store.reading() as tx:
            assert {cursor.watermark for cursor in tx.cursors("main")} == {None}
            assert tx.totals("main") == {}

    world.go_by(None)
    world.sync()
    with world.store.reading() as tx:
        assert tx.totals("main")["ServiceRequest"].applied == 10


class Cut(httpx.BaseTransport):
    """Ends every answer after so many bytes."""

    def __init__(self, inner: httpx.BaseTransport, size: int) -> None:
        self._inner, self._size = inner, size

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._inner.handle_request(request)
        return httpx.Response(answer.status_code, headers={"Date": answer.headers["Date"]}, stream=_Part(answer, self))

    def part(self, body: bytes) -> bytes:
        return body[: min(self._size, len(body) - 1)]


class _Part(httpx.SyncByteStream):
    def __init__(self, answer: httpx.Response, cut: Cut) -> None:
        self._body, self._cut = answer.content, cut

    def __iter__(self) -> Iterator[bytes]:
        yield self._cut.part(self._body)
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")
