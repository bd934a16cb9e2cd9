"""A LiveKit Agents session behind Twilio's Media Streams, on stand-ins for the vendors.

Runs in the environment that setup_peer.sh makes. LiveKit's own telephone path goes through its
server and a SIP gateway; here an `AgentSession` gets its audio from the websocket directly, which
spares it that way. Everything else is LiveKit's: Silero, endpointing by voice activity (its
end-of-turn models may be used with LiveKit's services only), preemptive generation, sentence
splitting. The vendors are `stand_ins.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import audioop
import base64
import json
import logging
import time
import uuid

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from livekit import rtc
from livekit.agents import NOT_GIVEN, Agent, AgentSession, llm, stt, tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities
from livekit.plugins import silero

from stand_ins import (
    FIRST_AUDIO_S,
    FIRST_TOKEN_S,
    LOUD,
    PIECE_BYTES,
    TOKEN_S,
    TOKENS,
    TRANSCRIPT_S,
    VOICE_SPEED,
    WORDS,
    spoken,
)

RATE_HZ = 8000


class Transcriber(stt.STT):
    """Hears loudness, not words: final words once it has been quiet for `TRANSCRIPT_S`."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))

    async def _recognize_impl(self, buffer, *, language, conn_options):
        raise NotImplementedError

    def stream(self, *, language=NOT_GIVEN, conn_options=DEFAULT_API_CONNECT_OPTIONS):
        return Transcription(stt=self, conn_options=conn_options)


class Transcription(stt.RecognizeStream):
    async def _run(self) -> None:
        loud_at: float | None = None
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            now = time.monotonic()
            if audioop.max(bytes(frame.data), 2) > LOUD:
                loud_at = now
            elif loud_at is not None and now - loud_at >= TRANSCRIPT_S:
                loud_at = None
                said = stt.SpeechData(language="en", text=WORDS, confidence=1.0)
                kind = stt.SpeechEventType.FINAL_TRANSCRIPT
                self._event_ch.send_nowait(stt.SpeechEvent(type=kind, alternatives=[said]))


class Model(llm.LLM):
    def chat(self, *, chat_ctx, tools=None, conn_options=DEFAULT_API_CONNECT_OPTIONS, **_):
        return Reply(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class Reply(llm.LLMStream):
    async def _run(self) -> None:
        due = time.monotonic() + FIRST_TOKEN_S
        for token in TOKENS:
            await asyncio.sleep(due - time.monotonic())
            delta = llm.ChoiceDelta(role="assistant", content=token)
            self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))
            due += TOKEN_S


class Voice(tts.TTS):
    """Speaks one sentence at a time; the session splits the text."""

    def __init__(self) -> None:
        capabilities = tts.TTSCapabilities(streaming=False)
        super().__init__(capabilities=capabilities, sample_rate=RATE_HZ, num_channels=1)

    def synthesize(self, text, *, conn_options=DEFAULT_API_CONNECT_OPTIONS):
        return Sentence(tts=self, input_text=text, conn_options=conn_options)


class Sentence(tts.ChunkedStream):
    async def _run(self, output_emitter) -> None:
        output_emitter.initialize(
            request_id=uuid.uuid4().hex,
            sample_rate=RATE_HZ,
            num_channels=1,
            mime_type="audio/pcm",
            frame_size_ms=20,
        )
        audio = spoken(self.input_text)
        due = time.monotonic() + FIRST_AUDIO_S
        for start in range(0, len(audio), PIECE_BYTES):
            await asyncio.sleep(due - time.monotonic())
            output_emitter.push(audio[start : start + PIECE_BYTES])
            due += PIECE_BYTES / (2 * RATE_HZ) / VOICE_SPEED
        output_emitter.flush()


class Ear(AudioInput):
    def __init__(self) -> None:
        super().__init__(label="twilio")
        self.frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self.frames.get()


class Mouth(AudioOutput):
    """To Twilio as it comes: the carrier plays it in time. Playback is told by the clock, and the
    carrier's buffer is cleared when LiveKit clears its own."""

    def __init__(self, websocket: WebSocket, stream_sid: str) -> None:
        super().__init__(
            label="twilio",
            capabilities=AudioOutputCapabilities(pause=False),
            sample_rate=RATE_HZ,
        )
        self._websocket = websocket
        self._stream_sid = stream_sid
        self._pushed_s = 0.0
        self._began: float | None = None
        self._finishing: asyncio.Task[None] | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if self._began is None:
            self._began = time.monotonic()
            self.on_playback_started(created_at=time.time())
        self._pushed_s += frame.duration
        payload = base64.b64encode(audioop.lin2ulaw(bytes(frame.data), 2)).decode()
        await self._send("media", media={"payload": payload})

    def flush(self) -> None:
        super().flush()
        if self._began is not None:
            left_s = self._began + self._pushed_s - time.monotonic()
            self._finishing = asyncio.create_task(self._finish_in(left_s))

    def clear_buffer(self) -> None:
        if self._began is None:
            return
        if self._finishing is not None:
            self._finishing.cancel()
        self._clearing = asyncio.create_task(self._send("clear"))
        self._finish(min(self._pushed_s, time.monotonic() - self._began), interrupted=True)

    async def _finish_in(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
        self._finishing = None
        self._finish(self._pushed_s, interrupted=False)

    def _finish(self, position_s: float, *, interrupted: bool) -> None:
        self._began, self._pushed_s, self._finishing = None, 0.0, None
        self.on_playback_finished(playback_position=position_s, interrupted=interrupted)

    async def _send(self, event: str, **body: object) -> None:
        message = {"event": event, "streamSid": self._stream_sid, **body}
        await self._websocket.send_text(json.dumps(message))


async def talk(websocket: WebSocket, vad: silero.VAD) -> None:
    await websocket.accept()
    await websocket.receive_text()  # connected
    start = json.loads(await websocket.receive_text())["start"]
    session = AgentSession(stt=Transcriber(), vad=vad, llm=Model(), tts=Voice())
    ear = Ear()
    session.input.audio = ear
    session.output.audio = Mouth(websocket, start["streamSid"])
    await session.start(agent=Agent(instructions="You book tables."))
    try:
        while True:
            message = json.loads(await websocket.receive_text())
            if message["event"] == "media":
                pcm = audioop.ulaw2lin(base64.b64decode(message["media"]["payload"]), 2)
                ear.frames.put_nowait(rtc.AudioFrame(pcm, RATE_HZ, 1, len(pcm) // 2))
            elif message["event"] == "stop":
                break
    except WebSocketDisconnect:
        pass
    finally:
        await session.aclose()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    app = FastAPI()
    vad = silero.VAD.load(sample_rate=RATE_HZ)

    @app.get("/healthz")
    async def healthz() -> dict[str, bool]:
        return {"ok": True}

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await talk(websocket, vad)

    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", loop="uvloop")


if __name__ == "__main__":
    main()
