"""How long a silence ends a turn, by two witnesses: how sure the end-of-turn model is, and what
the last words promise.

The model hears how the voice falls, and knows little of the language; a transcriber's words show a
sentence that cannot end there, and know nothing of the voice. Where the model has no opinion the
words alone say how long to wait (`silence_needed_ms`); a model that is sure that the caller goes
on doubles it, one that is sure of the end leaves nothing of it. But words that cannot be the last
are given half of their time whatever the model says, because it takes many a half sentence for a
whole one (docs/performance-speech.md), and a number, which may be all there, a quarter. Nor does
a number wait longer for a model that hears no end: it hears none in most that are read out.

Two things are learnt in the call. How many digits the agent asked for: a number that has them is
whole. And whether the transcriber puts a mark behind what callers say unasked: then words without
one are half a sentence.

A transcriber that is asked for final words in the middle of a sentence often puts a full stop
there. Such a stop is worth little, unless it had been there before it was asked.
"""

from __future__ import annotations

from chorus.talk.text.endings import (
    CLOSED_MS,
    FINISHED_MS,
    NUMBER_MS,
    OPEN_MS,
    PARTIAL_MS,
    PLAIN_MS,
    UNMARKED_MS,
    silence_needed_ms,
    trails_off,
)

SURE = 2.0
"""A yes that no words call into question: a transcriber's own, which has heard both."""
NO_OPINION = 0.5
_LEAST = {OPEN_MS: 0.5, UNMARKED_MS: 0.8, NUMBER_MS: 0.25, CLOSED_MS: 0.25, PARTIAL_MS: 0.5}
_MOST = {UNMARKED_MS: 1.0, NUMBER_MS: 1.0, CLOSED_MS: 1.0, PARTIAL_MS: 1.5}
_FORCED_MS = (FINISHED_MS + PLAIN_MS) // 2


def sureness(probability: float, threshold: float) -> float:
    """`probability` on a scale where the threshold, of whichever model, is one half: 0 to 1.
    `threshold` is above 0 and below 1."""
    if probability < threshold:
        return 0.5 * probability / threshold
    return 0.5 + 0.5 * (probability - threshold) / (1 - threshold)


def enough_ms(
    sure: float,
    text: str,
    language: str | None,
    *,
    forced: bool,
    digits: int | None = None,
    marked: bool = False,
) -> float:
    """The silence that ends a turn with this text so far, for `sure` as `sureness` has it.
    `forced`: the mark at its end, if there is one, was written because final words were asked for.
    `digits` and `marked`: see `silence_needed_ms`."""
    if sure >= SURE:
        return 0.0
    words_ms = silence_needed_ms(text, language, digits=digits, marked=marked)
    bare = text.rstrip(". ")
    if forced and words_ms in (FINISHED_MS, CLOSED_MS) and bare != text:
        bare_ms = silence_needed_ms(bare, language, digits=digits)
        words_ms = bare_ms if bare_ms > PLAIN_MS else _FORCED_MS
    least = _LEAST.get(words_ms, 0.0)
    if words_ms == OPEN_MS and language is None and not trails_off(text):
        least = 0.0  # "want" is "because" in Dutch: a sure model knows better
    return words_ms * min(max(2 * (1 - sure), least), _MOST.get(words_ms, 2.0))
