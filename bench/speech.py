"""`make bench-speech`: how well and how fast this machine's engines hear, speak and judge turns.

Recorded people (`bench/prompts.py`), in the band of a telephone. Each part prints one table, which
`--write` puts into the documentation. Times are processor time of one core, which another load
on the machine makes longer; the models run on one thread.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
from scripts.material import LANGUAGES, MODELS, SPEECH

from bench.prompts import (
    RATE_HZ,
    Floats,
    Prompt,
    pcm16,
    prompts,
    samples,
    silence,
    telephone,
    to_16k,
    word_errors,
)
from chorus.audio import codec
from chorus.audio.frame import MULAW_8K
from chorus.speech.engines import Heard, VoiceStyle
from chorus.speech.eot.smart_turn import SmartTurn
from chorus.speech.eot.smart_turn_model import SmartTurnModel, end_of
from chorus.speech.models import find_model
from chorus.speech.stt.whisper_model import WhisperModel
from chorus.speech.threads import ModelThreads
from chorus.speech.tts.espeak import EspeakVoice
from chorus.speech.tts.piper import PiperVoice

JOE = "en_US-joe-medium"
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
    parser = argparse.ArgumentParser(description="the local engines, on recorded people")
    parser.add_argument("--count", type=int, default=60, help="prompts a language")
    parser.add_argument("--write", type=Path, help="the document to put the tables into")
    parser.add_argument("--only", choices=("hearing", "halves", "speaking", "turns"))
    options = parser.parse_args(arguments)
    parts: dict[str, Callable[[int], list[str]]] = {
        "hearing": hearing,
        "halves": halves,
        "speaking": speaking,
        "turns": turns,
    }
    lines: list[str] = []
    for name, part in parts.items():
        if options.only in (None, name):
            table = [*part(options.count), ""]
            print("\n".join(table), flush=True)
            lines += table
    if options.write:
        text = options.write.read_text("utf-8")
        head, _, rest = text.partition(_BEGIN)
        _, _, tail = rest.partition(_END)
        options.write.write_text(
            f"{head}{_BEGIN}\n\n" + "\n".join(lines) + f"{_END}{tail}", "utf-8"
        )
    return 0


def hearing(count: int) -> list[str]:
    rows = [
        "| Whisper | language | condition | words | wrong | CPU an utterance | p95 |",
        "|---|---|---|---|---|---|---|",
    ]
    for size, language, noises in (
        ("tiny.en", "en", (None, "street", "babble")),
        *(("base", language, (None,)) for language in LANGUAGES),
    ):
        model = WhisperModel(MODELS / f"whisper-{size}")
        said = prompts(language, count=count if size == "tiny.en" else max(10, count // 3))
        for noise in noises:
            for level_db in (10, 5, 0) if noise else (None,):
                audio = [p.audio if noise is None else noisy(p, noise, level_db or 0) for p in said]
                took, pairs = list[float](), list[tuple[str, str]]()
                for prompt, heard in zip(said, audio, strict=True):
                    began = time.process_time()
                    text = model.decode(to_16k(heard), (language,))
                    took.append((time.process_time() - began) * 1000)
                    pairs.append((prompt.text, text.text))
                wrong, words = word_errors(pairs, language)
                condition = "clean" if noise is None else f"{noise}, {level_db} dB"
                rows.append(
                    f"| {size} | {language} | {condition} | {words} | {wrong / words:.1%} "
                    f"| {np.median(took):.0f} ms | {np.percentile(took, 95):.0f} ms |"
                )
    return rows


def noisy(prompt: Prompt, kind: str, level_db: float) -> Floats:
    """Street: low noise that comes and goes. Babble: four other people's prompts over each other.
    Then through the telephone again."""
    random = np.random.default_rng(len(prompt.audio))
    length = len(prompt.audio)
    if kind == "street":
        white = np.fft.rfft(random.normal(0, 1, length))
        hz = np.fft.rfftfreq(length, 1 / RATE_HZ)
        noise = np.fft.irfft(white / np.sqrt(np.maximum(hz, 60)), length)
        noise *= 1 + 0.5 * np.sin(2 * np.pi * 0.4 * np.arange(length) / RATE_HZ)
    else:
        others = [p.audio for p in prompts("en", count=40, seed=7) if p.name != prompt.name][:4]
        noise = sum(np.resize(other, length) for other in others)
    noise = np.asarray(noise, np.float32)
    speech_power = float((prompt.audio**2).mean())
    gain = np.sqrt(speech_power / float((noise**2).mean()) / 10 ** (level_db / 10))
    return telephone((prompt.audio + gain * noise).astype(np.float32))


def halves(count: int) -> list[str]:
    """A pause inside a sentence: what is understood of its two halves."""
    model = WhisperModel(MODELS / "whisper-tiny.en")
    apart, joined, whole = [list[tuple[str, str]]() for _ in range(3)]
    for prompt in prompts("en", count=count):
        if len(prompt.audio) < 2 * RATE_HZ:
            continue
        at = quietest(prompt.audio)
        before, behind = prompt.audio[:at], prompt.audio[at:]
        first = model.decode(to_16k(np.concatenate([before, silence(100)])))
        second = model.decode(to_16k(np.concatenate([silence(200), behind])))
        both = to_16k(np.concatenate([before, silence(400), behind]))
        with_first = model.decode(both, said=model.open_end(first.tokens))
        apart.append((prompt.text, f"{first.text} {second.text}"))
        joined.append((prompt.text, f"{first.text} {with_first.text}"))
        whole.append((prompt.text, model.decode(to_16k(prompt.audio)).text))
    rows = ["| a sentence with a pause in it | words wrong |", "|---|---|"]
    for name, pairs in (
        ("each half by itself", apart),
        ("the second half with the first (what a call does)", joined),
        ("without the pause", whole),
    ):
        wrong, words = word_errors(pairs)
        rows.append(f"| {name} | {wrong / words:.1%} of {words} |")
    return rows


def quietest(audio: Floats) -> int:
    """The quietest place in its middle third."""
    level = np.convolve(audio * audio, np.ones(800) / 800, "same")
    low, high = int(len(audio) * 0.35), int(len(audio) * 0.7)
    return low + int(np.argmin(level[low:high]))


def speaking(_: int) -> list[str]:
    return asyncio.run(_speaking())


async def _speaking() -> list[str]:
    threads, espeak = ModelThreads(1), EspeakVoice()
    path = MODELS / f"piper-{JOE}" / f"{JOE}.onnx"
    hears = WhisperModel(MODELS / "whisper-tiny.en")
    rows = [
        "| voice | first audio p50 | p95 | real-time factor | words wrong when heard again |",
        "|---|---|---|---|---|",
    ]
    try:
        for voice, name in (
            (PiperVoice({JOE: path}, threads, espeak), f"Piper {JOE}"),
            (espeak, "espeak-ng en-us"),
        ):
            session = await voice.open(MULAW_8K, VoiceStyle())
            first, spoken_s, took_s = list[float](), 0.0, 0.0
            pairs: list[tuple[str, str]] = []
            for sentence in (_SENTENCES[0], *_SENTENCES):
                began, cpu = time.monotonic(), time.process_time()
                pieces: list[bytes] = []
                async for piece in session.speak(_once(sentence)):
                    if not pieces:
                        first.append((time.monotonic() - began) * 1000)
                    pieces.append(piece.audio)
                took_s += time.process_time() - cpu
                audio = b"".join(pieces)
                spoken_s += MULAW_8K.ms(len(audio)) / 1000
                heard = hears.decode(to_16k(samples(codec.decode(MULAW_8K, audio))))
                pairs.append((sentence, heard.text))
            wrong, words = word_errors(pairs[1:])
            rows.append(
                f"| {name} | {np.median(first[1:]):.0f} ms | {np.percentile(first[1:], 95):.0f} ms "
                f"| {took_s / spoken_s:.3f} | {wrong / words:.1%} of {words} |"
            )
    finally:
        await threads.aclose()
        await espeak.aclose()
    return rows


async def _once(text: str) -> AsyncIterator[str]:
    yield text


def turns(count: int) -> list[str]:
    """Whole sentences, and the same cut in their middle: a sentence that was
    taken for unfinished keeps the caller waiting; a cut one that was taken for whole cuts them
    short."""
    model_path = find_model("smart_turn")
    assert model_path is not None
    model = SmartTurnModel(model_path)
    rows = [
        "| language | sentences | silence | kept waiting | cut short | CPU a verdict |",
        "|---|---|---|---|---|---|",
    ]
    for language in LANGUAGES:
        said = single_sentences(language)[:count]
        for tail_ms in (200, 500):
            waits = short = 0
            cpu = time.process_time()
            for prompt in said:
                at = between_words(prompt.audio)
                whole, cut = _loud(prompt.audio), _loud(prompt.audio[:at])
                waits += _judge(model, whole, tail_ms) < SmartTurn.threshold
                short += _judge(model, cut, tail_ms) >= SmartTurn.threshold
            each_ms = (time.process_time() - cpu) * 1000 / (2 * len(said))
            rows.append(
                f"| {language} | {len(said)} | {tail_ms} ms | {waits / len(said):.0%} "
                f"| {short / len(said):.0%} | {each_ms:.0f} ms |"
            )
    return rows


def single_sentences(language: str) -> list[Prompt]:
    """Prompts with no mark inside, whose middle is therefore no end."""
    return [
        p
        for p in prompts(language)
        if len(p.audio) > 1.5 * RATE_HZ and not re.search(r"[.,;:!?]\s*\S", p.text)
    ]


def between_words(audio: Floats) -> int:
    """The quietest 20 ms within 150 ms of a little behind the middle."""
    level = np.convolve(audio * audio, np.ones(160) / 160, "same")
    middle, near = int(len(audio) * 0.55), int(0.15 * RATE_HZ)
    return middle - near + int(np.argmin(level[middle - near : middle + near]))


def _loud(audio: Floats) -> Floats:
    """Up to the last speech in it."""
    level = np.sqrt(np.convolve(audio * audio, np.ones(80) / 80, "same"))
    loud = np.flatnonzero(level > 0.006)
    return audio[: loud[-1] + 240] if len(loud) else audio


def _judge(model: SmartTurnModel, audio: Floats, tail_ms: float) -> float:
    quiet = np.random.default_rng(0).normal(0, 10 ** (-65 / 20), int(RATE_HZ * tail_ms / 1000))
    pcm = pcm16(np.concatenate([audio, quiet.astype(np.float32)]))
    return model.completeness(end_of(Heard(pcm, RATE_HZ, "", tail_ms)), RATE_HZ)


if __name__ == "__main__":
    if not (SPEECH.exists() and MODELS.exists()):
        sys.exit("no models and recordings: run scripts/material.py first")
    sys.exit(main(sys.argv[1:]))
