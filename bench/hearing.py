"""What Whisper makes of recorded people: words wrong, in noise too, what a pause inside a sentence
costs, and how long the final words take."""

from __future__ import annotations

import asyncio
import time

import numpy as np
from scripts.material import LANGUAGES, MODELS

from bench.prompts import (
    RATE_HZ,
    Floats,
    Prompt,
    pcm16,
    prompts,
    silence,
    telephone,
    to_16k,
    word_errors,
)
from chorus.audio import codec
from chorus.audio.frame import MULAW_8K
from chorus.speech.engines import Hints, Words
from chorus.speech.stt.whisper import Whisper
from chorus.speech.stt.whisper_model import WhisperModel
from chorus.speech.threads import ModelThreads

NOISES = ("street", "babble")
LEVELS_DB = (10, 5, 0)


def hearing(count: int) -> list[str]:
    rows = [
        "| Whisper | language | condition | words | wrong | CPU an utterance | p95 |",
        "|---|---|---|---|---|---|---|",
    ]
    for size, language, noises in (
        ("tiny.en", "en", (None, *NOISES)),
        *(("base", language, (None,)) for language in LANGUAGES),
    ):
        model = WhisperModel(MODELS / f"whisper-{size}")
        said = prompts(language, count=count if size == "tiny.en" else max(10, count // 3))
        for noise in noises:
            for level_db in LEVELS_DB if noise else (None,):
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


def finalizing(count: int) -> list[str]:
    return asyncio.run(_finalizing(max(5, count // 4)))


async def _finalizing(count: int) -> list[str]:
    """From `finalize`, as a call asks after 96 ms of silence, to the final words: an idle process,
    one thread, µ-law as it comes from the line."""
    rows = [
        "| Whisper | speech | final words p50 | p95 | of it processor time, p50 |",
        "|---" * 5 + "|",
    ]
    for size in ("tiny.en", "base"):
        threads = ModelThreads(1)
        engine = Whisper(MODELS / f"whisper-{size}", threads, interims=False)
        await engine.warm()
        try:
            for seconds in (1, 2, 4, 8):
                least = int(seconds * RATE_HZ)
                cut = [p.audio[-least:] for p in prompts("en") if len(p.audio) > least][:count]
                took = [await _final(engine, audio) for audio in cut]
                walls, cpus = zip(*took, strict=True)
                rows.append(
                    f"| {size} | {seconds} s | {np.median(walls):.0f} ms "
                    f"| {np.percentile(walls, 95):.0f} ms | {np.median(cpus):.0f} ms |"
                )
        finally:
            await threads.aclose()
    return rows


async def _final(engine: Whisper, audio: Floats) -> tuple[float, float]:
    """Milliseconds of the clock and of the processor."""
    final = asyncio.Event()

    def on_words(words: Words) -> None:
        if words.final:
            final.set()

    stream = await engine.open(MULAW_8K, Hints(("en",)), on_words, print)
    stream.speech_started(0)
    stream.feed(codec.encode(MULAW_8K, pcm16(np.concatenate([audio, silence(96)]))))
    began, cpu = time.monotonic(), time.process_time()
    stream.finalize()
    await final.wait()
    took = (time.monotonic() - began) * 1000, (time.process_time() - cpu) * 1000
    await stream.close()
    return took
