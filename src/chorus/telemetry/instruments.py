"""The metrics of a process: what is counted and measured, in one list.

Each instrument is one of Prometheus's (`registry` is what `/metrics` shows) and, where metrics are
exported by OTLP, one of OpenTelemetry's too, under the same name with dots. Times are seconds.
Labels hold no ids, numbers or texts of anybody; those that users name (models, vendors of their
own) are cut off at `MOST_VALUES`, since each value is a series that is kept for ever.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

MOST_VALUES = 200
"""Distinct values of one label; what comes after is `other`."""

_STAGE_S = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_WRITE_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_REQUEST_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_CALL_S = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_DELAY_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0, 86_400.0)


class Counted:
    """A number that only grows."""

    def __init__(self, metrics: Metrics, name: str, help: str, *labels: str) -> None:
        self._metrics, self._labels = metrics, labels
        self._counter = Counter(name, help, labels, registry=metrics.registry)
        self._twin: Any = None
        if metrics.meter is not None:
            self._twin = metrics.meter.create_counter(dotted(name), description=help)

    def add(self, amount: float, *values: str) -> None:
        values = self._metrics.bounded(self._labels, values)
        (self._counter.labels(*values) if values else self._counter).inc(amount)
        if self._twin is not None:
            self._twin.add(amount, dict(zip(self._labels, values, strict=True)))


class Measured:
    """A distribution, in seconds."""

    def __init__(
        self, metrics: Metrics, name: str, help: str, bounds: tuple[float, ...], *labels: str
    ) -> None:
        self._metrics, self._labels = metrics, labels
        self._histogram = Histogram(name, help, labels, registry=metrics.registry, buckets=bounds)
        self._twin: Any = None
        if metrics.meter is not None:
            self._twin = metrics.meter.create_histogram(
                dotted(name), "s", help, explicit_bucket_boundaries_advisory=bounds
            )

    def observe(self, seconds: float, *values: str) -> None:
        values = self._metrics.bounded(self._labels, values)
        (self._histogram.labels(*values) if values else self._histogram).observe(seconds)
        if self._twin is not None:
            self._twin.record(seconds, dict(zip(self._labels, values, strict=True)))


def dotted(name: str) -> str:
    """`chorus_turn_stage_seconds` is `chorus.turn.stage` in OpenTelemetry: units are apart."""
    return name.removesuffix("_seconds").replace("_", ".")


class Metrics:
    """Owned by the process. `meter`: OpenTelemetry's, where metrics are exported."""

    def __init__(self, meter: Meter | None = None) -> None:
        self.registry = CollectorRegistry()
        self.meter = meter
        self._seen: defaultdict[str, set[str]] = defaultdict(set)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

        def counted(name: str, help: str, *labels: str) -> Counted:
            return Counted(self, f"chorus_{name}", help, *labels)

        def measured(name: str, help: str, bounds: tuple[float, ...], *labels: str) -> Measured:
            return Measured(self, f"chorus_{name}_seconds", help, bounds, *labels)

        self.calls = counted(
            "calls_ended", "Conversations that ended here.", "direction", "status", "reason"
        )
        self.call_s = measured("call", "Length of a conversation.", _CALL_S, "direction")
        self.stage_s = measured(
            "turn_stage",
            "Time from the end of the caller's speech until the turn reached a stage; "
            "'sent' is the reply's first sound.",
            _STAGE_S,
            "stage",
        )
        self.aimed = counted(
            "turns_with_target",
            "Answers of agents that have a target for their latency.",
            "within",
        )
        self.breaches = counted(
            "latency_breaches", "Quarters of an hour in which an agent missed its target."
        )
        self.tool_s = measured("tool", "Time a tool took.", _REQUEST_S, "ok")
        self.model_s = measured(
            "model_request",
            "Time of a request to a language model.",
            _REQUEST_S,
            "model",
            "outcome",
        )
        self.failures = counted(
            "engine_failures", "Failures of an engine in a call.", "vendor", "stage", "remedy"
        )
        self.failovers = counted(
            "failovers", "Times that another engine took over in a call.", "vendor", "stage"
        )
        self.tokens = counted("tokens", "Tokens of language models.", "model", "type")
        self.characters = counted("characters", "Characters that were spoken.", "voice")
        self.cost = counted("cost_dollars", "Cost of the calls that were settled here.")
        self.writes_waited_s = measured(
            "write_wait", "Wait of a transaction for its turn to write (SQLite).", _WRITE_S
        )
        self.writes_s = measured(
            "write",
            "Length of a writing transaction, by the function that asked for it.",
            _WRITE_S,
            "by",
        )
        self.webhooks = counted("webhook_tries", "Tries to deliver a webhook.", "outcome")
        self.webhook_s = measured("webhook", "Time of a try to deliver a webhook.", _REQUEST_S)
        self.webhook_delay_s = measured(
            "webhook_delay", "Time from an event until its webhook was delivered.", _DELAY_S
        )

    def bounded(self, labels: tuple[str, ...], values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            value if self._known(label, value) else "other"
            for label, value in zip(labels, values, strict=True)
        )

    def _known(self, label: str, value: str) -> bool:
        seen = self._seen[label]
        if value not in seen:
            if len(seen) >= MOST_VALUES:
                return False
            seen.add(value)
        return True
