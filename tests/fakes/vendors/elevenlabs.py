"""ElevenLabs as its documentation says: Scribe in real time, and the multi-context voice."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any

from tests.fakes.vendors.hearing import KEY, Act, Ears, Talk
from tests.fakes.vendors.net import Asked
from tests.fakes.vendors.speaking import Mouth, Units, Wish

from chorus.audio.frame import AudioFormat

KINDS: dict[str, Any] = {"ulaw": "mulaw", "alaw": "alaw", "pcm": "pcm16"}


def format_of(name: str) -> AudioFormat:
    kind, _, rate = name.partition("_")
    return AudioFormat(KINDS[kind], int(rate))


class ScribeEars(Ears):
    """A commit of less than 0.3 s of audio ends the session, as it does there. How long it lasts
    without a piece of audio is not documented: others saw 15 s, and a normal close."""

    idle_s = 15.0
    greets = True

    def authorized(self, asked: Asked) -> bool:
        assert asked.path == "/v1/speech-to-text/realtime"
        assert asked.query["commit_strategy"] == "manual"
        assert "-" not in asked.query.get("language_code", "")
        return asked.headers.get("xi-api-key") == KEY

    def format(self, asked: Asked) -> AudioFormat:
        return format_of(asked.query["audio_format"])

    def greeting(self, talk: Talk) -> str:
        return json.dumps({"message_type": "session_started", "session_id": "s", "config": {}})

    def meaning(self, talk: Talk, message: str | bytes) -> Act:
        event = json.loads(message)
        assert event["message_type"] == "input_audio_chunk"
        audio = b64decode(event["audio_base_64"])
        if event["commit"]:
            unheard_ms = talk.heard_ms + talk.format.ms(len(audio)) - talk.final_ms
            assert unheard_ms >= 300, "insufficient audio"
        return Act(audio=audio, finalize=event["commit"])

    def interim(self, talk: Talk, text: str) -> Sequence[str]:
        return (json.dumps({"message_type": "partial_transcript", "text": text}),)

    def final(self, talk: Talk, text: str, *, asked: bool) -> Sequence[str]:
        return (json.dumps({"message_type": "committed_transcript", "text": text}),)

    def error(self) -> str:
        return json.dumps({"message_type": "quota_exceeded", "error": "no characters are left"})


class ElevenLabsMouth(Mouth):
    flushed = True
    most_contexts = 5

    def __init__(self) -> None:
        super().__init__()
        self._begun: dict[int, dict[str, float]] = {}  # contexts of a socket, and their audio

    def authorized(self, asked: Asked) -> bool:
        assert asked.path.startswith("/v1/text-to-speech/")
        assert asked.path.endswith("/multi-stream-input")
        return asked.headers.get("xi-api-key") == KEY

    def format(self, asked: Asked) -> AudioFormat:
        return format_of(asked.query["output_format"])

    def meaning(self, asked: Asked, message: str | bytes) -> Sequence[Wish]:
        event = json.loads(message)
        if event.get("close_socket"):
            return (Wish("bye"),)
        context = event["context_id"]
        begun = self._begun.setdefault(id(asked), {})
        if "voice_settings" in event:
            assert context not in begun, "voice_settings stand in the first message only"
            assert event["text"] == " "
            begun[context] = 0.0
            return ()
        assert context in begun, "the first message of a context is its settings"
        if event.get("close_context"):
            return (Wish("end", context),)
        if event.get("flush"):
            return (Wish("flush", context),)
        if not event["text"]:
            return (Wish("other", context),)
        assert event["text"].endswith(" ")
        return (Wish("text", context, event["text"]),)

    def sound(self, context: str, audio: bytes, units: Units) -> Sequence[str]:
        begin_ms = units[0][1]
        return (
            json.dumps(
                {
                    "audio": b64encode(audio).decode(),
                    "contextId": context,
                    "alignment": {
                        "chars": [char for char, _, _ in units],
                        "charStartTimesMs": [begin - begin_ms for _, begin, _ in units],
                        "charDurationsMs": [end - begin for _, begin, end in units],
                    },
                    "normalizedAlignment": None,
                }
            ),
        )

    def done(self, context: str) -> Sequence[str]:
        return (json.dumps({"isFinal": True, "contextId": context}),)

    def error(self, context: str) -> str:
        return json.dumps({"error": "quota_exceeded", "message": "no quota", "code": 1008})
