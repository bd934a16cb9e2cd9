"""Everything that is seen of one process: its metrics, what is exported, and the calls it watches.

What others count is pushed here as it happens (a turn, a webhook, a transaction). What is a state,
how many calls live or wait, is looked up when somebody asks: `look` reads the database, at most
once in `LOOK_EVERY_S` and never longer than `LOOK_WITHIN_S`.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Self

from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

import chorus
from chorus.audio.pace import Lag
from chorus.extras import how_to_install
from chorus.settings import Settings
from chorus.speech.vendor.limits import all_limits, counts
from chorus.telemetry.instruments import Metrics
from chorus.telemetry.spans import UNTRACED, Span, Value
from chorus.telemetry.watch import CallWatch, WebhookWatch

if TYPE_CHECKING:
    from chorus.telemetry.otel import Export

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
LOOK_WITHIN_S = 2.0
EXPORT_LOOK_S = 15.0


@dataclass(frozen=True, slots=True)
class Queues:
    """Of the whole installation. `webhook_age_s`: how long the oldest one that is due waits."""

    calls_waiting: int
    webhooks_due: int
    webhook_age_s: float


class Telemetry:
    """`live`: how many calls are talked on here; `queues` asks the database."""

    def __init__(
        self,
        settings: Settings,
        lag: Lag,
        live: Callable[[], int],
        queues: Callable[[], Awaitable[Queues]],
    ) -> None:
        self.lag = lag
        self.live = live
        self._ask = queues
        self._export = _export(settings)
        self.metrics = Metrics(None if self._export is None else self._export.meter())
        self.queues: Queues | None = None
        self._looked_s = float("-inf")
        self._looking = asyncio.Lock()
        self._vendors = _Vendors.now(self.metrics.bounded)
        self.metrics.registry.register(_State(self))
        if self._export is not None:
            self._add_gauges(self._export)

    # --- what is pushed -------------------------------------------------------------------------

    def call(
        self,
        call_id: uuid.UUID,
        direction: str,
        attributes: dict[str, Value],
        target_ms: int | None = None,
    ) -> CallWatch:
        """Watch a call that begins now. `target_ms`: how long its caller may wait for an answer."""
        attributes = {"chorus.call.direction": direction, **attributes}
        spans = None if self._export is None else self._export.call(call_id, attributes)
        return CallWatch(self.metrics, direction, spans, target_ms)

    def webhook_began(self, call_id: uuid.UUID | None, event: str, tries: int) -> WebhookWatch:
        span: Span | None = None
        if self._export is not None and call_id is not None:
            about: dict[str, Value] = {
                "http.request.method": "POST",
                "http.request.resend_count": max(0, tries - 1),
            }
            span = self._export.afterwards(call_id, f"webhook {event}", about)
        return WebhookWatch(self.metrics, span or UNTRACED)

    def delivered(self, announced_at: datetime, now: datetime) -> None:
        """It is written down that a webhook was."""
        self.metrics.webhook_delay_s.observe(max(0.0, (now - announced_at).total_seconds()))

    def wrote(self, waited_s: float, took_s: float, by: str) -> None:
        """A writing transaction is over. See `Database.watch`."""
        self.metrics.writes_waited_s.observe(waited_s)
        self.metrics.writes_s.observe(took_s, by.removeprefix("chorus."))

    # --- what is asked --------------------------------------------------------------------------

    async def page(self) -> bytes:
        """All metrics in Prometheus's text format."""
        await self.look()
        return generate_latest(self.metrics.registry)

    async def look(self) -> None:
        """See how long the queues are; what is not known is left out."""
        async with self._looking:
            if time.monotonic() - self._looked_s < LOOK_EVERY_S:
                return
            try:
                async with asyncio.timeout(LOOK_WITHIN_S):
                    self.queues = await self._ask()
            except (SQLAlchemyError, OSError, TimeoutError) as failure:
                self.queues = None
                why = str(failure) or "no answer"
                log.warning("how long the queues are is not known: %s", why)
            self._looked_s = time.monotonic()

    async def run(self) -> None:
        """For ever: what is exported is looked up before. Started once by the application."""
        if self._export is None or self._export.meters is None:
            return
        while True:
            self._vendors = _Vendors.now(self.metrics.bounded)
            await self.look()
            await asyncio.sleep(EXPORT_LOOK_S)

    async def aclose(self) -> None:
        """Send what was not sent yet, in bounded time."""
        if self._export is not None:
            self._vendors = _Vendors.now(self.metrics.bounded)
            await asyncio.to_thread(self._export.close)

    def _add_gauges(self, export: Export) -> None:
        def queue(name: str) -> float | None:
            return None if self.queues is None else float(getattr(self.queues, name))

        live = self.live
        export.gauge("chorus.calls.live", "{call}", _LIVE, lambda: float(live()))
        export.gauge("chorus.loop.lag.p99", "s", _LAG, lambda: self.lag.p99_ms / 1000)
        export.gauge("chorus.calls.waiting", "{call}", _WAITING, lambda: queue("calls_waiting"))
        export.gauge("chorus.webhooks.due", "{webhook}", _DUE, lambda: queue("webhooks_due"))
        export.gauge("chorus.webhooks.oldest", "s", _OLDEST, lambda: queue("webhook_age_s"))
        export.labelled("chorus.info", _INFO, lambda: [(1.0, {"version": chorus.__version__})])

        def by_vendor(of: Callable[[_Vendors], dict[str, int]]) -> Read:
            def read() -> list[tuple[float, dict[str, str]]]:
                known = of(self._vendors)
                return [(float(value), {"vendor": vendor}) for vendor, value in known.items()]

            return read

        def full() -> list[tuple[float, dict[str, str]]]:
            return [
                (float(count), {"vendor": vendor, "outcome": outcome})
                for (vendor, outcome), count in self._vendors.full.items()
            ]

        export.labelled("chorus.vendor.under.way", _UNDER_WAY, by_vendor(lambda v: v.under_way))
        export.labelled("chorus.vendor.limit", _LIMIT, by_vendor(lambda v: v.least))
        export.labelled("chorus.vendor.full", _FULL, full, grows=True)


Read = Callable[[], list[tuple[float, dict[str, str]]]]


@dataclass(frozen=True, slots=True)
class _Vendors:
    """What accounts have under way at their vendors, and what was too much: by vendor, and
    `full` by outcome too."""

    under_way: dict[str, int]
    least: dict[str, int]
    full: dict[tuple[str, str], int]

    @classmethod
    def now(cls, bounded: Callable[[tuple[str, ...], tuple[str, ...]], tuple[str, ...]]) -> Self:
        under_way, least = dict[str, int](), dict[str, int]()
        for limit in all_limits():
            (vendor,) = bounded(("vendor",), (limit.vendor,))
            under_way[vendor] = under_way.get(vendor, 0) + limit.under_way
            if limit.most is not None:
                least[vendor] = min(limit.most, least.get(vendor, limit.most))
        full = Counter[tuple[str, str]]()
        for (vendor, outcome), count in list(counts.items()):
            (vendor,) = bounded(("vendor",), (vendor,))
            full[vendor, outcome] += count
        return cls(under_way, least, full)


_INFO = "Which version this is."
_LIVE = "Calls that are talked on in this process."
_LAG = "Ninety-nine of a hundred recent timers of the event loop were at most this late."
_LATE = "How late timers of the event loop were: one in 250 ms, and with calls one in 5 to 20 ms."
_WAITING = "Outbound calls of all organizations that are due and wait to be dialled."
_DUE = "Webhooks of all organizations that are due."
_OLDEST = "How long the oldest webhook that is due has waited."
_UNDER_WAY = "Sockets, replies and requests at a vendor, of all its accounts, from this process."
_LIMIT = "The least that a vendor was found to take at once of one account."
_FULL = (
    "Times that an account had as much under way as it may: refused by the vendor, waited for a "
    "place, turned away to the next vendor."
)


class _State(Collector):
    """What is as it is when it is asked."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        seen, lag = self._telemetry, self._telemetry.lag
        info = GaugeMetricFamily("chorus_info", _INFO, labels=["version"])
        info.add_metric([chorus.__version__], 1)
        yield info
        yield GaugeMetricFamily("chorus_calls_live", _LIVE, seen.live())
        late = HistogramMetricFamily("chorus_loop_lag_seconds", _LATE)
        buckets = [
            ("+Inf" if bound == float("inf") else str(bound / 1000), float(count))
            for bound, count in lag.buckets
        ]
        late.add_metric([], buckets, lag.sum_ms / 1000)
        yield late
        if (queues := seen.queues) is not None:
            yield GaugeMetricFamily("chorus_calls_waiting", _WAITING, queues.calls_waiting)
            yield GaugeMetricFamily("chorus_webhooks_due", _DUE, queues.webhooks_due)
            yield GaugeMetricFamily("chorus_webhooks_oldest_seconds", _OLDEST, queues.webhook_age_s)
        yield from self._accounts()

    def _accounts(self) -> Iterable[Metric]:
        known = _Vendors.now(self._telemetry.metrics.bounded)
        live = GaugeMetricFamily("chorus_vendor_under_way", _UNDER_WAY, labels=["vendor"])
        most = GaugeMetricFamily("chorus_vendor_limit", _LIMIT, labels=["vendor"])
        full = CounterMetricFamily("chorus_vendor_full", _FULL, labels=["vendor", "outcome"])
        for family, values in ((live, known.under_way), (most, known.least)):
            for vendor, value in values.items():
                family.add_metric([vendor], value)
        for labels, count in known.full.items():
            full.add_metric(labels, count)
        yield from (live, most, full)


def _export(settings: Settings) -> Export | None:
    if settings.otlp_traces_url is None and settings.otlp_metrics_url is None:
        return None
    try:
        from chorus.telemetry.otel import Export
    except ImportError as missing:
        log.error(
            "OTEL_* names where to send traces or metrics, but %s is not installed: %s",
            missing.name,
            how_to_install("otel"),
        )
        return None
    return Export(settings)
