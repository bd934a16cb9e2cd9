"""Traces and metrics by OTLP, with OpenTelemetry's SDK; imported only where they are wanted.

A call is one trace. Its ids are made from the call's id alone (`ids_of`), so every process knows
them without asking: the one that delivers a webhook an hour later writes into the same trace.

    call → turn → transcribe, judge end of turn, play                 as the turn had them
                → think      → chat MODEL, execute_tool NAME          each request
                → synthesize → speak VOICE                            each request
         → webhook EVENT                                              each try

Names of attributes are those of OpenTelemetry's GenAI conventions where it has any (`gen_ai.*`,
https://opentelemetry.io/docs/specs/semconv/gen-ai/), else `chorus.*`. No attribute holds what was
said, a number of anybody's, or an argument of a tool.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode

import chorus
from chorus.settings import Settings
from chorus.telemetry.spans import Doing, Kind, Value

_KINDS = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT}
_MS = 1_000_000
_CONVERSATION = "gen_ai.conversation.id"


def ids_of(call_id: uuid.UUID) -> tuple[int, int]:
    """The ids of a call's trace and of its first span. Hashed, because a UUID has fixed bits where
    samplers look for random ones."""
    digest = hashlib.blake2b(call_id.bytes, digest_size=24, person=b"chorus trace").digest()
    return int.from_bytes(digest[:16], "big"), int.from_bytes(digest[16:], "big")


def traceparent(context: SpanContext) -> str:
    """W3C Trace Context, version 00: https://www.w3.org/TR/trace-context/#traceparent-header"""
    sampled = 1 if context.trace_flags.sampled else 0
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{sampled:02x}"


class _Ids(RandomIdGenerator):
    """Random, but for a span that was given its own. Used on the event loop only."""

    given: tuple[int, int] | None = None

    def generate_trace_id(self) -> int:
        return super().generate_trace_id() if self.given is None else self.given[0]

    def generate_span_id(self) -> int:
        given, self.given = self.given, None
        return super().generate_span_id() if given is None else given[1]


class Export:
    """Of one process. Exports in threads of its own; a collector that is away costs nothing but
    what could not be sent. `close` sends what is left, so it blocks: call it in a thread."""

    def __init__(self, settings: Settings) -> None:
        ours = Resource(
            {
                "service.name": "chorus",
                "service.version": chorus.__version__,
                "service.instance.id": str(uuid.uuid4()),
                "telemetry.sdk.language": "python",
                "telemetry.sdk.name": "opentelemetry",
            }
        )
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go first.
        resource = ours.merge(OTELResourceDetector().detect())
        self.meters: MeterProvider | None = None
        self._tracers: TracerProvider | None = None
        if (url := settings.otlp_metrics_url) is not None:
            reader = PeriodicExportingMetricReader(OTLPMetricExporter(url))
            self.meters = MeterProvider([reader], resource, shutdown_on_exit=False)
        if (url := settings.otlp_traces_url) is not None:
            self._ids = _Ids()
            self._tracers = TracerProvider(
                resource=resource, id_generator=self._ids, shutdown_on_exit=False
            )
            self._tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url)))
            self._tracer = self._tracers.get_tracer("chorus", chorus.__version__)

    def meter(self) -> Any:
        """OpenTelemetry's `Meter`; None where metrics are not exported."""
        return None if self.meters is None else self.meters.get_meter("chorus", chorus.__version__)

    def gauge(self, name: str, unit: str, help: str, read: Callable[[], float | None]) -> None:
        """A value that is read when it is exported, from another thread."""

        def observe(_: CallbackOptions) -> Iterable[Observation]:
            value = read()
            return () if value is None else (Observation(value),)

        if (meter := self.meter()) is not None:
            meter.create_observable_gauge(name, [observe], unit, help)

    def labelled(
        self,
        name: str,
        help: str,
        read: Callable[[], Iterable[tuple[float, dict[str, str]]]],
        *,
        grows: bool = False,
    ) -> None:
        """Values by their labels, read as those of `gauge` are. `grows`: they are a counter's."""

        def observe(_: CallbackOptions) -> Iterable[Observation]:
            return [Observation(value, labels) for value, labels in read()]

        if (meter := self.meter()) is not None:
            make = meter.create_observable_counter if grows else meter.create_observable_gauge
            make(name, [observe], "1", help)

    def call(self, call_id: uuid.UUID, attributes: dict[str, Value]) -> CallSpans | None:
        """The spans of a call that begins now; None if nothing is traced."""
        if self._tracers is None:
            return None
        self._ids.given = ids_of(call_id)
        attributes = {
            "chorus.call.id": str(call_id),
            "gen_ai.operation.name": "invoke_agent",
            _CONVERSATION: str(call_id),
            **attributes,
        }
        root = self._tracer.start_span("call", Context(), attributes=attributes)
        self._ids.given = None  # one that is not sampled takes none
        return CallSpans(self._tracer, self._ids, root, str(call_id))

    def afterwards(
        self, call_id: uuid.UUID, name: str, attributes: dict[str, Value]
    ) -> _Open | None:
        """Something that is done for a call, wherever and whenever that is."""
        if self._tracers is None:
            return None
        trace_id, span_id = ids_of(call_id)
        decided = self._tracers.sampler.should_sample(None, trace_id, "call").decision
        flags = trace.TraceFlags(
            trace.TraceFlags.SAMPLED if decided.is_sampled() else trace.TraceFlags.DEFAULT
        )
        parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)
        return _begin(
            self._tracer, name, "client", NonRecordingSpan(parent), attributes, time.time_ns()
        )

    def close(self) -> None:
        for provider in (self._tracers, self.meters):
            if provider is not None:
                provider.shutdown()


class _Open:
    """Implements `spans.Span` over one of OpenTelemetry's."""

    def __init__(self, span: trace.Span) -> None:
        self.span = span
        self.headers: tuple[tuple[str, str], ...] = (
            ("traceparent", traceparent(span.get_span_context())),
        )

    def put(self, name: str, value: Value) -> None:
        self.span.set_attribute(name, value)

    def failed(self, why: str, kind: str) -> None:
        _fail(self.span, why, kind)

    def given_up(self) -> None:
        self.span.set_attribute("chorus.cancelled", True)

    def end(self) -> None:
        self.span.end()


@dataclass(frozen=True, slots=True)
class _Turn:
    """`promised`: stages that requests hang on already, and when the first of these began. Such a
    stage is made, with the id that was promised, when its times are known."""

    span: trace.Span
    promised: dict[str, tuple[SpanContext, int]] = field(
        default_factory=dict[str, tuple[SpanContext, int]]
    )
    made: dict[str, SpanContext] = field(default_factory=dict[str, SpanContext])

    def stage(self, doing: Doing, at_ns: int) -> trace.Span:
        """What a request that begins at `at_ns` hangs on."""
        if (context := self.made.get(doing)) is None:
            if doing not in self.promised:
                of = self.span.get_span_context()
                id = RandomIdGenerator().generate_span_id()
                context = SpanContext(of.trace_id, id, is_remote=False, trace_flags=of.trace_flags)
                self.promised[doing] = context, at_ns
            context, _ = self.promised[doing]
        return NonRecordingSpan(context)


class CallSpans:
    """Of one call. Times are its milliseconds since it was answered."""

    def __init__(self, tracer: trace.Tracer, ids: _Ids, root: trace.Span, call_id: str) -> None:
        self._tracer = tracer
        self._ids = ids
        self._root = root
        self._call_id = call_id
        self._began_ns = time.time_ns()
        self._turns: dict[int, _Turn] = {}
        self.trace_id = f"{root.get_span_context().trace_id:032x}"

    def begin(
        self,
        name: str,
        kind: Kind,
        turn: int | None,
        doing: Doing | None,
        attributes: dict[str, Value],
    ) -> _Open:
        now_ns = time.time_ns()
        of = None if turn is None else self._turns.get(turn)
        parent = self._root
        if of is not None:
            parent = of.span if doing is None else of.stage(doing, now_ns)
        if "gen_ai.operation.name" in attributes:
            attributes = {_CONVERSATION: self._call_id, **attributes}
        return _begin(self._tracer, name, kind, parent, attributes, now_ns)

    def turn_began(self, turn: int, at_ms: float) -> None:
        """Once; later ones change nothing."""
        if turn not in self._turns:
            span = self._tracer.start_span(
                "turn",
                trace.set_span_in_context(self._root, Context()),
                attributes={"chorus.turn": turn},
                start_time=self._ns(at_ms),
            )
            self._turns[turn] = _Turn(span)

    def turn_committed(self, turn: int, by: str, *, drafted: bool) -> None:
        span = self._turns[turn].span
        span.set_attributes({"chorus.turn.by": by, "chorus.turn.drafted": drafted})

    def turn_ended(self, turn: int, at_ms: float, how: str) -> None:
        of = self._turns.pop(turn, None)
        if of is not None:
            end_ns = self._ns(at_ms)
            for doing, (_, began_ns) in list(of.promised.items()):
                # Nobody heard what came of it, so nothing but its requests tells when it was.
                self._stage(of, doing, began_ns, max(began_ns, end_ns))
            of.span.set_attribute("chorus.turn.ended", how)
            of.span.end(end_ns)

    def stage(self, turn: int, doing: str, from_ms: float, to_ms: float) -> None:
        self._stage(self._turns.get(turn), doing, self._ns(from_ms), self._ns(to_ms))

    def _stage(self, of: _Turn | None, doing: str, from_ns: int, to_ns: int) -> None:
        parent = self._root if of is None else of.span
        promised = None if of is None else of.promised.pop(doing, None)
        if promised is not None:
            self._ids.given = promised[0].trace_id, promised[0].span_id
        span = _begin(self._tracer, doing, "internal", parent, {}, from_ns).span
        self._ids.given = None
        if of is not None:
            of.made[doing] = span.get_span_context()
        span.end(to_ns)

    def event(self, at_ms: float, name: str, attributes: dict[str, Value]) -> None:
        self._root.add_event(name, attributes, self._ns(at_ms))

    def end(self, status: str, reason: str, duration_ms: float) -> None:
        for turn in list(self._turns):
            self.turn_ended(turn, duration_ms, "call over")
        self._root.set_attributes({"chorus.call.status": status, "chorus.call.reason": reason})
        if status == "failed":
            _fail(self._root, reason, reason)
        self._root.end(self._ns(duration_ms))

    def _ns(self, at_ms: float) -> int:
        return self._began_ns + round(at_ms * _MS)


def _fail(span: trace.Span, why: str, kind: str) -> None:
    span.set_status(Status(StatusCode.ERROR, why))
    span.set_attribute("error.type", kind)


def _begin(
    tracer: trace.Tracer,
    name: str,
    kind: Kind,
    parent: trace.Span,
    attributes: dict[str, Value],
    start_ns: int,
) -> _Open:
    context = trace.set_span_in_context(parent, Context())
    return _Open(
        tracer.start_span(name, context, _KINDS[kind], attributes=attributes, start_time=start_ns)
    )
