"""Expected phrases, as a script's: PocketSphinx, which can listen for nothing else, against
Whisper, which writes down whatever it hears and of whose words the nearest phrase is taken.

Recorded people say short prompts; half of the prompts are expected, the others are not, and those
should be taken for none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from difflib import SequenceMatcher

import numpy as np
from scripts.material import MODELS

from bench.prompts import RATE_HZ, Floats, pcm16, prompts, to_16k, written
from chorus.audio import codec
from chorus.audio.frame import MULAW_8K
from chorus.speech.stt.pocketsphinx_worker import Ear
from chorus.speech.stt.whisper_model import WhisperModel

_LONGEST_S = 3.5
_NEAR = 0.75


def phrases(count: int) -> list[str]:
    said = [p for p in prompts("en", least_words=2) if len(p.audio) < _LONGEST_S * RATE_HZ]
    said = [*{tuple(written(p.text, "en")): p for p in said}.values()][:count]
    texts = [" ".join(written(p.text, "en")) for p in said]
    expected = tuple(texts[::2])
    rows = [
        f"| of {len(texts)} utterances, {len(expected)} expected phrases | expected: understood "
        "| taken for another | others: taken for a phrase | CPU an utterance |",
        "|---" * 5 + "|",
    ]
    ears: tuple[tuple[str, Callable[[Floats], str]], ...] = (
        ("PocketSphinx, with the phrases as its grammar", _sphinx(expected)),
        ("Whisper tiny.en, the nearest phrase", _whisper(expected)),
    )
    for name, hear in ears:
        right = wrong = false = 0
        took: list[float] = []
        for text, prompt in zip(texts, said, strict=True):
            began = time.process_time()
            heard = hear(prompt.audio)
            took.append((time.process_time() - began) * 1000)
            if text in expected:
                right += heard == text
                wrong += heard not in ("", text)
            else:
                false += heard != ""
        rows.append(
            f"| {name} | {right / len(expected):.0%} | {wrong / len(expected):.0%} "
            f"| {false / (len(texts) - len(expected)):.0%} | {np.median(took):.0f} ms |"
        )
    return rows


def _sphinx(expected: tuple[str, ...]) -> Callable[[Floats], str]:
    ear = Ear()

    def hear(audio: Floats) -> str:
        ear.begin(MULAW_8K, expected)
        mulaw = codec.encode(MULAW_8K, pcm16(audio))
        for at in range(0, len(mulaw), 160):
            ear.hear(mulaw[at : at + 160])
        return " ".join(written(ear.finish()["text"], "en"))

    return hear


def _whisper(expected: tuple[str, ...]) -> Callable[[Floats], str]:
    model = WhisperModel(MODELS / "whisper-tiny.en")

    def hear(audio: Floats) -> str:
        heard = written(model.decode(to_16k(audio)).text, "en")

        def likeness(phrase: str) -> float:
            return SequenceMatcher(None, phrase.split(), heard).ratio()

        best = max(expected, key=likeness)
        return best if likeness(best) >= _NEAR else ""

    return hear
