"""
Traces of OpenTelemetry, off unless ``tracing.endpoint`` is set: a version from its receipt to the EHR's answer.

Theory of operation. A version's trace has an id made of its connection, reference and version, and so has the span of
its receipt. Nothing about traces is therefore kept in the database: whichever process delivers what came of the
version, days later, reads from the case's history which version that was, and makes the same ids again. Whether
a version is traced at all is decided by the same id, alike in every process.

    receive (one version)  <-  deliver (one try to write what came of it)  <-  PUT, POST, GET (one request, its status)

What a person or a timer brought about has a trace that begins with its delivery. Attributes are ids, types, codes
and states: nothing of a resource's content, and no query of a request. While tracing is off, its SDK is not even
imported, and all of this is a comparison with ``None``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from hashlib import sha256
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx

from bridge.cases.changes import CauseKind
from bridge.cases.intents import LEVEL_KINDS, IntentState
from bridge.errors import ConfigError, StoreUnavailable
from bridge.settings import Tracing
from bridge.store.port import Store
from bridge.store.rows import InboxRow, OutboxRow, Settlement

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

Told = Callable[[Settlement], None]

CLOSE_WITHIN = timedelta(seconds=1)
"""How long the last spans may take when the process ends (rule ours)."""


class Tracer:
    """What makes spans and hands them on. One for a process."""

    def __init__(self, exporter: SpanExporter, *, version: str, share: float = 1.0, at_once: bool = False) -> None:
        """
        Send spans to *exporter*.

        Args:
            share: Which share of the versions is traced.
            at_once: Hand each span on when it ends, rather than some together in the background; for tests.
        """
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
        from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

        self._ids = _ids()
        self._provider = TracerProvider(
            sampler=TraceIdRatioBased(share),
            id_generator=self._ids,
            resource=Resource.create({"service.name": "bridge", "service.version": version}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor((SimpleSpanProcessor if at_once else BatchSpanProcessor)(exporter))
        self._tracer = self._provider.get_tracer("bridge", version)

    def close(self) -> None:
        """Hand on what there is, and end: a collector that does not answer holds up nobody who was told to stop."""
        ending = Thread(target=self._provider.shutdown, name="tracing", daemon=True)
        ending.start()
        ending.join(CLOSE_WITHIN.total_seconds())

    def received(self, rows: Sequence[InboxRow], began_ns: int) -> None:
        """Tell of versions that were taken in together, from *began_ns* until now."""
        from opentelemetry.context import Context

        for row in rows:
            source = f"{row.ref}/_history/{row.version}"
            with self._ids.fixed(*_made_of(row.connection, source)):
                span = self._tracer.start_span(f"receive {row.type}", context=Context(), start_time=began_ns)
            span.set_attributes(
                {
                    "bridge.connection": row.connection,
                    "bridge.source": source,
                    "bridge.path": row.path,
                    "bridge.state": row.state.value,
                    "bridge.code": row.code or "",
                }
            )
            span.end()

    @contextmanager
    def delivering(self, store: Store, row: OutboxRow) -> Iterator[Told]:
        """Tell of one try to write *row*; what is yielded is told how it ended."""
        sources = self._sources(store, row)
        attributes: dict[str, Any] = {
            "bridge.connection": row.intent.connection,
            "bridge.case": row.intent.case_id,
            "bridge.outbox": row.id,
            "bridge.attempt": row.attempts + 1,
            "bridge.sources": sources,
        }
        with self._tracer.start_as_current_span(
            f"deliver {row.intent.kind.value}",
            context=self._parent(row.intent.connection, sources),
            links=[self._link(row.intent.connection, source) for source in sources[1:]],
            attributes=attributes,
            record_exception=False,
        ) as span:

            def told(how: Settlement) -> None:
                span.set_attributes(
                    {
                        "bridge.state": how.state.value,
                        "bridge.code": how.code or "",
                        "bridge.written": how.written or "",
                    }
                )

            yield told

    def request(self, method: str, path: str) -> AbstractContextManager[Any]:
        """Tell of one request to an EHR, where it is part of a delivery."""
        from opentelemetry.trace import INVALID_SPAN, SpanKind, get_current_span

        if not get_current_span().get_span_context().is_valid:
            return nullcontext(INVALID_SPAN)
        attributes = {"http.request.method": method, "url.path": path}
        return self._tracer.start_as_current_span(
            method, kind=SpanKind.CLIENT, attributes=attributes, record_exception=False, set_status_on_exception=False
        )

    def _sources(self, store: Store, row: OutboxRow) -> list[str]:
        """Return the versions of which this writes what came: of all since the last that was written of its slot."""
        intent = row.intent
        try:
            with store.reading() as tx:
                changes = tx.history(intent.case_id)
                rows = tx.outbox(case_ids=[intent.case_id], state=IntentState.CONFIRMED, limit=1000)
        except StoreUnavailable:
            return []
        said = [one.intent.case_version for one in rows if one.intent.slot == intent.slot]
        after = max(said, default=0) if intent.kind in LEVEL_KINDS else intent.case_version - 1
        causes = [one.cause for one in changes if after < one.version <= intent.case_version]
        return list(dict.fromkeys(cause.what for cause in causes if cause.kind is CauseKind.SOURCE))

    def _parent(self, connection: str, sources: Sequence[str]) -> Any:
        from opentelemetry.context import Context
        from opentelemetry.trace import NonRecordingSpan, set_span_in_context

        if not sources:
            return Context()
        return set_span_in_context(NonRecordingSpan(_context(connection, sources[0])), Context())

    def _link(self, connection: str, source: str) -> Any:
        from opentelemetry.trace import Link

        return Link(_context(connection, source))


def _made_of(connection: str, source: str) -> tuple[int, int]:
    """Return the ids of a version's trace and of the span of its receipt: never 0, which is no id."""
    digest = sha256(f"{connection}\n{source}".encode()).digest()
    return int.from_bytes(digest[:16], "big") or 1, int.from_bytes(digest[16:24], "big") or 1


def _context(connection: str, source: str) -> Any:
    from opentelemetry.trace import SpanContext, TraceFlags

    trace_id, span_id = _made_of(connection, source)
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _ids() -> Any:
    from threading import local

    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        """Random ids, but those of a version where they are fixed, in this thread."""

        def __init__(self) -> None:
            self._here = local()

        @contextmanager
        def fixed(self, trace_id: int, span_id: int) -> Iterator[None]:
            self._here.ids = (trace_id, span_id)
            try:
                yield
            finally:
                self._here.ids = None

        def generate_trace_id(self) -> int:
            ids = getattr(self._here, "ids", None)
            return ids[0] if ids is not None else super().generate_trace_id()

        def generate_span_id(self) -> int:
            ids = getattr(self._here, "ids", None)
            return ids[1] if ids is not None else super().generate_span_id()

    return Ids()


class TracedTransport(httpx.BaseTransport):
    """A way to an EHR on which every request is told of, its query left out."""

    def __init__(self, inner: httpx.BaseTransport, tracer: Tracer) -> None:
        self._inner, self._tracer = inner, tracer

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request*."""
        with self._tracer.request(request.method, request.url.path) as span:
            try:
                answer = self._inner.handle_request(request)
            except httpx.HTTPError as error:
                span.set_attribute("error.type", type(error).__name__)
                raise
            span.set_attribute("http.response.status_code", answer.status_code)
            return answer

    def close(self) -> None:
        """Give back every connection."""
        self._inner.close()


# This process ---------------------------------------------------------------------------------------------

_current: Tracer | None = None


def make_tracer(settings: Tracing, version: str) -> Tracer | None:
    """
    Return what sends traces where the settings say; ``None`` where they say nowhere.

    Raises:
        ConfigError: OpenTelemetry is not installed.
    """
    if settings.endpoint is None:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise ConfigError("tracing.endpoint: OpenTelemetry is not installed; pip install 'bridge-ehr[otel]'") from None
    exporter = OTLPSpanExporter(f"{settings.endpoint}/v1/traces")
    return Tracer(exporter, version=version, share=settings.share)


@contextmanager
def tracing_with(tracer: Tracer | None) -> Iterator[None]:
    """Have this process traced meanwhile; with ``None``, not."""
    global _current
    before, _current = _current, tracer
    try:
        yield
    finally:
        _current = before
        if tracer is not None:
            tracer.close()


def current() -> Tracer | None:
    """Return what traces this process."""
    return _current


def started() -> int:
    """Return when something that will be told of begins; 0 while nothing is."""
    return time.time_ns() if _current is not None else 0


def received(rows: Sequence[InboxRow], began_ns: int) -> None:
    """Tell of versions that were taken in, if anybody listens."""
    if _current is not None:
        _current.received(rows, began_ns)


def delivering(store: Store, row: OutboxRow) -> AbstractContextManager[Told]:
    """Tell of one try to write, if anybody listens."""
    return _current.delivering(store, row) if _current is not None else nullcontext(_nobody)


def _nobody(how: Settlement) -> None:
    """Nobody listens."""
