"""Whisper as a call uses it, on recorded people: finals, interims, halves, order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from bench.prompts import Prompt, pcm16, prompts, silence, written
from scripts.material import MODELS
from tests.material import needs_model, needs_speech

from chorus.audio import codec
from chorus.audio.frame import MULAW_8K
from chorus.speech.engines import EngineFailed, Hints, Transcriber, Words
from chorus.speech.stt.whisper import Whisper, WhisperStream, is_unfinished
from chorus.speech.threads import ModelThreads

pytestmark = [needs_model("whisper-tiny.en"), needs_speech("en")]


def prompt(name: str) -> Prompt:
    [found] = [p for p in prompts("en") if p.name == name]
    return found


def mulaw(audio) -> bytes:
    return codec.encode(MULAW_8K, pcm16(audio))


class Call:
    def __init__(self, stream: WhisperStream, words: list[Words]) -> None:
        self.stream, self.words = stream, words

    def feed(self, audio) -> None:
        chunk = mulaw(audio)
        for at in range(0, len(chunk), 160):
            self.stream.feed(chunk[at : at + 160])

    async def finals(self, count: int) -> list[Words]:
        while len(found := [w for w in self.words if w.final]) < count:
            await asyncio.sleep(0.01)
        return found


def call(
    work: Callable[[Call], Awaitable[None]], *, language: str | None = None, interims: bool = False
) -> list[Words]:
    async def main() -> list[Words]:
        threads = ModelThreads(1)
        engine = Whisper(MODELS / "whisper-tiny.en", threads, interims=interims)
        checked: Transcriber = engine
        words: list[Words] = []
        failures: list[EngineFailed] = []
        hints = Hints(languages=(language,) if language else ())
        try:
            stream = await checked.open(MULAW_8K, hints, words.append, failures.append)
            async with asyncio.timeout(60):
                await work(Call(stream, words))
            await stream.close()
        finally:
            await threads.aclose()
        assert not failures
        return words

    return asyncio.run(main())


def test_final_words_where_they_ended_and_silence_in_its_turn():
    said = prompt("conf-extended")

    async def work(call: Call) -> None:
        call.feed(silence(1000))
        call.feed(said.audio[:2400])
        call.stream.speech_started(200)
        call.feed(said.audio[2400:])
        call.feed(silence(100))
        call.stream.finalize()
        call.stream.finalize()  # nothing was said since
        await call.finals(2)

    first, second = call(work)
    assert written(first.text, "en") == written(said.text, "en")
    fed_ms = 1000 + len(said.audio) / 8 + 100
    assert first.heard_to_ms == pytest.approx(fed_ms, abs=20)
    assert fed_ms - 400 < first.spoken_at_ms < fed_ms - 50
    assert (second.text, second.final) == ("", True)
    assert first.confidence is not None
    assert 0.3 < first.confidence <= 1


def test_a_pause_inside_a_sentence_does_not_cost_its_second_half():
    said = prompt("conf-extended")
    middle = len(said.audio) // 2

    async def work(call: Call) -> None:
        call.stream.speech_started(0)
        call.feed(said.audio[:middle])
        call.feed(silence(100))
        call.stream.finalize()
        await call.finals(1)
        call.feed(silence(300))
        call.stream.speech_started(0)
        call.feed(said.audio[middle:])
        call.feed(silence(100))
        call.stream.finalize()
        await call.finals(2)

    first, second = (w for w in call(work) if w.final)
    heard = written(f"{first.text} {second.text}", "en")
    assert heard[-1] == "extended"
    assert heard.count("conference") == 1


def test_words_while_the_caller_speaks_without_the_last():
    said = max((p for p in prompts("en", count=30)), key=lambda p: len(p.audio))

    async def work(call: Call) -> None:
        call.stream.speech_started(0)
        for at in range(0, len(said.audio), 4000):
            call.feed(said.audio[at : at + 4000])
            await asyncio.sleep(0.4)
        call.stream.finalize()
        await call.finals(1)

    words = call(work, interims=True)
    interims = [w for w in words if not w.final]
    assert interims
    final = written(words[-1].text, "en")
    half = written(interims[0].text, "en")
    assert half[:2] == final[:2]


def test_another_language_is_refused_with_a_sentence():
    async def work(call: Call) -> None:
        raise AssertionError("it was opened")

    with pytest.raises(EngineFailed, match="it knows English, not 'de-DE'"):
        call(work, language="de-DE")


def test_the_mark_between_two_sentences_begins_none():
    """The decoder is told the first without its full stop, and writes that first."""
    one, other = prompt("please-try-call-later"), prompt("conf-extended")

    async def work(call: Call) -> None:
        for count, said in enumerate((one, other), 1):
            call.stream.speech_started(0)
            call.feed(said.audio)
            call.feed(silence(100))
            call.stream.finalize()
            await call.finals(count)
            call.feed(silence(300))

    first, second = call(work)
    assert first.text.endswith(".")
    assert second.text[0].isalnum(), second.text


def timed(audio, after) -> tuple[list[tuple[float, Words]], float]:
    """Words with when they came after `finalize`, in milliseconds; `after(call)` follows it."""
    came: list[tuple[float, Words]] = []

    async def work(call: Call) -> None:
        loop = asyncio.get_running_loop()
        call.stream.speech_started(0)
        call.feed(audio)
        call.feed(silence(100))
        call.stream.finalize()
        seen = 0
        while not any(w.final for w in call.words):
            await asyncio.sleep(0.005)
            if len(call.words) > seen:
                seen = len(call.words)
                came.extend((loop.time() * 1000, w) for w in call.words[len(came) :])
                after(call)
        came.extend((loop.time() * 1000, w) for w in call.words[len(came) :])

    call(work)
    return came, came[-1][0] - came[0][0]


def test_words_without_a_mark_are_final_only_after_a_longer_silence():
    said = prompt("please-try-call-later")
    cut = said.audio[: int(len(said.audio) * 0.55)]
    (first, *_, last), between_ms = timed(cut, lambda _: None)
    assert not first[1].final
    assert last[1].final
    assert first[1].text == last[1].text
    assert 300 < between_ms < 1500
    # Whoever goes on has them at once, before what follows.
    _, between_ms = timed(cut, lambda call: call.stream.speech_started(0))
    assert between_ms < 100


@pytest.mark.parametrize(
    ("text", "language", "unfinished"),
    [
        ("Please try your call", "en", True),
        ("Please try your call...", "en", True),
        ("Please try your call again.", "en", False),
        ('He said "no."', "en", False),
        ("Quelle heure est-il ?", "fr", False),
        ("", "en", False),
        ("สวัสดีครับ", "th", False),
    ],
)
def test_what_has_no_mark(text: str, language: str, unfinished: bool):
    assert is_unfinished(Words(text, True, 0, 0, language=language)) is unfinished
