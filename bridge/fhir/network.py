"""
What a network may cost us: a deadline for a whole exchange, and no more bytes than were asked for.

httpx bounds each wait for the network, but not their number: a server that sends one byte a second is never
late. Here every wait also ends with the exchange it belongs to. And httpx inflates whatever arrives at once,
however large that gets; here it is inflated piece by piece, so that its reader can stop.
"""

from __future__ import annotations

import ssl
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

_PIECE = 256 * 1024
_LIMITS = httpx.Limits(max_connections=32, max_keepalive_connections=16, keepalive_expiry=5.0)


class _Limit(threading.local):
    """When the exchange of this thread has to be over (monotonic seconds)."""

    ends_at: float | None = None


_limit = _Limit()


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Let every wait for the network in this thread end after *seconds* in all."""
    _limit.ends_at = time.monotonic() + seconds
    try:
        yield
    finally:
        _limit.ends_at = None


def out_of_time() -> bool:
    """Whether the limit has passed; for what arrives without a network."""
    return _limit.ends_at is not None and time.monotonic() > _limit.ends_at


class Transport(httpx.HTTPTransport):
    """
    httpx's own transport with a deadline under it.

    An EHR behind a certificate authority of its own is trusted where ``SSL_CERT_FILE`` or ``SSL_CERT_DIR``
    name that authority; nothing else of the environment counts (no proxies, no ``.netrc``).
    """

    def __init__(self) -> None:
        context = httpx.create_ssl_context(trust_env=True)
        super().__init__(verify=context, trust_env=False)
        # httpx 0.28 has no other way to give its pool a network.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=_LIMITS.max_connections,
            max_keepalive_connections=_LIMITS.max_keepalive_connections,
            keepalive_expiry=_LIMITS.keepalive_expiry,
            network_backend=_Backend(),
        )


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(super().connect_tcp(host, port, left, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(timeout: float | None, late: type[Exception]) -> float | None:
    if _limit.ends_at is None:
        return timeout
    left = _limit.ends_at - time.monotonic()
    if left <= 0:
        raise late("the exchange took too long")
    return left if timeout is None else min(left, timeout)


def inflated(response: httpx.Response) -> Iterator[bytes]:
    """
    Yield a response's body as it arrives, inflated, in pieces of bounded size.

    Raises:
        httpx.DecodingError: It is no gzip, cut short, or in an encoding that was not asked for.
    """
    if response.is_stream_consumed:  # a transport without a network has read and inflated it already
        yield response.content
        return
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "identity":
        yield from response.iter_raw()
    elif encoding in ("gzip", "x-gzip"):
        yield from _gunzip(response.iter_raw())
    else:
        raise httpx.DecodingError("an encoding that was not asked for")


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        for chunk in chunks:
            rest = chunk
            while rest and not inflater.eof:
                yield inflater.decompress(rest, _PIECE)
                rest = inflater.unconsumed_tail
    except zlib.error:
        raise httpx.DecodingError("no gzip") from None
    if not inflater.eof:
        raise httpx.DecodingError("the gzip is cut short")
