"""`make bench-speech`: how well and how fast this machine's engines hear, speak and judge turns.

Recorded people (`bench/prompts.py`), in the band of a telephone. Each part prints one table, which
`--write` puts into the documentation. Times are processor time of one core, which another load
on the machine makes longer; the models run on one thread.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shlex
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scripts.material import MODELS, SPEECH

from bench import calls_local, noise
from bench.endings import turns
from bench.hearing import finalizing, halves, hearing
from bench.phrases import phrases
from bench.prompts import samples, to_16k, word_errors
from bench.report import write_into
from chorus.audio import codec
from chorus.audio.frame import MULAW_8K
from chorus.speech.engines import VoiceStyle
from chorus.speech.stt.whisper_model import WhisperModel
from chorus.speech.threads import ModelThreads
from chorus.speech.tts.espeak import EspeakVoice
from chorus.speech.tts.piper import PiperVoice

JOE = "en_US-joe-medium"
CALLS, CALL_SECONDS = (1, 4, 8), 25.0
_SENTENCES = (
    "Thank you for calling, how can I help you today?",
    "Your appointment is on Friday at half past ten.",
    "I am sorry, I did not catch that. Could you say it again?",
    "The order was sent this morning and should arrive tomorrow.",
    "May I have your name and your telephone number, please?",
    "We are open from nine to five, Monday through Friday.",
    "One moment, I will look that up for you.",
    "Is there anything else that I can do for you?",
)
_BEGIN, _END = "<!-- bench-speech: begin -->", "<!-- bench-speech: end -->"


def main(arguments: list[str]) -> int:
    parts: dict[str, Part] = {**SIDE_BY_SIDE, **ALONE}
    parser = argparse.ArgumentParser(description="the local engines, on recorded people")
    parser.add_argument("--count", type=int, default=40, help="prompts a language")
    parser.add_argument("--write", type=Path, help="the document to put the tables into")
    parser.add_argument("--only", choices=tuple(parts), help="one part")
    options = parser.parse_args(arguments)
    command = shlex.join(["python", "-m", "bench.speech", *arguments])
    lines = [circumstances(command), ""]
    print(lines[0], flush=True)
    wanted = [options.only] if options.only else list(parts)
    for table in tables(wanted, options.count):
        print("\n".join(table), flush=True)
        lines += table
    if options.write:
        text = "\n" + "\n".join(lines).rstrip("\n") + "\n"
        write_into(options.write, text, _BEGIN, _END)
    return 0


def tables(wanted: list[str], count: int) -> Iterator[list[str]]:
    """Those parts whose errors are the figure two at a time, each in a process of its own; then,
    while nothing else runs, those whose times are."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        begun = [pool.submit(SIDE_BY_SIDE[name], count) for name in wanted if name in SIDE_BY_SIDE]
        for part in begun:
            yield [*part.result(), ""]
    for name in wanted:
        if name in ALONE:
            yield [*ALONE[name](count), ""]


def calls(_: int) -> list[str]:
    return calls_local.tables(CALLS, CALL_SECONDS)


def circumstances(command: str) -> str:
    return (
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, "
        f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the beginning."
    )


def speaking(_: int) -> list[str]:
    return asyncio.run(_speaking())


async def _speaking() -> list[str]:
    threads, espeak = ModelThreads(1), EspeakVoice()
    path = MODELS / f"piper-{JOE}" / f"{JOE}.onnx"
    hears = WhisperModel(MODELS / "whisper-tiny.en")
    rows = [
        "| voice | first audio p50 | p95 | of it processor time, p50 | p95 "
        "| real-time factor | words wrong when heard again |",
        "|---" * 7 + "|",
    ]
    try:
        for voice, name in (
            (PiperVoice({JOE: path}, threads, espeak), f"Piper {JOE}"),
            (espeak, "espeak-ng en-us"),
        ):
            session = await voice.open(MULAW_8K, VoiceStyle())
            first, busy = list[float](), list[float]()
            spoken_s = took_s = 0.0
            pairs: list[tuple[str, str]] = []
            for sentence in (_SENTENCES[0], *_SENTENCES):
                began, cpu = time.monotonic(), time.process_time()
                pieces: list[bytes] = []
                async for piece in session.speak(_once(sentence)):
                    if not pieces:
                        first.append((time.monotonic() - began) * 1000)
                        busy.append((time.process_time() - cpu) * 1000)
                    pieces.append(piece.audio)
                took_s += time.process_time() - cpu
                audio = b"".join(pieces)
                spoken_s += MULAW_8K.ms(len(audio)) / 1000
                heard = hears.decode(to_16k(samples(codec.decode(MULAW_8K, audio))))
                pairs.append((sentence, heard.text))
            wrong, words = word_errors(pairs[1:])
            rows.append(
                f"| {name} | {np.median(first[1:]):.0f} ms | {np.percentile(first[1:], 95):.0f} ms "
                f"| {np.median(busy[1:]):.0f} ms | {np.percentile(busy[1:], 95):.0f} ms "
                f"| {took_s / spoken_s:.3f} | {wrong / words:.1%} of {words} |"
            )
    finally:
        await threads.aclose()
        await espeak.aclose()
    return rows


async def _once(text: str) -> AsyncIterator[str]:
    yield text


Part = Callable[[int], list[str]]
SIDE_BY_SIDE: dict[str, Part] = {
    "hearing": hearing,
    "noise": noise.tables,
    "turns": turns,
    "halves": halves,
    "phrases": phrases,
}
ALONE: dict[str, Part] = {"finalizing": finalizing, "speaking": speaking, "calls": calls}

if __name__ == "__main__":
    if not (SPEECH.exists() and MODELS.exists()):
        sys.exit("no models and recordings: run scripts/material.py first")
    sys.exit(main(sys.argv[1:]))
