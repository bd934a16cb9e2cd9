"""Google's transcription over gRPC, against a server that speaks with Google's own types."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from tests.fakes.vendors.google import key_file, private_lines
from tests.fakes.vendors.google_ears import Fault, GoogleEars, Status
from tests.speech.vendors.test_ears import Heard, feed, says

from chorus.audio.frame import MULAW_8K, PCM_16K, AudioFormat
from chorus.outbound import Outbound
from chorus.speech.engines import EngineFailed, Hints, Transcription
from chorus.speech.stt import google
from chorus.speech.vendor import limits
from chorus.speech.vendor.options import HearingOptions
from chorus.speech.vendors import VENDORS

GOOGLE = VENDORS["google_speech"]


@asynccontextmanager
async def stream(
    ears: GoogleEars,
    *languages: str,
    key: str = "",
    model: str = "",
    keyterms: tuple[str, ...] = (),
    line: AudioFormat = MULAW_8K,
) -> AsyncGenerator[tuple[Transcription, Heard]]:
    heard = Heard()
    async with ears:
        transcriber = GOOGLE.transcriber(
            key or key_file(), HearingOptions(model, keyterms), net=Outbound(), base_url=ears.url
        )
        heard.format = transcriber.takes(line)
        hints = Hints(languages or ("en",))
        opened = await transcriber.open(
            heard.format, hints, heard.words.append, heard.failures.append
        )
        try:
            yield opened, heard
        finally:
            await opened.close()


async def test_each_turn_is_a_stream_that_is_ended_for_its_final_words() -> None:
    ears = GoogleEars()
    ears.understands("A table for two.", "On Monday.")
    async with stream(ears, "en-GB", keyterms=("Chorus", "Übergabe")) as (opened, heard):
        feed(opened, heard, 600)
        opened.speech_started(600)
        await heard.until(lambda: bool(heard.words))
        feed(opened, heard, 120, loud=False)
        opened.finalize()
        await heard.until(lambda: len(heard.finals) == 1)
        first_ms = heard.fed_ms
        says(opened, heard)
        await heard.until(lambda: len(heard.finals) == 2)
        assert not heard.failures
    one, two = heard.finals
    assert (one.text, two.text) == ("A table for two.", "On Monday.")
    assert (one.heard_to_ms, two.heard_to_ms) == (first_ms, heard.fed_ms)
    assert 0 < one.spoken_at_ms <= first_ms < two.spoken_at_ms <= heard.fed_ms
    assert one.confidence == pytest.approx(0.92)
    assert one.language == "en-us"
    interims = [words for words in heard.words if not words.final]
    assert interims[0].text == "A table for two."
    assert interims[0].heard_to_ms <= first_ms
    assert [talk.ended for talk in ears.talks] == [True, True]
    assert b"".join(bytes(talk.audio) for talk in ears.talks) == heard.fed
    told = ears.talks[0].config
    assert told.recognizer == "projects/acme-calls/locations/global/recognizers/_"
    assert told.streaming_config.streaming_features.interim_results
    config = told.streaming_config.config
    assert (config.model, list(config.language_codes)) == ("chirp_3", ["en-GB"])
    assert config.features.enable_automatic_punctuation
    decoding = config.explicit_decoding_config
    assert (decoding.encoding, decoding.sample_rate_hertz) == (decoding.AudioEncoding.MULAW, 8000)
    assert decoding.audio_channel_count == 1
    [phrases] = config.adaptation.phrase_sets
    found = [(phrase.value, phrase.boost) for phrase in phrases.inline_phrase_set.phrases]
    assert found == [("Chorus", 10.0), ("Übergabe", 10.0)]


@pytest.mark.parametrize(
    ("model", "codes"), [("", ["auto"]), ("telephony", ["de-DE"])], ids=["chirp", "telephony"]
)
async def test_of_several_languages_it_finds_out_or_hears_the_first(
    model: str, codes: list[str]
) -> None:
    ears = GoogleEars()
    async with stream(ears, "de", "en", model=model, line=PCM_16K) as (opened, heard):
        feed(opened, heard, 200)
        await heard.until(lambda: bool(ears.talks))
    config = ears.talks[0].config.streaming_config.config
    assert list(config.language_codes) == codes
    assert config.explicit_decoding_config.sample_rate_hertz == 16000


async def test_what_is_final_unasked_ends_no_turn() -> None:
    ears = GoogleEars()
    ears.unasked.append("My name is")
    ears.understands("Ada.")
    async with stream(ears) as (opened, heard):
        feed(opened, heard, 300)
        await heard.until(lambda: len(heard.finals) == 1)
        feed(opened, heard, 300)
        opened.finalize()
        await heard.until(lambda: len(heard.finals) == 2)
        one, two = heard.finals
        assert (one.text, two.text) == ("My name is", "Ada.")
        assert one.heard_to_ms < heard.fed_ms
        assert two.heard_to_ms == heard.fed_ms


async def test_nothing_said_is_answered_with_nothing_and_nothing_new_is_not_asked() -> None:
    ears = GoogleEars()
    async with stream(ears) as (opened, heard):
        feed(opened, heard, 500, loud=False)
        opened.finalize()
        opened.finalize()
        await heard.until(lambda: len(heard.finals) == 1)
        assert (heard.finals[0].text, heard.finals[0].heard_to_ms) == ("", heard.fed_ms)
        opened.finalize()
        await heard.until(lambda: len(heard.finals) == 2)
        assert len(ears.talks) == 1
        assert not heard.failures


async def test_a_stream_that_grows_old_is_followed_by_another_in_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(google, "_STREAM_S", 0.0)
    ears = GoogleEars()
    ears.understands("Yes.")
    async with stream(ears) as (opened, heard):
        feed(opened, heard, 200, loud=False)
        await heard.until(lambda: len(ears.talks) == 2)
        opened.speech_started(0)
        feed(opened, heard, 400)
        opened.finalize()
        await heard.until(lambda: bool(heard.finals))
        assert [words.text for words in heard.finals] == ["Yes."]
        assert heard.finals[0].heard_to_ms == heard.fed_ms
        assert not heard.failures
    assert b"".join(bytes(talk.audio) for talk in ears.talks) == heard.fed


FAULTS = [
    (Status.UNAUTHENTICATED, "key"),
    (Status.PERMISSION_DENIED, "key"),
    (Status.RESOURCE_EXHAUSTED, "busy"),
    (Status.INVALID_ARGUMENT, "request"),
    (Status.UNAVAILABLE, "gone"),
    (Status.INTERNAL, "other"),
    ("garbage", "garbage"),
    ("kill", "gone"),
]


@pytest.mark.parametrize("at", ["begin", "audio", "end"])
@pytest.mark.parametrize(("fault", "kind"), FAULTS, ids=lambda value: str(value).split(".")[-1])
async def test_a_stream_that_breaks_says_so_once(fault: Status, kind: str, at: str) -> None:
    ears = GoogleEars()
    ears.understands("never told")
    ears.fault = Fault(fault, at)  # pyright: ignore[reportArgumentType]  of the lists above
    async with stream(ears) as (opened, heard):
        says(opened, heard)
        await heard.until(lambda: bool(heard.failures))
        says(opened, heard)
        await asyncio.sleep(0.01)
        [failure] = heard.failures
        assert failure.stage == "lost"
        # Where audio was on its way, grpcio may say no more than that: see `_OF_GRPCIO`.
        assert failure.kind == kind or "from Core" in failure.detail, failure
        assert not any(words.final and words.text for words in heard.words)


async def test_a_stream_that_it_ends_unasked_is_gone() -> None:
    ears = GoogleEars()
    ears.fault = Fault("end")
    async with stream(ears) as (opened, heard):
        feed(opened, heard, 200)
        await heard.until(lambda: bool(heard.failures))
        assert heard.failures[0].kind == "gone"


@pytest.mark.parametrize("at", ["audio", "end"])
async def test_a_stall_is_left_to_the_calls_deadline_and_ends_with_it(at: str) -> None:
    ears = GoogleEars()
    ears.fault = Fault("stall", at)  # pyright: ignore[reportArgumentType]
    async with stream(ears) as (opened, heard):
        says(opened, heard)
        await heard.until(lambda: ears.fault is None)
        assert not heard.finals
        async with asyncio.timeout(10):
            await opened.close()
    assert not heard.failures


async def test_what_cannot_be_reached_is_no_stream() -> None:
    ears = GoogleEars()
    async with ears:
        url = ears.url
    transcriber = GOOGLE.transcriber(key_file(), HearingOptions(), net=Outbound(), base_url=url)
    with pytest.raises(EngineFailed) as caught:
        await transcriber.open(MULAW_8K, Hints(), lambda _: None, lambda _: None)
    assert caught.value.kind == "gone"


async def test_a_key_that_is_no_file_opens_nothing() -> None:
    with pytest.raises(EngineFailed) as caught:
        async with stream(GoogleEars(), key="sk-another"):
            pass
    assert (caught.value.stage, caught.value.kind) == ("open", "key")


async def test_another_accounts_key_is_refused_and_kept() -> None:
    """Its project is not the one that the server knows."""
    ears = GoogleEars()
    key = key_file().replace("acme-calls", "other-calls")
    async with stream(ears, key=key) as (opened, heard):
        feed(opened, heard, 200)
        await heard.until(lambda: bool(heard.failures))
        assert heard.failures[0].kind == "key"
        assert not any(line in str(heard.failures[0]) for line in private_lines())


async def test_a_stream_that_is_one_too_many_gives_way_and_the_next_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "WAIT_S", 0.05)
    outbound = Outbound()
    ears = GoogleEars()
    ears.most = 1
    async with ears:
        adapter = GOOGLE.transcriber(key_file(), HearingOptions(), net=outbound, base_url=ears.url)

        async def opened(heard: Heard) -> Transcription:
            return await adapter.open(
                MULAW_8K, Hints(("en",)), heard.words.append, heard.failures.append
            )

        failure: EngineFailed | None = None
        first = Heard()
        stream = await opened(first)
        feed(stream, first, 200)
        await first.until(lambda: bool(ears.talks))
        for _ in range(50):  # grpcio may say no more than that the stream broke: see `_OF_GRPCIO`
            second = Heard()
            refused = await opened(second)
            feed(refused, second, 100)
            await second.until(lambda heard=second: bool(heard.failures))
            await refused.close()
            [failure] = second.failures
            assert failure.stage == "lost"
            if "from Core" not in failure.detail:
                break
        assert failure is not None
        assert failure.kind == "full"
        with pytest.raises(EngineFailed) as caught:
            await opened(Heard())
        assert (caught.value.stage, caught.value.kind) == ("open", "full")
        assert len(ears.talks) == 1
        await stream.close()
        assert all(limit.under_way == 0 for limit in limits.limits_of(outbound))
        third = Heard()  # there is a place again
        stream = await opened(third)
        await stream.close()
        assert not first.failures
        assert not third.failures
    await outbound.aclose()


async def test_a_stream_that_cannot_be_had_leaves_its_place() -> None:
    ears = GoogleEars()
    async with ears:
        url = ears.url
    outbound = Outbound()
    adapter = GOOGLE.transcriber(key_file(), HearingOptions(), net=outbound, base_url=url)
    with pytest.raises(EngineFailed):
        await adapter.open(MULAW_8K, Hints(), lambda _: None, lambda _: None)
    [limit] = limits.limits_of(outbound)
    assert limit.under_way == 0
