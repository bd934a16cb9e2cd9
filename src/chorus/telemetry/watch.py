"""What a call tells of itself, as metrics and as spans.

`CallWatch.told` is given each happening of a call's timeline (`talk/timeline.py`), a few a turn. It
counts, and where the call is traced opens and closes the spans of its turns. What a stage took is
told once the caller hears the reply, so its spans are made then, with the times that they had.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chorus.talk.timeline import STAGES, Happening
from chorus.telemetry.instruments import Metrics
from chorus.telemetry.spans import UNTRACED, Doing, Kind, Span, Value

if TYPE_CHECKING:
    # Imports OpenTelemetry, which is there only where it is wanted.
    from chorus.telemetry.otel import CallSpans

# What a turn does until it reaches each stage, for the name of its span.
_DOING = {
    "words": "transcribe",
    "committed": "judge end of turn",
    "token": "think",
    "audio": "synthesize",
    "sent": "play",
}


class CallWatch:
    """Of one call; implements `spans.Spans`. `spans` None: it is not traced."""

    def __init__(
        self,
        metrics: Metrics,
        direction: str,
        spans: CallSpans | None,
        target_ms: int | None = None,
    ) -> None:
        self._metrics = metrics
        self._direction = direction
        self._target_ms = target_ms
        self.spans = spans

    @property
    def trace_id(self) -> str:
        return "" if self.spans is None else self.spans.trace_id

    def begin(
        self,
        name: str,
        kind: Kind,
        turn: int | None,
        doing: Doing | None,
        attributes: dict[str, Value],
    ) -> Span:
        spans, begun = self.spans, UNTRACED
        if spans is not None:
            begun = spans.begin(name, kind, turn, doing, attributes)
        model = attributes.get("gen_ai.request.model")
        return begun if model is None else _Request(begun, self._metrics, str(model))

    def told(self, happening: Happening) -> None:
        data = happening.data
        match happening.kind:
            case "turn_latency":
                self._latency(data)
            case "usage":
                self._usage(data)
            case "engine_failed":
                self._failed(happening.at_ms, data)
            case "tool_result":
                seconds = data["elapsedMs"] / 1000
                self._metrics.tool_s.observe(seconds, "true" if data["ok"] else "false")
            case "speech_started" | "turn_committed" | "reply_heard" | "turn_dropped":
                self._turn(happening)
            case _:
                pass

    def ended(self, status: str, reason: str, duration_ms: int) -> None:
        self._metrics.calls.add(1, self._direction, status, reason)
        self._metrics.call_s.observe(duration_ms / 1000, self._direction)
        if self.spans is not None:
            self.spans.end(status, reason, duration_ms)

    def _latency(self, data: Mapping[str, Any]) -> None:
        for stage in STAGES:
            if (ms := data[f"{stage}Ms"]) is not None:
                self._metrics.stage_s.observe(ms / 1000, stage)
        if self._target_ms is not None and (sent_ms := data["sentMs"]) is not None:
            kept = "true" if sent_ms <= self._target_ms else "false"
            self._metrics.aimed.add(1, kept)
        if self.spans is None:
            return
        ended_ms = before_ms = data["speechEndedAtMs"]
        for stage, doing in _DOING.items():
            if (ms := data[f"{stage}Ms"]) is None:
                continue
            # A draft is thought and spoken before the turn is over: its stage takes no time then.
            reached_ms = max(before_ms, ended_ms + ms)
            self.spans.stage(data["turn"], doing, before_ms, reached_ms)
            before_ms = reached_ms

    def _usage(self, data: Mapping[str, Any]) -> None:
        for type, count in (("input", data["inputTokens"]), ("output", data["outputTokens"])):
            if count:
                self._metrics.tokens.add(count, data["model"], type)
        if data["characters"]:
            self._metrics.characters.add(data["characters"], data["voice"])

    def _failed(self, at_ms: int, data: Mapping[str, Any]) -> None:
        vendor, stage, remedy = data["vendor"], data["stage"], data["remedy"]
        self._metrics.failures.add(1, vendor, stage, remedy)
        if remedy == "replaced":
            self._metrics.failovers.add(1, vendor, stage)
        if self.spans is not None:
            told = {"chorus.vendor": vendor, "chorus.stage": stage, "chorus.remedy": remedy}
            self.spans.event(at_ms, "engine failed", told)

    def _turn(self, happening: Happening) -> None:
        spans, data, turn = self.spans, happening.data, happening.data.get("turn")
        if spans is None or turn is None:
            return
        match happening.kind:
            case "speech_started":
                spans.turn_began(turn, min(happening.at_ms, data["onsetMs"]))
            case "turn_committed":
                spans.turn_began(turn, happening.at_ms)  # a turn of keys alone
                spans.turn_committed(turn, data["by"], drafted=data["drafted"])
            case _:
                spans.turn_ended(turn, happening.at_ms, happening.kind)


class _Request:
    """A request to a language model: measured, whether traced or not."""

    def __init__(self, span: Span, metrics: Metrics, model: str) -> None:
        self._span, self._metrics, self._model = span, metrics, model
        self._outcome = "ok"
        self._began_s = time.monotonic()
        self.headers = span.headers

    def put(self, name: str, value: Value) -> None:
        self._span.put(name, value)

    def failed(self, why: str, kind: str) -> None:
        self._outcome = "failed"
        self._span.failed(why, kind)

    def given_up(self) -> None:
        self._outcome = "given_up"
        self._span.given_up()

    def end(self) -> None:
        took_s = time.monotonic() - self._began_s
        self._metrics.model_s.observe(took_s, self._model, self._outcome)
        self._span.end()


class WebhookWatch:
    """One try to deliver a webhook."""

    def __init__(self, metrics: Metrics, span: Span) -> None:
        self._metrics = metrics
        self._span = span
        self.headers = span.headers

    def ended(self, status: int | None, error: Exception | None, took_s: float) -> None:
        """`status` None: there was no answer; `error` says why, without secrets."""
        delivered = status is not None and 200 <= status < 300
        outcome = "delivered" if delivered else "no_answer" if status is None else "refused"
        self._metrics.webhooks.add(1, outcome)
        self._metrics.webhook_s.observe(took_s)
        if status is not None:
            self._span.put("http.response.status_code", status)
        if not delivered:
            why = f"HTTP {status}" if error is None else str(error)
            self._span.failed(why, str(status) if error is None else type(error).__name__)
        self._span.end()
