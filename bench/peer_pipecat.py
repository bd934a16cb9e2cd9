"""Pipecat's telephone bot as its own examples build it, on stand-ins for the vendors.

Runs in the environment that setup_peer.sh makes. Everything between the websocket and the
vendors is Pipecat's: Twilio serializer, FastAPI websocket transport, Silero VAD, user turns by
Smart Turn v3 (its default) or by silence, context aggregators. The three vendors are replaced by
`stand_ins.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import audioop
import dataclasses
import json
import sys
import time

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings, STTSettings, TTSSettings
from pipecat.services.stt_latency import DEFAULT_TTFS_P99
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TextAggregationMode, TTSService
from pipecat.transports.websocket.fastapi import (
    FastAPIWebsocketParams,
    FastAPIWebsocketTransport,
)
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.utils.time import time_now_iso8601
from pipecat.workers.runner import WorkerRunner

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


class Transcript(STTService):
    """Hears loudness, not words: final words once it has been quiet for `TRANSCRIPT_S`."""

    def __init__(self) -> None:
        settings = STTSettings(model=None, language=None)
        super().__init__(ttfs_p99_latency=DEFAULT_TTFS_P99, settings=settings)
        self._loud_at: float | None = None

    async def run_stt(self, audio: bytes):
        now = time.monotonic()
        if audioop.max(audio, 2) > LOUD:
            self._loud_at = now
        elif self._loud_at is not None and now - self._loud_at >= TRANSCRIPT_S:
            self._loud_at = None
            yield TranscriptionFrame(WORDS, "", time_now_iso8601(), finalized=True)
        yield None


# Pipecat wants every setting given, be it as None.
UNSET = {f.name: None for f in dataclasses.fields(LLMSettings) if f.name != "extra"}


class Model(LLMService):
    def __init__(self) -> None:
        super().__init__(settings=LLMSettings(**UNSET))

    async def process_frame(self, frame, direction) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        due = time.monotonic() + FIRST_TOKEN_S
        for token in TOKENS:
            await asyncio.sleep(due - time.monotonic())
            await self.push_frame(LLMTextFrame(token))
            due += TOKEN_S
        await self.push_frame(LLMFullResponseEndFrame())


class Voice(TTSService):
    def __init__(self, mode: TextAggregationMode) -> None:
        super().__init__(
            push_start_frame=True,
            push_stop_frames=True,
            text_aggregation_mode=mode,
            sample_rate=8000,
            settings=TTSSettings(model=None, voice=None, language=None),
        )

    async def run_tts(self, text: str, context_id: str):
        audio = spoken(text)
        due = time.monotonic() + FIRST_AUDIO_S
        for start in range(0, len(audio), PIECE_BYTES):
            await asyncio.sleep(due - time.monotonic())
            piece = audio[start : start + PIECE_BYTES]
            yield TTSAudioRawFrame(piece, 8000, 1, context_id=context_id)
            due += PIECE_BYTES / 16000 / VOICE_SPEED


async def talk(websocket: WebSocket, options: argparse.Namespace) -> None:
    await websocket.accept()
    await websocket.receive_text()  # connected
    start = json.loads(await websocket.receive_text())["start"]
    transport = FastAPIWebsocketTransport(
        websocket=websocket,
        params=FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            add_wav_header=False,
            serializer=TwilioFrameSerializer(
                stream_sid=start["streamSid"],
                call_sid=start["callSid"],
                params=TwilioFrameSerializer.InputParams(auto_hang_up=False),
            ),
        ),
    )
    strategies = None
    if options.turns == "silence":
        strategies = UserTurnStrategies(stop=[SpeechTimeoutUserTurnStopStrategy()])
    user, assistant = LLMContextAggregatorPair(
        LLMContext(),
        user_params=LLMUserAggregatorParams(
            vad_analyzer=SileroVADAnalyzer(), user_turn_strategies=strategies
        ),
    )
    voice = Voice(TextAggregationMode(options.aggregation))
    pipeline = Pipeline(
        [transport.input(), Transcript(), user, Model(), voice, transport.output(), assistant]
    )
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
    )

    @transport.event_handler("on_client_disconnected")
    async def on_client_disconnected(transport, client) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--turns", choices=("smart-turn", "silence"), default="smart-turn")
    parser.add_argument("--aggregation", choices=("sentence", "token"), default="sentence")
    options = parser.parse_args()
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    app = FastAPI()

    @app.get("/healthz")
    async def healthz() -> dict[str, bool]:
        return {"ok": True}

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await talk(websocket, options)

    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", loop="uvloop")


if __name__ == "__main__":
    main()
