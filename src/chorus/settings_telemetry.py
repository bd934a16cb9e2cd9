"""Settings of what is seen of a server from outside: metrics and traces.

Those that begin with OTEL_ are OpenTelemetry's own. The ones below decide what is exported and
where to; all others of its standard (headers, sampling, names of the resource) are read by its SDK:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

from chorus import readers
from chorus.variable import Variable


def _token(raw: str) -> str:
    if len(raw) < 16:
        raise readers.Wrong("must have 16 characters or more")
    return readers.credential(raw)


def _exporter(raw: str) -> bool:
    return readers.choice("otlp", "none")(raw) == "otlp"


TELEMETRY_VARIABLES: tuple[Variable, ...] = (
    Variable(
        "CHORUS_METRICS_TOKEN",
        "metrics_token",
        _token,
        "",
        "Bearer token that /metrics asks for. Without it only programs on this machine may read.",
        secret=True,
    ),
    Variable(
        "OTEL_SDK_DISABLED",
        "otel_disabled",
        readers.flag,
        "false",
        "true exports nothing, whatever else is set.",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "otlp_endpoint",
        readers.url,
        "",
        "Collector that traces and metrics are sent to, at /v1/traces and /v1/metrics below it. "
        "Without it nothing is exported.",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "otlp_traces_endpoint",
        readers.url,
        "<OTEL_EXPORTER_OTLP_ENDPOINT>/v1/traces",
        "Where traces alone are sent.",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        "otlp_metrics_endpoint",
        readers.url,
        "<OTEL_EXPORTER_OTLP_ENDPOINT>/v1/metrics",
        "Where metrics alone are sent.",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "otlp_protocol",
        readers.choice("http/protobuf"),
        "http/protobuf",
        "How they are sent; there is no other way here.",
    ),
    Variable(
        "OTEL_TRACES_EXPORTER",
        "exports_traces",
        _exporter,
        "otlp",
        "none sends no traces.",
    ),
    Variable(
        "OTEL_METRICS_EXPORTER",
        "exports_metrics",
        _exporter,
        "otlp",
        "none sends no metrics.",
    ),
)
