"""Whether the end of a turn is known: by Smart Turn, and with the mark that Whisper ends it with.

Whole sentences of recorded people, and the same cut in their middle. A whole one that was taken for
unfinished keeps the caller waiting; a cut one that was taken for whole cuts them short.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import numpy as np
from scripts.material import LANGUAGES, MODELS

from bench.prompts import RATE_HZ, Floats, Prompt, pcm16, prompts, silence, to_16k
from chorus.speech.engines import Heard, Words
from chorus.speech.eot.smart_turn import SmartTurn
from chorus.speech.eot.smart_turn_model import SmartTurnModel, end_of
from chorus.speech.models import find_model
from chorus.speech.stt.whisper import is_unfinished
from chorus.speech.stt.whisper_model import WhisperModel

TAIL_MS = 200.0
"""Of silence behind what was said; of a longer one the model is given as much."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """`whole`: it is no cut one. `marked`: Whisper ended it with a full stop or the like."""

    whole: bool
    probability: float
    marked: bool


def turns(count: int) -> list[str]:
    """At most a third of `count` sentences a language: Whisper hears each twice."""
    path = find_model("smart_turn")
    assert path is not None
    model = SmartTurnModel(path)
    rows = [
        "| language | sentences | kept waiting | cut short | with Whisper's mark: kept waiting "
        "| cut short | AUC | with the mark | CPU a verdict |",
        "|---" * 9 + "|",
    ]
    everything: list[_Judged] = []
    took_ms: list[float] = []
    for language in LANGUAGES:
        ears = WhisperModel(MODELS / ("whisper-tiny.en" if language == "en" else "whisper-base"))
        judged: list[_Judged] = []
        for prompt in single_sentences(language)[: max(10, count // 3)]:
            cut = prompt.audio[: between_words(prompt.audio)]
            for audio, whole in ((prompt.audio, True), (cut, False)):
                began = time.process_time()
                probability = _judge(model, _loud(audio))
                took_ms.append((time.process_time() - began) * 1000)
                heard = ears.decode(to_16k(np.concatenate([audio, silence(96)])), (language,))
                words = Words(heard.text, True, 0, 0, language=language)
                marked = bool(heard.text) and not is_unfinished(words)
                judged.append(_Judged(whole, probability, marked))
        rows.append(_row(language, judged, took_ms))
        everything += judged
    rows.append(_row("all", everything, took_ms))
    return rows


def _row(language: str, judged: list[_Judged], took_ms: list[float]) -> str:
    wholes = [j for j in judged if j.whole]
    cuts = [j for j in judged if not j.whole]

    def share(found: list[_Judged], *, over: bool, marked: bool) -> str:
        said = [
            (j.probability >= SmartTurn.threshold and (j.marked or not marked)) is over
            for j in found
        ]
        return f"{sum(said) / len(said):.0%}"

    def area(with_mark: bool) -> float:
        """Of a pair, how often the whole one is taken for the likelier to be over."""

        def score(j: _Judged) -> float:
            return j.probability + (0.3 * j.marked if with_mark else 0.0)

        pairs = [(score(w), score(c)) for w in wholes for c in cuts]
        return sum((w > c) + 0.5 * (w == c) for w, c in pairs) / len(pairs)

    cells = [language, str(len(wholes))]
    for marked in (False, True):
        cells += [
            share(wholes, over=False, marked=marked),
            share(cuts, over=True, marked=marked),
        ]
    cells += [f"{area(False):.3f}", f"{area(True):.3f}", f"{np.median(took_ms):.0f} ms"]
    return f"| {' | '.join(cells)} |"


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


def _judge(model: SmartTurnModel, audio: Floats) -> float:
    quiet = np.random.default_rng(0).normal(0, 10 ** (-65 / 20), int(RATE_HZ * TAIL_MS / 1000))
    pcm = pcm16(np.concatenate([audio, quiet.astype(np.float32)]))
    return model.completeness(end_of(Heard(pcm, RATE_HZ, "", TAIL_MS)), RATE_HZ)
