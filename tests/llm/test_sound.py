"""A caller's turn sent as sound: what is asked, and what is learnt from refusals.

The server answers as OpenAI, vLLM, llama-server and OpenRouter are known to; no model heard it.
"""

from __future__ import annotations

import io
import wave
from base64 import b64decode
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tests.fakes.openai_server import Answer, OpenAIServer, chunk, say

from chorus.llm import google
from chorus.llm.anthropic import AnthropicModel
from chorus.llm.endpoint import Endpoint
from chorus.llm.model import HearsSound, Message, ModelItem, Prompt, Usage, longest_sound_ms
from chorus.llm.openai import OpenAIModel
from chorus.llm.options import OpenAIOptions
from chorus.llm.ordering import alternating
from chorus.llm.sound import Sound

WORDS = "for two please"
SOUND = Sound(bytes(range(256)) * 50, 8000, WORDS)  # 800 ms
TURN = Message("user", f"Hello. {WORDS} [pressed 1]", sound=SOUND)
PROMPT = Prompt("Be brief.", (TURN,))
HEARS = OpenAIOptions(hears=True)


@pytest.fixture
async def server() -> AsyncGenerator[OpenAIServer, None]:
    async with OpenAIServer() as found:
        yield found


async def ask(
    server: OpenAIServer, *turns: Message, options: OpenAIOptions = HEARS
) -> tuple[list[ModelItem], OpenAIModel]:
    endpoint = Endpoint("fake", server.url)
    model = OpenAIModel(endpoint, "ultravox", options)
    try:
        return [each async for each in model.reply(Prompt("Be brief.", turns))], model
    finally:
        await endpoint.aclose()


def sent(server: OpenAIServer, number: int = -1) -> Any:
    """The content of the last message of a request."""
    return server.replies[number].body["messages"][-1]["content"]


async def test_the_turn_is_sent_as_a_wav_file_between_what_else_is_said(server: OpenAIServer):
    usage = {"prompt_tokens": 60, "completion_tokens": 3}
    usage |= {"prompt_tokens_details": {"audio_tokens": 8}}
    server.answer(Answer([*say("Two."), {**chunk(), "choices": [], "usage": usage}]))
    items, _ = await ask(server, TURN)
    before, audio, behind = sent(server)
    assert (before["text"], behind["text"]) == ("Hello.", "[pressed 1]")
    assert audio["type"] == "input_audio"
    assert audio["input_audio"]["format"] == "wav"
    with wave.open(io.BytesIO(b64decode(audio["input_audio"]["data"]))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        assert file.readframes(99_999) == SOUND.pcm16
    assert items[-1] == Usage(60, 3, audio_tokens=8)


async def test_passages_of_documents_stay_before_the_sound(server: OpenAIServer):
    server.answer(Answer(say("Two.")))
    endpoint = Endpoint("fake", server.url)
    prompt = Prompt("", (Message("user", WORDS, sound=SOUND),), passages="[Page 3]")
    async for _ in OpenAIModel(endpoint, "ultravox", HEARS).reply(prompt):
        pass
    await endpoint.aclose()
    text, audio = sent(server)
    assert text == {"type": "text", "text": "[Page 3]"}
    assert audio["type"] == "input_audio"


@pytest.mark.parametrize(
    "options", [OpenAIOptions(), OpenAIOptions(hears=True, most_sound_ms=799)], ids=str
)
async def test_words_are_sent_where_no_sound_is_wanted_or_it_is_too_long(
    server: OpenAIServer, options: OpenAIOptions
):
    server.answer(Answer(say("Two.")))
    await ask(server, TURN, options=options)
    assert sent(server) == TURN.content


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "At most 0 audio(s) may be provided in one request."),
        (500, ""),
        (400, "audio input is not supported - hint: you may need to provide the mmproj"),
        (404, "No endpoints found that support input audio"),
        (400, "Invalid content type. image_url is only supported by certain models."),
        (422, "Input should be a valid string: content_type"),
    ],
)
async def test_an_endpoint_without_ears_is_told_the_words_and_remembered(
    server: OpenAIServer, status: int, said: str
):
    server.answer(Answer(status=status, body={"error": {"message": said}}), Answer(say("Two.")))
    if status == 500:  # of another's making: the next model is to be asked
        with pytest.raises(Exception, match="HTTP 500"):
            await ask(server, TURN)
        return
    _, model = await ask(server, TURN)
    assert sent(server) == TURN.content
    assert len(server.replies) == 2
    assert longest_sound_ms([model]) == 0


@pytest.mark.parametrize(
    ("status", "said"), [(413, ""), (400, "audio is too long: the maximum is 0.5 s")]
)
async def test_sound_that_is_too_large_is_sent_as_words_and_a_shorter_turn_is_not(
    server: OpenAIServer, status: int, said: str
):
    refusal = Answer(status=status, body={"error": {"message": said}})
    server.answer(refusal, Answer(say("Two.")), Answer(say("Three.")))
    _, model = await ask(server, TURN)
    assert sent(server) == TURN.content
    assert model.longest_sound_ms == HEARS.most_sound_ms
    short = Message("user", "two", sound=Sound(SOUND.pcm16[:3200], 8000, "two"))
    async for _ in model.reply(Prompt("", (short,))):
        pass
    await model.endpoint.aclose()
    assert sent(server)[0]["type"] == "input_audio"


async def test_a_model_that_takes_no_request_without_sound_is_sent_silence(server: OpenAIServer):
    said = "This model requires that either input content or output modality contain audio."
    server.answer(Answer(status=400, body={"error": {"message": said}}), Answer(say("Hello.")))
    await ask(server, Message("user", "Greet them."))
    text, audio = sent(server)
    assert text["text"] == "Greet them."
    assert set(b64decode(audio["input_audio"]["data"])[44:]) == {0}


async def test_gemini_is_sent_inline_data_and_counts_by_modality(server: OpenAIServer):
    counts = {"promptTokenCount": 40, "candidatesTokenCount": 2}
    counts |= {"promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 26}]}
    parts = [{"content": {"parts": [{"text": "Two."}]}, "finishReason": "STOP"}]
    server.answer(Answer([{"candidates": parts, "usageMetadata": counts}]))
    at = Endpoint("google", server.url.removesuffix("/v1"), headers=google.headers_of("k"))
    items = [each async for each in google.GoogleModel(at, "m", HEARS).reply(PROMPT)]
    await at.aclose()
    before, audio, behind = server.requests[-1].body["contents"][0]["parts"]
    assert (before, behind) == ({"text": "Hello."}, {"text": "[pressed 1]"})
    assert audio["inlineData"]["mimeType"] == "audio/wav"
    assert b64decode(audio["inlineData"]["data"]).endswith(SOUND.pcm16)
    assert items[-1] == Usage(40, 2, audio_tokens=26)


def test_options_say_whether_and_how_much():
    options = OpenAIOptions().with_json({"audioInput": True, "audioInputMaxMs": 9000})
    endpoint = Endpoint("fake", "http://127.0.0.1:1/v1")
    model = OpenAIModel(endpoint, "m", options)
    assert isinstance(model, HearsSound)
    assert model.longest_sound_ms == 9000
    assert AnthropicModel(endpoint, "m", options).longest_sound_ms == 0
    for wrong in ({"audioInput": "yes"}, {"audioInputMaxMs": 60_000}):
        with pytest.raises(ValueError, match="audioInput"):
            OpenAIOptions().with_json(wrong)


def test_joined_turns_keep_the_sound_of_the_last():
    [joined] = alternating([Message("user", "Hello."), Message("user", WORDS, sound=SOUND)])
    assert joined.sound is SOUND
    assert SOUND.around(joined.content) == ("Hello.", "")


@pytest.mark.parametrize(
    "said",
    [
        "Audio file is too short. Minimum audio length is 0.1 seconds.",
        "audio duration must be at least 0.1 s",
        "The audio is shorter than 100 ms; audio must be longer.",
        "audio has to be longer than 0.1 s and no longer than 30 s",
    ],
)
async def test_sound_that_is_too_short_is_sent_as_words_and_a_longer_turn_is_not(
    server: OpenAIServer, said: str
):
    server.answer(Answer(status=400, body={"error": {"message": said}}), Answer(say("Yes.")))
    server.answer(Answer(say("Two.")))
    short = Message("user", "yes", sound=Sound(SOUND.pcm16[:800], 8000, "yes"))
    _, model = await ask(server, short)
    assert sent(server) == short.content
    for turn in (TURN, short):
        server.answer(Answer(say("Well.")))
        async for _ in model.reply(Prompt("", (turn,))):
            pass
        heard = isinstance(sent(server), list)
        assert heard is (turn is TURN)
    await model.endpoint.aclose()
