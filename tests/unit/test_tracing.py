"""One source version followed from its receipt to the EHR's answer, and nothing at all while nobody asked for it."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bridge.cases.commands import Escalate
from bridge.cases.intents import IntentState
from bridge.errors import ConfigError
from bridge.settings import Settings, Tracing
from bridge.tracing import TracedTransport, Tracer, make_tracer, tracing_with
from tests.canary.planted import found_in, resources
from tests.unit.sync.world import World, order, patient

ROOT = Path(__file__).parents[2]


class Traced(World):
    """A world whose way to the EHR is told of."""

    tracer: Tracer

    def way(self) -> httpx.BaseTransport:
        return TracedTransport(super().way(), self.tracer)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """What is told while a world is at work."""
    kept = InMemorySpanExporter()
    tracer = Tracer(kept, version="0", at_once=True)
    Traced.tracer = tracer
    with tracing_with(tracer):
        yield kept


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


def test_a_version_is_followed_from_its_receipt_to_the_answer_of_the_ehr(spans: InMemorySpanExporter) -> None:
    world = Traced()
    world.ehr.put(patient())
    world.ehr.put(order())
    world.sync()

    (received,) = named(spans, "receive ServiceRequest")
    (delivered,) = named(spans, "deliver coordination-task")
    (put,) = named(spans, "PUT")
    ids = {span.context.trace_id for span in (received, delivered, put) if span.context}
    assert len(ids) == 1
    assert delivered.parent is not None
    assert received.context is not None
    assert delivered.parent.span_id == received.context.span_id
    assert put.parent is not None
    assert delivered.context is not None
    assert put.parent.span_id == delivered.context.span_id

    assert dict(received.attributes or {})["bridge.source"] == "ServiceRequest/o1/_history/1"
    told = dict(delivered.attributes or {})
    assert (told["bridge.state"], told["bridge.attempt"]) == ("confirmed", 1)
    assert told["bridge.sources"] == ("ServiceRequest/o1/_history/1",)
    assert dict(put.attributes or {})["http.response.status_code"] == 201


def test_a_later_process_goes_on_with_the_same_trace() -> None:
    first, later = InMemorySpanExporter(), InMemorySpanExporter()
    Traced.tracer = Tracer(first, version="0", at_once=True)
    with tracing_with(Traced.tracer):
        world = Traced()
        world.ehr.put(patient())
        world.ehr.put(order())
        world.clock.advance(minutes=1)
        world.bridge.read()
    Traced.tracer = Tracer(later, version="1", at_once=True)
    with tracing_with(Traced.tracer):
        world.bridge = world.new_bridge()
        world.sync()

    (received,) = named(first, "receive ServiceRequest")
    (delivered,) = named(later, "deliver coordination-task")
    assert received.context is not None
    assert delivered.context is not None
    assert received.context.trace_id == delivered.context.trace_id


def test_what_a_person_does_begins_a_trace_of_its_own(spans: InMemorySpanExporter) -> None:
    world = Traced()
    world.ehr.put(patient())
    world.ehr.put(order())
    world.sync()
    spans.clear()
    world.act("ServiceRequest/o1", Escalate(why="nobody answers"))
    world.sync()

    (delivered,) = named(spans, "deliver coordination-task")
    assert delivered.parent is None
    assert dict(delivered.attributes or {})["bridge.sources"] == ()


def test_a_share_of_the_versions_is_traced_whole_or_not_at_all() -> None:
    kept = InMemorySpanExporter()
    Traced.tracer = Tracer(kept, version="0", share=0.5, at_once=True)
    with tracing_with(Traced.tracer):
        world = Traced()
        world.ehr.put(patient())
        for number in range(30):
            world.ehr.put(order(f"o{number}"))
        world.sync()

    received = {span.context.trace_id for span in named(kept, "receive ServiceRequest") if span.context}
    delivered = {span.context.trace_id for span in named(kept, "deliver coordination-task") if span.context}
    assert 0 < len(received) < 30
    assert received == delivered


def test_polls_are_no_traces_and_nothing_about_a_patient_is_in_one(spans: InMemorySpanExporter) -> None:
    world = Traced()
    for resource in resources():
        world.ehr.put(resource)
    world.sync()

    told = spans.get_finished_spans()
    assert all(span.parent is not None for span in told if span.name in ("GET", "PUT", "POST"))
    assert found_in("\n".join(span.to_json() for span in told)) == []
    assert all("?" not in str(dict(span.attributes or {}).get("url.path", "")) for span in told)


def test_while_it_is_off_the_sdk_is_not_even_imported() -> None:
    code = "import sys, bridge.bootstrap, bridge.serve; sys.exit('opentelemetry.sdk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120).returncode == 0
    assert make_tracer(Settings().tracing, "0") is None

    world = World()
    world.ehr.put(patient())
    world.ehr.put(order())
    world.sync()
    assert world.outbox()[-1].state is IntentState.CONFIRMED


def test_a_collector_that_never_answers_keeps_nobody_from_ending() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tracer = make_tracer(Tracing(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}"), "0")
        assert tracer is not None
        with tracing_with(tracer):
            world = World()
            world.ehr.put(patient())
            world.ehr.put(order())
            world.sync()
        (still,) = (thread for thread in threading.enumerate() if thread.name == "tracing")
    still.join(60)


def test_without_the_extra_the_setting_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Tracing(endpoint="http://127.0.0.1:4318")
    tracer = make_tracer(settings, "0")
    assert tracer is not None
    tracer.close()

    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match="bridge-ehr\\[otel\\]"):
        make_tracer(settings, "0")
