"""Deepgram as its documentation says: `/v1/listen`, `/v2/listen` and `/v1/speak`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.fakes.vendors.hearing import KEY, Act, Ears, Talk
from tests.fakes.vendors.net import Asked
from tests.fakes.vendors.speaking import Mouth, Units, Wish

from chorus.audio.frame import AudioFormat

ENCODINGS: dict[str, Any] = {"mulaw": "mulaw", "alaw": "alaw", "linear16": "pcm16"}


def format_of(asked: Asked) -> AudioFormat:
    return AudioFormat(ENCODINGS[asked.query["encoding"]], int(asked.query["sample_rate"]))


def spread(text: str, begin_ms: float, end_ms: float) -> list[tuple[str, float, float]]:
    """The words of a text, evenly over a time."""
    words = text.split()
    step = (end_ms - begin_ms) / max(1, len(words))
    return [(w, begin_ms + i * step, begin_ms + (i + 1) * step) for i, w in enumerate(words)]


def words(text: str, talk: Talk) -> list[dict[str, Any]]:
    return [
        {
            "word": word.lower().strip(".?"),
            "punctuated_word": word,
            "start": begin_ms / 1000,
            "end": end_ms / 1000,
            "confidence": 0.9,
        }
        for word, begin_ms, end_ms in spread(text, talk.final_ms, talk.heard_ms)
    ]


class NovaEars(Ears):
    """With nothing left to flush, `Finalize` may have no answer of its own."""

    answers_silence = False
    idle_s = 10.0
    idle_close = (1011, "Deepgram did not receive audio data or a text message NET-0001")

    def authorized(self, asked: Asked) -> bool:
        assert asked.path == "/v1/listen"
        return asked.headers.get("authorization") == f"Token {KEY}"

    def format(self, asked: Asked) -> AudioFormat:
        return format_of(asked)

    def meaning(self, talk: Talk, message: str | bytes) -> Act:
        if isinstance(message, bytes):
            return Act(audio=message)
        kind = json.loads(message)["type"]
        assert kind in ("KeepAlive", "Finalize", "CloseStream")
        return Act(finalize=kind == "Finalize", bye=kind == "CloseStream")

    def heartbeat(self, talk: Talk) -> Sequence[str]:
        if talk.loud_ms:
            return ()
        return (self._results(talk, "", final=False, asked=False),)

    def interim(self, talk: Talk, text: str) -> Sequence[str]:
        return (self._results(talk, text, final=False, asked=False),)

    def final(self, talk: Talk, text: str, *, asked: bool) -> Sequence[str]:
        return (self._results(talk, text, final=True, asked=asked),)

    def error(self) -> str:
        return json.dumps(
            {"type": "Error", "variant": "LIMIT", "description": "quota exceeded for this project"}
        )

    def _results(self, talk: Talk, text: str, *, final: bool, asked: bool) -> str:
        return json.dumps(
            {
                "type": "Results",
                "channel_index": [0, 1],
                "start": talk.final_ms / 1000,
                "duration": (talk.heard_ms - talk.final_ms) / 1000,
                "is_final": final,
                "speech_final": final,
                "from_finalize": asked,
                "channel": {
                    "alternatives": [
                        {"transcript": text, "confidence": 0.9, "words": words(text, talk)}
                    ]
                },
            }
        )


class FluxEars(Ears):
    """Ends a turn after 300 ms of quiet, by its own judgement. It knows no `KeepAlive`; without
    audio it was seen to close after 20 to 30 s (github.com/deepgram/deepgram-python-sdk/issues/649)
    """

    idle_s = 20.0
    idle_close = (1011, "NET-0001")
    greets = True
    answers_silence = False
    quiet_ms = 300.0

    def authorized(self, asked: Asked) -> bool:
        assert asked.path == "/v2/listen"
        return asked.headers.get("authorization") == f"Token {KEY}"

    def format(self, asked: Asked) -> AudioFormat:
        return format_of(asked)

    def greeting(self, talk: Talk) -> str:
        return json.dumps({"type": "Connected", "request_id": "r", "sequence_id": 0})

    def meaning(self, talk: Talk, message: str | bytes) -> Act:
        if isinstance(message, bytes):
            return Act(audio=message)
        kind = json.loads(message)["type"]
        assert kind in ("ForceEndTurn", "CloseStream")
        return Act(finalize=kind == "ForceEndTurn", bye=kind == "CloseStream")

    def heartbeat(self, talk: Talk) -> Sequence[str]:
        if talk.loud_ms and talk.quiet_ms >= self.quiet_ms:
            out = self._info(talk, "EndOfTurn", self.take(talk), trigger="model")
            self.settle(talk)
            return (out,)
        text = self.understood[0] if talk.told_interim and self.understood else ""
        return (self._info(talk, "Update", text),)

    def interim(self, talk: Talk, text: str) -> Sequence[str]:
        return self._info(talk, "StartOfTurn", text), self._info(talk, "Update", text)

    def final(self, talk: Talk, text: str, *, asked: bool) -> Sequence[str]:
        return (self._info(talk, "EndOfTurn", text, trigger="manual"),)

    def error(self) -> str:
        return json.dumps({"type": "Error", "code": "INTERNAL", "description": "quota exceeded"})

    def _info(self, talk: Talk, event: str, text: str, **more: str) -> str:
        return json.dumps(
            {
                "type": "TurnInfo",
                "event": event,
                "turn_index": self.finals,
                "audio_window_start": talk.final_ms / 1000,
                "audio_window_end": talk.heard_ms / 1000,
                "transcript": text,
                "words": [{"word": w["word"], "confidence": 0.9} for w in words(text, talk)],
                "end_of_turn_confidence": 0.82 if event == "EndOfTurn" else 0.1,
                **more,
            }
        )


class AuraMouth(Mouth):
    def authorized(self, asked: Asked) -> bool:
        assert asked.path == "/v1/speak"
        return asked.headers.get("authorization") == f"Token {KEY}"

    def format(self, asked: Asked) -> AudioFormat:
        return format_of(asked)

    def meaning(self, asked: Asked, message: str | bytes) -> Sequence[Wish]:
        event = json.loads(message)
        match event["type"]:
            case "Speak":
                assert len(event["text"]) <= 2000
                return (Wish("text", "", event["text"]),)
            case "Flush":
                return (Wish("flush"),)
            case "Clear":
                return (Wish("cancel"),)
            case "Close":
                return (Wish("bye"),)
            case other:
                raise AssertionError(other)

    def sound(self, context: str, audio: bytes, units: Units) -> Sequence[str | bytes]:
        return (audio,)

    def clause_done(self, context: str) -> Sequence[str]:
        return ('{"type":"Flushed","sequence_id":0}',)

    def cancelled(self, context: str) -> Sequence[str]:
        return ('{"type":"Cleared","sequence_id":0}',)

    def error(self, context: str) -> str:
        return json.dumps({"type": "Error", "code": "X", "description": "quota exceeded"})
