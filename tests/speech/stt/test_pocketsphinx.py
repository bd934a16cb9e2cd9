"""Real workers hearing real (synthetic) speech over the telephone."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest
from tests.speech.sounds import cough, telephone_speech

from chorus.audio.frame import MULAW_8K
from chorus.speech.engines import EngineFailed, Hints, Transcriber, Words
from chorus.speech.stt.pocketsphinx import PocketSphinx, PocketSphinxStream
from chorus.speech.stt.pocketsphinx_worker import Ear

PHRASES = (
    *("yes", "no", "A table for 2", "a table for four", "speak to a person", "goodbye"),
    *("cancel my booking", "what are your opening hours", "tomorrow at seven"),
)
HINTS = Hints(("en",), PHRASES)


class Ears:
    """An engine, a stream, and what came of it."""

    def __init__(self, workers: int = 1) -> None:
        self.engine = PocketSphinx(workers=workers)
        self.words: list[Words] = []
        self.failures: list[EngineFailed] = []

    async def open(self, hints: Hints = HINTS) -> PocketSphinxStream:
        checked: Transcriber = self.engine
        stream = await checked.open(MULAW_8K, hints, self.words.append, self.failures.append)
        assert isinstance(stream, PocketSphinxStream)
        return stream

    def feed(self, stream: PocketSphinxStream, audio: bytes) -> None:
        for at in range(0, len(audio), 160):
            stream.feed(audio[at : at + 160])

    async def finals(self, count: int) -> list[Words]:
        async with asyncio.timeout(20):
            while len(found := [w for w in self.words if w.final]) < count:
                await asyncio.sleep(0.002)
        return found


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_phrase_is_heard_as_it_was_written_with_interims_and_where_it_ended():
    speech = telephone_speech("a table for two")

    async def main() -> Ears:
        ears = Ears()
        stream = await ears.open()
        await ears.engine.warm()
        ears.feed(stream, MULAW_8K.silence(1000))
        ears.feed(stream, speech[:400])
        stream.speech_started(100)
        await asyncio.sleep(0.01)  # the worker is there, and hears the rest as it comes
        ears.feed(stream, speech[400:])
        ears.feed(stream, MULAW_8K.silence(64))
        stream.finalize()
        await ears.finals(1)
        await stream.close()
        await ears.engine.aclose()
        return ears

    ears = asyncio.run(main())
    final = ears.words[-1]
    end_ms = 1000 + MULAW_8K.ms(len(speech))
    assert final.text == "A table for 2"
    assert abs(final.spoken_at_ms - end_ms) < 150
    assert any(not w.final and w.text.startswith("a table") for w in ears.words)
    assert ears.failures == []


def test_a_worker_killed_in_mid_utterance_is_replaced_and_the_words_come():
    speech = telephone_speech("speak to a person")

    async def main() -> tuple[Ears, tuple[int, ...], tuple[int, ...]]:
        ears = Ears()
        await ears.engine.warm()
        before = ears.engine.worker_pids
        stream = await ears.open()
        stream.speech_started(0)
        ears.feed(stream, speech[:4000])
        await asyncio.sleep(0.05)
        os.kill(before[0], signal.SIGKILL)
        ears.feed(stream, speech[4000:])
        stream.finalize()
        await ears.finals(1)
        after = ears.engine.worker_pids
        await stream.close()
        await ears.engine.aclose()
        return ears, before, after

    ears, before, after = asyncio.run(main())
    assert [w.text for w in ears.words if w.final] == ["speak to a person"]
    assert [f.stage for f in ears.failures] == ["worker_died"]
    assert before != after
    assert not any(map(_alive, before + after))


def test_a_worker_that_hangs_is_given_up_and_its_utterance_sent_again():
    speech = telephone_speech("speak to a person")

    async def main() -> Ears:
        ears = Ears()
        ears.engine.deadline_s = 1.0
        await ears.engine.warm()
        os.kill(ears.engine.worker_pids[0], signal.SIGSTOP)
        stream = await ears.open()
        stream.speech_started(0)
        ears.feed(stream, speech)
        stream.finalize()
        await ears.finals(1)
        await stream.close()
        await ears.engine.aclose()
        return ears

    ears = asyncio.run(main())
    assert [w.text for w in ears.words if w.final] == ["speak to a person"]
    assert [f.stage for f in ears.failures] == ["worker_died"]


def test_every_finalize_is_answered_once_and_in_order():
    speech = telephone_speech("a table for two")

    async def main() -> Ears:
        ears = Ears()
        stream = await ears.open()
        stream.finalize()  # nobody spoke
        stream.speech_started(0)
        stream.speech_started(0)  # said twice
        ears.feed(stream, speech)
        stream.finalize()
        stream.finalize()
        await ears.finals(3)
        await asyncio.sleep(0.05)
        await stream.close()
        await ears.engine.aclose()
        return ears

    ears = asyncio.run(main())
    assert [w.text for w in ears.words if w.final] == ["", "A table for 2", ""]


def test_a_phrase_with_a_pause_in_it_is_one_phrase():
    speech = telephone_speech("a table for two")

    async def main() -> Ears:
        ears = Ears()
        stream = await ears.open()
        stream.speech_started(0)
        ears.feed(stream, speech[:4800])
        stream.finalize()
        ears.feed(stream, MULAW_8K.silence(200))
        stream.speech_started(0)
        ears.feed(stream, speech[4800:])
        stream.finalize()
        await ears.finals(2)
        await stream.close()
        await ears.engine.aclose()
        return ears

    ears = asyncio.run(main())
    assert [w.text for w in ears.words if w.final] == ["", "A table for 2"]


def test_more_calls_than_workers_are_all_served():
    speech = telephone_speech("speak to a person")

    async def main() -> Ears:
        ears = Ears(workers=1)
        streams = [await ears.open() for _ in range(4)]
        for stream in streams:
            stream.speech_started(0)
            ears.feed(stream, speech)
        for stream in reversed(streams):
            stream.finalize()
        await ears.finals(4)
        for stream in streams:
            await stream.close()
        await ears.engine.aclose()
        return ears

    ears = asyncio.run(main())
    assert [w.text for w in ears.words if w.final] == ["speak to a person"] * 4


def test_a_call_that_ends_in_mid_word_frees_its_worker_and_hears_no_more():
    speech = telephone_speech("speak to a person")

    async def main() -> Ears:
        ears = Ears(workers=1)
        await ears.engine.warm()
        gone = await ears.open()
        gone.speech_started(0)
        ears.feed(gone, speech)
        await asyncio.sleep(0)
        await gone.close()
        await gone.close()
        ears.words.clear()
        gone.finalize()
        stream = await ears.open()
        stream.speech_started(0)
        ears.feed(stream, speech)
        stream.finalize()
        await ears.finals(1)
        await stream.close()
        await ears.engine.aclose()
        return ears

    ears = asyncio.run(main())
    assert [w.text for w in ears.words if w.final] == ["speak to a person"]


def test_no_worker_and_no_descriptor_is_left_after_close():
    async def main() -> None:
        engine = PocketSphinx(workers=2)
        handles = len(os.listdir("/proc/self/fd"))
        await engine.warm()
        pids = engine.worker_pids
        assert len(pids) == 2
        await engine.aclose()
        await engine.aclose()
        assert not any(map(_alive, pids))
        assert len(os.listdir("/proc/self/fd")) <= handles
        with pytest.raises(EngineFailed, match="closed"):
            await engine.warm()

    asyncio.run(main())


def test_other_languages_are_refused_and_settings_checked():
    async def main() -> None:
        ears = Ears()
        with pytest.raises(EngineFailed, match="not de"):
            await ears.open(Hints(("de",)))
        await (await ears.open(Hints(("de", "en-GB")))).close()
        await ears.engine.aclose()

    asyncio.run(main())
    with pytest.raises(ValueError, match="worker"):
        PocketSphinx(workers=0)
    with pytest.raises(ValueError, match="deadline_s"):
        PocketSphinx(deadline_s=0)


def test_noises_and_other_speech_are_no_phrase():
    """The decoder itself, in this process: what it makes of what is not in its grammar."""
    ear = Ear()
    assert ear.begin(MULAW_8K, (*PHRASES, "xyzzy plugh")) == ("xyzzy plugh",)

    interims: list[str] = []

    def hear(audio: bytes) -> str:
        ear.begin(MULAW_8K, PHRASES)
        for at in range(0, len(audio), 800):
            interim = ear.hear(audio[at : at + 800])
            interims.extend([interim["text"]] if interim else [])
        return json.loads(json.dumps(ear.finish()))["text"]

    assert hear(telephone_speech("a table for two")) == "A table for 2"
    assert interims
    interims.clear()
    assert [hear(cough(seed)) for seed in range(8)] == [""] * 8
    assert interims == []
    assert hear(MULAW_8K.silence(1000)) == ""
    assert hear(telephone_speech("elephants never forget their banana")) == ""
    assert hear(telephone_speech("speak to a person")) == "speak to a person"


def test_without_phrases_anything_is_dictated():
    ear = Ear()
    assert ear.begin(MULAW_8K, ()) is None
    ear.hear(telephone_speech("I would like to book a table for two on Friday."))
    text = ear.finish()["text"]
    assert len(text.split()) >= 4
