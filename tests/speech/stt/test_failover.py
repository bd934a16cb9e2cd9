from __future__ import annotations

import asyncio

import pytest
from tests.fakes.speech import FakeTranscriber
from tests.fakes.virtual import run_virtual

from chorus.audio.frame import MULAW_8K
from chorus.speech.engines import EngineFailed, Hints, Transcriber, Transcription, Words
from chorus.speech.stt.failover import FailoverTranscriber


class Call:
    def __init__(self, *engines: FakeTranscriber) -> None:
        self.told: list[EngineFailed] = []
        self.engine = FailoverTranscriber(engines, on_failure=self.told.append)
        self.words: list[Words] = []
        self.failures: list[EngineFailed] = []

    async def open(self) -> Transcription:
        checked: Transcriber = self.engine
        return await checked.open(MULAW_8K, Hints(), self.words.append, self.failures.append)


def _feed(stream: Transcription, ms: int) -> None:
    for _ in range(ms // 20):
        stream.feed(MULAW_8K.silence(20))


def test_while_the_first_works_nothing_else_is_touched():
    async def main() -> None:
        first, second = FakeTranscriber(name="a"), FakeTranscriber(name="b")
        first.understands("yes")
        call = Call(first, second)
        stream = await call.open()
        _feed(stream, 3000)
        stream.speech_started(100)
        stream.finalize()
        await asyncio.sleep(5)
        assert call.words == [Words("yes", True, 3000)]
        assert (second.streams, call.failures, call.told) == ([], [], [])
        assert first.stream.started_ms == [2900]
        await stream.close()
        assert first.stream.closed

    run_virtual(main())


def test_one_that_does_not_open_is_passed_over_and_rests():
    async def main() -> None:
        first, second = FakeTranscriber(name="a", fail_opens=1), FakeTranscriber(name="b")
        call = Call(first, second)
        await (await call.open()).close()
        await (await call.open()).close()
        assert (len(first.streams), len(second.streams)) == (0, 2)
        await asyncio.sleep(31)
        await (await call.open()).close()
        assert len(first.streams) == 1
        assert [f.vendor for f in call.told] == ["a"]

    run_virtual(main())


def test_none_that_opens_is_a_failure():
    async def main() -> None:
        call = Call(FakeTranscriber(fail_opens=1), FakeTranscriber(fail_opens=1))
        with pytest.raises(EngineFailed, match="scripted"):
            await call.open()

    run_virtual(main())


def test_a_lost_stream_goes_on_at_the_next_with_the_last_two_seconds():
    async def main() -> None:
        first, second = FakeTranscriber(name="a"), FakeTranscriber(name="b")
        second.understands("a table for two")
        call = Call(first, second)
        stream = await call.open()
        _feed(stream, 5000)
        stream.speech_started(1000)
        first.fail("lost", "socket closed")
        _feed(stream, 200)  # while the next one opens
        await asyncio.sleep(0.1)
        _feed(stream, 300)
        stream.finalize()
        await asyncio.sleep(1)
        assert second.stream.fed_ms == 2300
        assert second.stream.started_ms == [0]
        assert call.words == [Words("a table for two", True, 5500)]
        assert [(f.vendor, f.stage) for f in call.failures] == [("a", "failover")]
        assert first.stream.closed
        first.stream.hear("too late")
        await stream.close()
        assert len(call.words) == 1

    run_virtual(main())


def test_final_words_that_do_not_come_are_asked_of_the_next():
    async def main() -> None:
        first = FakeTranscriber(name="a", final_after_ms=None)
        second = FakeTranscriber(name="b")
        second.understands("yes")
        call = Call(first, second)
        stream = await call.open()
        _feed(stream, 1000)
        stream.finalize()
        await asyncio.sleep(2)
        assert call.words == [Words("yes", True, 1000)]
        assert [f.stage for f in call.told] == ["deadline"]
        stream.finalize()
        await asyncio.sleep(1)
        assert [w.text for w in call.words] == ["yes", ""]
        await stream.close()

    run_virtual(main())


def test_what_was_understood_is_not_played_again():
    async def main() -> None:
        first, second = FakeTranscriber(name="a"), FakeTranscriber(name="b")
        call = Call(first, second)
        stream = await call.open()
        _feed(stream, 1000)
        stream.finalize()
        _feed(stream, 200)
        await asyncio.sleep(0.2)
        first.fail()
        await asyncio.sleep(0.1)
        assert second.stream.fed_ms == 200
        await stream.close()

    run_virtual(main())


def test_when_none_is_left_the_call_is_told_and_still_answered():
    async def main() -> None:
        first = FakeTranscriber(name="a", final_after_ms=None)
        call = Call(first, FakeTranscriber(name="b", fail_opens=9))
        stream = await call.open()
        _feed(stream, 100)
        stream.finalize()
        await asyncio.sleep(5)
        stream.finalize()
        await asyncio.sleep(0.1)
        assert [w.text for w in call.words] == ["", ""]
        assert call.failures[-1].stage == "lost"
        await stream.close()

    run_virtual(main())


def test_one_that_recovered_by_itself_stays():
    async def main() -> None:
        first, second = FakeTranscriber(name="a"), FakeTranscriber(name="b")
        call = Call(first, second)
        stream = await call.open()
        first.fail("reconnected")
        await asyncio.sleep(0.1)
        assert [f.stage for f in call.failures] == ["reconnected"]
        assert second.streams == []
        await stream.close()

    run_virtual(main())


def test_an_empty_list_is_refused():
    with pytest.raises(ValueError, match="engines"):
        FailoverTranscriber([])
