"""A collector of OTLP over HTTP, as its specification has it: keeps what it is sent.

https://opentelemetry.io/docs/specs/otlp/#otlphttp-request
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Seen:
    """A span. Ids are hexadecimal; `parent` is empty for the first of a trace."""

    name: str
    trace: str
    id: str
    parent: str
    start_ns: int
    end_ns: int
    failed: bool
    attributes: dict[str, Any]


@dataclass
class Collected:
    url: str = ""
    spans: list[Seen] = field(default_factory=list[Seen])
    metrics: set[str] = field(default_factory=set[str])
    resource: dict[str, Any] = field(default_factory=dict[str, Any])
    headers: list[str | None] = field(default_factory=list[str | None])

    def of(self, name: str) -> list[Seen]:
        return [span for span in self.spans if span.name == name]


@contextmanager
def collector() -> Generator[Collected]:
    collected = Collected()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.headers["content-type"] == "application/x-protobuf"
            collected.headers.append(self.headers.get("x-tenant"))
            if self.path == "/v1/traces":
                _take_spans(collected, ExportTraceServiceRequest.FromString(body))
            elif self.path == "/v1/metrics":
                sent = ExportMetricsServiceRequest.FromString(body)
                for resource in sent.resource_metrics:
                    for scope in resource.scope_metrics:
                        collected.metrics |= {metric.name for metric in scope.metrics}
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collected.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield collected
    finally:
        server.shutdown()
        server.server_close()


def _take_spans(collected: Collected, sent: ExportTraceServiceRequest) -> None:
    for resource in sent.resource_spans:
        collected.resource |= _values(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                collected.spans.append(
                    Seen(
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        span.start_time_unix_nano,
                        span.end_time_unix_nano,
                        span.status.code == 2,
                        _values(span.attributes),
                    )
                )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
