"""`python -m bench.answered`: who answered, and how often that is found out wrongly.

People and machines of `bench/greetings.py`, spoken by synthetic voices and by recorded people, in
the band of a telephone, after the silences and with the beeps that there are. Sound goes through
the voice detector and the local transcriber of this machine, at the times at which a call would
feed them; what they say goes to the judge (`talk/answered/`) on a virtual clock, with the words
`WORDS_MS` late. What was transcribed is kept beside the material, by the sound's hash.

Stated are both errors: a person who is taken for a machine (hung up on, or left waiting for a
beep), and a machine that is taken for a person (talked at); and how much speech it took.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
import wave
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from scripts.material import CACHE, MODELS, SPEECH

from bench import greetings
from bench.prompts import RATE_HZ, Floats, pcm16, samples, silence, telephone, to_16k
from bench.report import write_into
from chorus.audio.codec import decode
from chorus.audio.frame import MULAW_8K
from chorus.speech.engines import VAD_FRAME_MS, VoiceStyle
from chorus.speech.models import find_model
from chorus.speech.stt.whisper_model import WhisperModel
from chorus.speech.threads import ModelThreads
from chorus.speech.tts.espeak import EspeakVoice
from chorus.speech.tts.piper import PiperVoice
from chorus.speech.vad.silero import SileroDetector
from chorus.talk.answered.judge import Judge
from chorus.talk.answered.tones import Tones
from chorus.talk.answered.verdict import Verdict
from chorus.talk.answered.words import phrases
from chorus.talk.hearing import VoiceGate

Label = Literal["person", "mailbox", "menu", "unavailable", "screening"]
LABELS: tuple[Label, ...] = ("person", "mailbox", "menu", "unavailable", "screening")
VOICES = {"en": ("en-us", "en-gb", "joe"), "de": ("de",), "es": ("es",), "fr": ("fr-fr",)}
SPEEDS = {"person": (1.0, 1.25), "mailbox": (1.0,), "menu": (1.0,)}
JOE = "en_US-joe-medium"
LEAD_MS = (300, 900, 1600)
TAIL_MS = 2500
AT_ONCE = 32
WORDS_MS = 300.0
IN_TIME_MS = 2500.0
FINAL_AFTER_MS = 96
INTERIM_MS = (1100, 1700, 2300, 3500)
"""Of speech: where the local transcriber is asked for words before the end; a hosted one tells more
often."""
KEPT = CACHE / "answered.json"
_BEGIN, _END = "<!-- bench-answered: begin -->", "<!-- bench-answered: end -->"
_FOLDERS = {
    "en": "en_US_f_Allison",
    "es": "es_MX_f_Allison",
    "fr": "fr_CA_f_June",
    "it": "it_IT_m_Carlo",
    "ru": "ru_RU_f_IvrvoiceRU",
}


@dataclass(slots=True)
class Clip:
    """`audio` is what the line delivers from the answer on, at 8 kHz. `voices`: recorded people or
    a synthetic voice."""

    label: Label
    language: str
    name: str
    voices: Literal["recorded", "synthetic"]
    audio: Floats
    voiced: list[bool] = field(default_factory=list[bool])
    words: list[tuple[float, float, str, bool]] = field(
        default_factory=list[tuple[float, float, str, bool]]
    )
    """When they are known, up to where they listened, the text, and whether it is final."""


@dataclass(frozen=True, slots=True)
class Result:
    """`first` is the first verdict, `last` the one that stood at the end. When the first was there,
    `spoken_ms` had passed since the first sound, and `silent_ms` since the last one."""

    clip: Clip
    first: Verdict | None
    last: Verdict | None
    spoken_ms: float
    silent_ms: float


# --- the material -----------------------------------------------------------------------------


async def clips() -> list[Clip]:
    made = [clip async for clip in _spoken()]
    made += list(_recorded())
    for number, clip in enumerate(made):
        lead = silence(LEAD_MS[number % len(LEAD_MS)])
        clip.audio = np.concatenate([lead, clip.audio])
    return made


async def _spoken():
    espeak = EspeakVoice()
    threads = ModelThreads(1)
    joe = PiperVoice({JOE: MODELS / f"piper-{JOE}" / f"{JOE}.onnx"}, threads, espeak)
    tables: dict[Label, dict[str, tuple[str, ...]]] = {
        "person": greetings.PEOPLE,
        "mailbox": greetings.MAILBOXES,
        "menu": greetings.MENUS,
        "unavailable": greetings.UNAVAILABLE,
        "screening": greetings.SCREENINGS,
    }
    try:
        for label, table in tables.items():
            for language, texts in table.items():
                for voice in VOICES.get(language, (language,)):
                    for speed in SPEEDS.get(label, (1.0,)):
                        engine = joe if voice == "joe" else espeak
                        name = "" if voice == "joe" else voice
                        style = VoiceStyle(name, speed, 0.5, language)
                        for text in texts:
                            session = await engine.open(MULAW_8K, style)
                            pieces = [piece.audio async for piece in session.speak(_once(text))]
                            await session.aclose()
                            audio = telephone(samples(decode(MULAW_8K, b"".join(pieces))))
                            if label == "mailbox":
                                audio = np.concatenate([audio, silence(400), beep(1000, 400)])
                            audio = np.concatenate([audio, silence(TAIL_MS)])
                            yield Clip(label, language, f"{voice}: {text[:50]}", "synthetic", audio)
    finally:
        await threads.aclose()
        await espeak.aclose()


async def _once(text: str):
    yield text


def _recorded() -> Iterator[Clip]:
    for label in LABELS:
        for language, folder in _FOLDERS.items():
            sequences = greetings.RECORDED.get(label, {})
            for names in (*sequences.get("*", ()), *sequences.get(language, ())):
                pieces = [_read(SPEECH / "usr/share/asterisk/sounds" / folder, n) for n in names]
                if any(piece is None for piece in pieces):
                    continue
                audio = telephone(np.concatenate([p for p in pieces if p is not None]))
                if label == "mailbox":
                    audio = np.concatenate([audio, silence(300), beep(440, 500)])
                audio = np.concatenate([audio, silence(TAIL_MS)])
                yield Clip(label, language, f"people: {'+'.join(names)}", "recorded", audio)


def _read(folder: Path, name: str) -> Floats | None:
    path = folder / f"{name}.wav"
    if not path.exists():
        return None
    with wave.open(str(path)) as file:
        return samples(file.readframes(file.getnframes()))


def beep(hz: float, ms: float) -> Floats:
    at = np.arange(int(RATE_HZ * ms / 1000)) / RATE_HZ
    return telephone((0.3 * np.sin(2 * np.pi * hz * at)).astype(np.float32))


# --- hearing it -------------------------------------------------------------------------------


async def hear(made: list[Clip]) -> None:
    """What the detector and the transcriber make of each clip."""
    path = find_model("silero_vad")
    assert path is not None
    detector = SileroDetector(path)
    try:
        for at in range(0, len(made), AT_ONCE):  # the detector waits a moment for a batch
            some = made[at : at + AT_ONCE]
            heard = await asyncio.gather(*(_voiced(detector, clip.audio) for clip in some))
            for clip, voiced in zip(some, heard, strict=True):
                clip.voiced = voiced
    finally:
        await detector.aclose()
    kept: dict[str, str] = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    models: dict[str, WhisperModel] = {}
    for number, clip in enumerate(made):
        clip.words = list(_words(clip, kept, models))
        if number % 20 == 19:
            KEPT.write_text(json.dumps(kept, ensure_ascii=False), "utf-8")
            print(f"heard {number + 1} of {len(made)}", file=sys.stderr, flush=True)
    KEPT.write_text(json.dumps(kept, ensure_ascii=False), "utf-8")


async def _voiced(detector: SileroDetector, audio: Floats) -> list[bool]:
    heard: list[float] = []
    stream = detector.open(RATE_HZ, heard.append)
    pcm = pcm16(audio)
    size = RATE_HZ * VAD_FRAME_MS // 1000 * 2
    frames = [pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size)]
    for at in range(0, len(frames), 4):
        for frame in frames[at : at + 4]:
            stream.feed(frame)
        while len(heard) < min(at + 4, len(frames)):
            await asyncio.sleep(0.001)
    stream.close()
    gate = VoiceGate(0.35)
    return [gate.hear(p) for p in heard]


def _words(
    clip: Clip, kept: dict[str, str], models: dict[str, WhisperModel]
) -> Iterator[tuple[float, float, str, bool]]:
    """Interims while somebody speaks, a final at each pause, as the local transcriber does."""
    onset: float | None = None
    silent = 0.0
    asked = 0
    for number, voiced in enumerate(clip.voiced):
        now = (number + 1) * float(VAD_FRAME_MS)
        if voiced:
            silent = 0.0
            if onset is None:
                onset, asked = now - VAD_FRAME_MS, 0
            elif asked < len(INTERIM_MS) and now - onset >= INTERIM_MS[asked]:
                asked += 1
                text = _decoded(clip, onset, now, kept, models)
                yield now + WORDS_MS, now, text, False
        elif onset is not None:
            silent += VAD_FRAME_MS
            if silent >= FINAL_AFTER_MS:
                text = _decoded(clip, onset, now, kept, models)
                yield now + WORDS_MS, now, text, True
                onset = None


def _decoded(
    clip: Clip, begin: float, end: float, kept: dict[str, str], models: dict[str, WhisperModel]
) -> str:
    audio = clip.audio[max(0, int((begin - 200) * RATE_HZ / 1000)) : int(end * RATE_HZ / 1000)]
    name = "whisper-tiny.en" if clip.language == "en" else "whisper-base"
    key = hashlib.sha256(name.encode() + clip.language.encode() + pcm16(audio)).hexdigest()[:24]
    if key not in kept:
        model = models.get(name) or models.setdefault(name, WhisperModel(MODELS / name))
        kept[key] = model.decode(to_16k(audio), (clip.language,)).text
    return kept[key]


# --- judging ----------------------------------------------------------------------------------


def judge(clip: Clip) -> Result:
    judged = Judge(phrases([clip.language]))
    tones = Tones(RATE_HZ)
    pcm = pcm16(clip.audio)
    size = RATE_HZ * VAD_FRAME_MS // 1000 * 2
    waiting = list(clip.words)
    first: Verdict | None = None
    spoken = silent = 0.0
    began: float | None = None
    voice = 0.0
    for number, voiced in enumerate(clip.voiced):
        now = (number + 1) * float(VAD_FRAME_MS)
        began = now if began is None and voiced else began
        voice = now if voiced else voice
        while waiting and waiting[0][0] <= now:
            _, to, text, final = waiting.pop(0)
            judged.words(text, final=final, heard_to=to, now=now)
        for tone in tones.feed(pcm[number * size : (number + 1) * size]):
            judged.tone(tone, now)
        judged.frame(voiced, now, VAD_FRAME_MS)
        if first is None and judged.verdict is not None:
            first = judged.verdict
            spoken, silent = now - (began or now), now - voice
    return Result(clip, first, judged.verdict, spoken, silent)


def table(results: list[Result]) -> list[str]:
    rows = [
        "| heard | clips | taken for a person | for a machine | of these, for the right one "
        "| decided after, median | p95 |",
        "|---|---|---|---|---|---|---|",
    ]
    by: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        by[result.clip.label, "all"].append(result)
        by[result.clip.label, result.clip.voices].append(result)
    for label in LABELS:
        for voices in ("all", "recorded", "synthetic"):
            found = by[label, voices]
            if not found or (voices != "all" and len(found) == len(by[label, "all"])):
                continue
            persons = sum(_is_person(r.last) for r in found)
            right = sum(r.last is not None and r.last.who == label for r in found)
            spoken = [r.spoken_ms / 1000 for r in found]
            machines = len(found) - persons
            rows.append(
                f"| {label}, {voices} | {len(found)} | {persons / len(found):.1%} "
                f"| {machines / len(found):.1%} | {right} "
                f"| {np.median(spoken):.1f} s | {np.percentile(spoken, 95):.1f} s |"
            )
    people = by["person", "all"]
    others = [r for r in results if r.clip.label != "person"]
    wrong = sum(not _is_person(r.last) or not _is_person(r.first) for r in people)
    missed = sum(_is_person(r.last) for r in others)
    talked = sum(_is_person(r.first) for r in others)
    waited = [r.silent_ms / 1000 for r in people]
    in_time, people_in_time, others_in_time = (
        sum(r.spoken_ms <= IN_TIME_MS for r in some) for some in (results, people, others)
    )
    rows += [
        "",
        f"A person was taken for a machine, at any moment, in {wrong} of {len(people)} clips "
        f"({wrong / len(people):.1%}). A machine was taken for a person in {missed} of "
        f"{len(others)} ({missed / len(others):.1%}), and at first, for a moment, in {talked} "
        f"({talked / len(others):.1%}). Within 2.5 s of the first sound {in_time} of "
        f"{len(results)} were decided ({in_time / len(results):.0%}): {people_in_time} of "
        f"{len(people)} people ({people_in_time / len(people):.0%}) and {others_in_time} of "
        f"{len(others)} machines ({others_in_time / len(others):.0%}). A person who had fallen "
        f"silent waited {np.median(waited):.2f} s for it (p95 {np.percentile(waited, 95):.2f} s, "
        f"at most {max(waited):.2f} s).",
    ]
    return rows


def _is_person(verdict: Verdict | None) -> bool:
    return verdict is None or verdict.who in ("person", "silence")


async def run(options: argparse.Namespace) -> int:
    made = await clips()
    await hear(made)
    results = [judge(clip) for clip in made]
    if options.wrong:
        for r in results:
            if _is_person(r.last) != (r.clip.label == "person") or (
                r.clip.label == "person" and not _is_person(r.first)
            ):
                print(r.clip.label, r.clip.language, r.clip.name, r.first, r.last)
                print("   ", [text for *_, text, _final in r.clip.words])
    lines = [*table(results), ""]
    print("\n".join(lines))
    if options.write:
        text = "\n" + "\n".join(lines).rstrip("\n") + "\n"
        write_into(options.write, text, _BEGIN, _END)
    return 0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="who answered: both errors, on made greetings")
    parser.add_argument("--write", type=Path, help="the document to put the table into")
    parser.add_argument("--wrong", action="store_true", help="show what was judged wrongly")
    return asyncio.run(run(parser.parse_args(arguments)))


if __name__ == "__main__":
    if not (SPEECH.exists() and MODELS.exists()):
        sys.exit("no models and recordings: run scripts/material.py first")
    sys.exit(main(sys.argv[1:]))
