"""Soniox as its documentation says: tokens in, streams of speech out."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from tests.fakes.vendors.deepgram import spread
from tests.fakes.vendors.hearing import KEY, Act, Ears, Talk
from tests.fakes.vendors.net import Asked
from tests.fakes.vendors.speaking import Mouth, Units, Wish

from chorus.audio.frame import MULAW_8K, AudioFormat


class SonioxEars(Ears):
    idle_s = 20.0

    def idle_told(self) -> Sequence[str]:
        return (json.dumps({"error_code": 408, "error_message": "Request timeout."}),)

    def authorized(self, asked: Asked) -> bool:
        assert asked.path == "/transcribe-websocket"
        return asked.headers.get("authorization") == f"Bearer {KEY}"

    def format(self, asked: Asked) -> AudioFormat:
        return MULAW_8K

    def meaning(self, talk: Talk, message: str | bytes) -> Act:
        configured = bool(talk.control)
        if not configured:
            config = json.loads(message)
            assert config["api_key"] == KEY
            assert (config["audio_format"], config["sample_rate"]) == ("mulaw", 8000)
            return Act()
        if isinstance(message, bytes):
            return Act(audio=message) if message else Act(bye=True)
        kind = json.loads(message)["type"]
        assert kind in ("finalize", "keepalive")
        return Act(finalize=kind == "finalize")

    def interim(self, talk: Talk, text: str) -> Sequence[str]:
        """The first word is final already."""
        tokens = self._tokens(talk, text)
        first = text.partition(" ")[0]
        count = next(
            at
            for at in range(1, len(tokens) + 1)
            if "".join(t["text"] for t in tokens[:at]).strip() == first
        )
        talk.final_tokens = count
        for token in tokens[:count]:
            token["is_final"] = True
        return (self._message(talk, tokens),)

    def final(self, talk: Talk, text: str, *, asked: bool) -> Sequence[str]:
        tokens = self._tokens(talk, text)[talk.final_tokens :] if text else []
        talk.final_tokens = 0
        for token in tokens:
            token["is_final"] = True
        fin = {"text": "<fin>", "is_final": True}
        return self._message(talk, tokens), self._message(talk, [fin])

    def error(self) -> str:
        return json.dumps({"error_code": 402, "error_message": "no balance"})

    def _tokens(self, talk: Talk, text: str) -> list[dict[str, Any]]:
        """Two a word, with their own spaces."""
        tokens: list[dict[str, Any]] = []
        for number, (word, begin, end) in enumerate(spread(text, talk.final_ms, talk.heard_ms)):
            middle = len(word) // 2 or 1
            space = " " if number or self.finals else ""
            for part in (space + word[:middle], word[middle:]):
                if part:
                    tokens.append(
                        {"text": part, "start_ms": begin, "end_ms": end, "is_final": False}
                    )
        return tokens

    def _message(self, talk: Talk, tokens: list[dict[str, Any]]) -> str:
        return json.dumps(
            {
                "tokens": tokens,
                "final_audio_proc_ms": talk.final_ms,
                "total_audio_proc_ms": talk.heard_ms,
            }
        )


class SonioxMouth(Mouth):
    flushed = False
    most_contexts = 5
    context_per_clause = True
    errors_by_context = True
    cancels_ended = True
    """Whether a stream whose text has ended can be cancelled is open: Soniox's page on termination
    does not say, and the pipecat project holds that it cannot. If not, it is refused, and spoken to
    its end."""

    def authorized(self, asked: Asked) -> bool:
        assert asked.path == "/tts-websocket"
        return asked.headers.get("authorization") == f"Bearer {KEY}"

    def format(self, asked: Asked) -> AudioFormat:
        return MULAW_8K

    def meaning(self, asked: Asked, message: str | bytes) -> Sequence[Wish]:
        event = json.loads(message)
        if event.get("keep_alive"):
            return (Wish("other"),)
        stream = event["stream_id"]
        if event.get("cancel"):
            return (Wish("cancel" if self.cancels_ended else "refused", stream),)
        if "model" in event:
            assert (event["audio_format"], event["sample_rate"]) == ("pcm_mulaw", 8000)
            assert event["api_key"] == KEY
            return ()
        assert event["text_end"]
        return Wish("text", stream, event["text"]), Wish("end", stream)

    def sound(self, context: str, audio: bytes, units: Units) -> Sequence[str]:
        return (
            json.dumps(
                {
                    "stream_id": context,
                    "audio": b64encode(audio).decode(),
                    "timestamps": {
                        "characters": [char for char, _, _ in units],
                        "character_start_times_seconds": [a / 1000 for _, a, _ in units],
                        "character_end_times_seconds": [b / 1000 for _, _, b in units],
                    },
                }
            ),
        )

    def done(self, context: str) -> Sequence[str]:
        return (
            json.dumps({"stream_id": context, "audio_end": True}),
            json.dumps({"stream_id": context, "terminated": True}),
        )

    def cancelled(self, context: str) -> Sequence[str]:
        return (json.dumps({"stream_id": context, "terminated": True}),)

    def error(self, context: str) -> str:
        return json.dumps({"stream_id": context, "error_code": 402, "error_message": "no balance"})
