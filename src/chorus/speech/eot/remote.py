"""The verdict of an end-of-turn model behind HTTP, such as UltraVAD on a machine with a GPU.

No such server has a standard protocol, so this is Chorus' own; docs/vendors.md has it. It holds
what UltraVAD wants: the audio of the caller's turn, and what was said before it. A server that
failed some times in a row is not asked for a while, so that its deadline does not cost every turn.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode

from chorus.audio.frame import PCM_16K, AudioFormat
from chorus.audio.resample import Converter
from chorus.outbound import OutboundFailed, OutboundRefused
from chorus.speech.engines import Heard
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.net import Net

NAME = "remote-end-of-turn"
_MOST_BYTES = 10_000
_FAILURES = 3
_REST_S = 15.0


class RemoteEndOfTurn:
    """`EndOfTurn`. `threshold`: the probability from which the model means yes; UltraVAD's card
    says 0.1. `deadline_ms`: later than that silence and the last words have decided."""

    name = NAME

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        net: Net,
        threshold: float = 0.1,
        deadline_ms: int = 400,
    ) -> None:
        self.threshold = threshold
        self._url = url
        self._headers = (
            ("Content-Type", "application/json"),
            *((("Authorization", f"Bearer {api_key}"),) if api_key else ()),
        )
        self._net = net
        self._deadline_ms = deadline_ms
        self._failures = Failures(NAME, api_key)
        self._failed = 0
        self._rests_until_s = 0.0

    async def judge(self, heard: Heard) -> float:
        now_s = asyncio.get_running_loop().time()
        if now_s < self._rests_until_s:
            raise self._failures.of("judge", "gone", "it failed, and rests")
        try:
            probability = await self._ask(heard)
        except Exception:
            self._failed += 1
            if self._failed >= _FAILURES:
                self._failed, self._rests_until_s = 0, now_s + _REST_S
            raise
        self._failed = 0
        return probability

    async def _ask(self, heard: Heard) -> float:
        audio = heard.pcm16
        if heard.rate_hz != PCM_16K.rate_hz:
            converter = Converter(AudioFormat("pcm16", heard.rate_hz), PCM_16K)
            audio = converter.feed(audio) + converter.flush()
        turns = [{"role": "assistant", "content": heard.context}] if heard.context else []
        body = {
            "audio": b64encode(audio).decode(),
            "sampleRate": PCM_16K.rate_hz,
            "turns": turns,
            "text": heard.text,
            "silenceMs": round(heard.silence_ms),
        }
        try:
            answer = await self._net.send(
                "POST",
                self._url,
                headers=self._headers,
                content=json.dumps(body).encode(),
                timeout_ms=self._deadline_ms,
                max_bytes=_MOST_BYTES,
            )
        except (OutboundFailed, OutboundRefused) as error:
            raise self._failures.unreached("judge", error) from None
        if answer.status != 200:
            words = answer.body[:500].decode("utf-8", "replace")
            raise self._failures.status("judge", answer.status, words)

        def read() -> float:
            probability = float(json.loads(answer.body)["probability"])
            if not 0.0 <= probability <= 1.0:
                raise ValueError(f"a probability of {probability}")
            return probability

        return self._failures.reading("judge", read)
