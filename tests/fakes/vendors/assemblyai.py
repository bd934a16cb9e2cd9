"""AssemblyAI as its documentation says."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.fakes.vendors.deepgram import spread
from tests.fakes.vendors.hearing import KEY, Act, Ears, Talk
from tests.fakes.vendors.net import Asked

from chorus.audio.frame import AudioFormat


class AssemblyEars(Ears):
    """Where no turn is open, `ForceEndpoint` has no answer; there are heartbeats."""

    greets = True
    answers_silence = False

    def authorized(self, asked: Asked) -> bool:
        assert asked.path == "/v3/ws"
        return asked.headers.get("authorization") == KEY

    def format(self, asked: Asked) -> AudioFormat:
        assert asked.query["encoding"] == "pcm_mulaw"
        return AudioFormat("mulaw", int(asked.query["sample_rate"]))

    def greeting(self, talk: Talk) -> str:
        return json.dumps({"type": "Begin", "id": "s", "expires_at": 0})

    def meaning(self, talk: Talk, message: str | bytes) -> Act:
        if isinstance(message, bytes):
            assert 50 <= talk.format.ms(len(message)) <= 1000, "input duration violation"
            return Act(audio=message)
        kind = json.loads(message)["type"]
        assert kind in ("ForceEndpoint", "KeepAlive", "Terminate")
        return Act(finalize=kind == "ForceEndpoint", bye=kind == "Terminate")

    def heartbeat(self, talk: Talk) -> Sequence[str]:
        return ('{"type":"Heartbeat"}',)

    def interim(self, talk: Talk, text: str) -> Sequence[str]:
        return (self._turn(talk, text, over=False),)

    def final(self, talk: Talk, text: str, *, asked: bool) -> Sequence[str]:
        """A turn comes twice at its end."""
        return self._turn(talk, text, over=True), self._turn(talk, text, over=True)

    def error(self) -> str:
        return json.dumps(
            {"type": "Error", "error_code": 4002, "error": "insufficient funds: no credit"}
        )

    def _turn(self, talk: Talk, text: str, *, over: bool) -> str:
        words = spread(text, talk.final_ms, talk.heard_ms)
        return json.dumps(
            {
                "type": "Turn",
                "turn_order": self.finals,
                "turn_is_formatted": True,
                "end_of_turn": over,
                "transcript": text if over else text.rpartition(" ")[0],
                "end_of_turn_confidence": 0.9,
                "words": [
                    {"text": w, "start": a, "end": b, "confidence": 0.9, "word_is_final": over}
                    for w, a, b in words
                ],
            }
        )
