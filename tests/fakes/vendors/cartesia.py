"""Cartesia as its documentation says: Ink with `finalize`, and Sonic with contexts."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from tests.fakes.vendors.deepgram import spread
from tests.fakes.vendors.hearing import KEY, Act, Ears, Talk
from tests.fakes.vendors.net import Asked
from tests.fakes.vendors.speaking import Mouth, Units, Wish

from chorus.audio.frame import AudioFormat

KINDS: dict[str, Any] = {"pcm_mulaw": "mulaw", "pcm_alaw": "alaw", "pcm_s16le": "pcm16"}


def authorized(asked: Asked) -> bool:
    assert asked.headers["cartesia-version"] == "2026-03-01"
    return asked.headers.get("x-api-key") == KEY


class InkEars(Ears):
    """Final transcripts are pieces; their spaces count."""

    idle_s = 180.0

    def authorized(self, asked: Asked) -> bool:
        assert asked.path == "/stt/websocket"
        assert asked.query["model"] == "ink-2"
        return authorized(asked)

    def format(self, asked: Asked) -> AudioFormat:
        return AudioFormat(KINDS[asked.query["encoding"]], int(asked.query["sample_rate"]))

    def meaning(self, talk: Talk, message: str | bytes) -> Act:
        if isinstance(message, bytes):
            return Act(audio=message)
        assert message in ("finalize", "done")
        return Act(finalize=message == "finalize", bye=message == "done")

    def interim(self, talk: Talk, text: str) -> Sequence[str]:
        return (self._transcript(talk, text, final=False),)

    def final(self, talk: Talk, text: str, *, asked: bool) -> Sequence[str]:
        done = json.dumps({"type": "flush_done", "request_id": "r"})
        if not text:
            return (done,)
        middle = text.find(" ") + 1
        return (
            self._transcript(talk, text[:middle], final=True),
            self._transcript(talk, text[middle:], final=True),
            done,
        )

    def error(self) -> str:
        return json.dumps({"type": "error", "title": "Payment", "message": "", "status_code": 402})

    def _transcript(self, talk: Talk, text: str, *, final: bool) -> str:
        times = spread(text, talk.final_ms, talk.heard_ms)
        return json.dumps(
            {
                "type": "transcript",
                "request_id": "r",
                "text": text,
                "is_final": final,
                "duration": (talk.heard_ms - talk.final_ms) / 1000,
                "language": "en",
                "words": [{"word": w, "start": a / 1000, "end": b / 1000} for w, a, b in times],
            }
        )


class SonicMouth(Mouth):
    most_contexts = 100
    errors_by_context = True

    def authorized(self, asked: Asked) -> bool:
        assert asked.path == "/tts/websocket"
        return authorized(asked)

    def format(self, asked: Asked) -> AudioFormat:
        return AudioFormat("mulaw", 8000)

    def meaning(self, asked: Asked, message: str | bytes) -> Sequence[Wish]:
        event = json.loads(message)
        context = event["context_id"]
        if event.get("cancel"):
            return (Wish("cancel", context),)
        assert event["output_format"] == {
            "container": "raw",
            "encoding": "pcm_mulaw",
            "sample_rate": 8000,
        }
        assert event["max_buffer_delay_ms"] == 0
        if not event["continue"]:
            assert not event["transcript"]
            return (Wish("end", context),)
        return Wish("text", context, event["transcript"]), Wish("flush", context)

    def sound(self, context: str, audio: bytes, units: Units) -> Sequence[str]:
        """Words are told with the piece in which they end."""
        chunk = {
            "type": "chunk",
            "context_id": context,
            "data": b64encode(audio).decode(),
            "done": False,
            "status_code": 206,
        }
        words: list[tuple[str, float, float]] = []
        for at, (char, _, end) in enumerate(units):
            following = units[at + 1][0] if at + 1 < len(units) else ""
            self._word = getattr(self, "_word", "") + char
            if self._word.strip() and (following == " " or char in ".?!"):
                word = self._word.strip()
                words.append((word, end - len(word) * 50.0, end))
                self._word = ""
        times = {
            "type": "timestamps",
            "context_id": context,
            "word_timestamps": {
                "words": [word for word, _, _ in words],
                "start": [begin / 1000 for _, begin, _ in words],
                "end": [end / 1000 for _, _, end in words],
            },
        }
        return (*((json.dumps(times),) if words else ()), json.dumps(chunk))

    def clause_done(self, context: str) -> Sequence[str]:
        return (json.dumps({"type": "flush_done", "context_id": context, "flush_id": 1}),)

    def done(self, context: str) -> Sequence[str]:
        return (json.dumps({"type": "done", "context_id": context, "done": True}),)

    def cancelled(self, context: str) -> Sequence[str]:
        return self.done(context)

    def error(self, context: str) -> str:
        return json.dumps(
            {
                "type": "error",
                "context_id": context,
                "title": "no credits",
                "message": "you have no credits left",
                "status_code": 402,
            }
        )
