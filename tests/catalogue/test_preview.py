"""POST /v1/voices/{id}/preview: a voice is heard before it is chosen."""

from __future__ import annotations

import asyncio
import io
import uuid
import wave
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import settings_for
from tests.fakes.api import running
from tests.fakes.speech import FakeVoice

from chorus.catalogue.catalogue import VoiceEntry
from chorus.catalogue.preview import Previews, Wish
from chorus.speech.engines import EngineFailed


async def test_a_sentence_comes_as_a_file_and_is_made_once(tmp_path: Path):
    async with running(settings_for(tmp_path, simulated=True)) as api:
        [voice] = (await api.get("/v1/voices?search=simulated")).json()["data"]
        path = f"/v1/voices/{voice['slug']}/preview"
        heard = await api.post(path, json={})
        assert (heard.status_code, heard.headers["content-type"]) == (200, "audio/wav")
        with wave.open(io.BytesIO(heard.content)) as file:
            assert (file.getnchannels(), file.getframerate()) == (1, 16_000)
            seconds = file.getnframes() / 16_000
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        assert 1 < seconds < 10
        assert np.abs(samples).max() > 1000
        assert heard.headers["server-timing"].startswith("first-audio;dur=")
        again = await api.post(path, json={})
        assert again.headers["server-timing"] == heard.headers["server-timing"]
        assert again.content == heard.content
        shorter = await api.post(path, json={"text": "Hello."})
        assert 44 < len(shorter.content) < len(heard.content)

        long = await api.post(path, json={"text": "a" * 301})
        assert [each["field"] for each in long.json()["details"]] == ["text"]
        assert (await api.post("/v1/voices/nobody/preview", json={})).status_code == 404
        reader = await api.another_organization(scopes=("read",))
        assert (await reader.post(path, json={})).status_code == 403


async def test_a_failure_is_told_and_the_next_who_asks_tries_anew():
    voices = [FakeVoice(fail_at=0), FakeVoice(first_audio_ms=1)]
    made: list[FakeVoice] = []

    def voice_of(entry: VoiceEntry) -> FakeVoice:
        made.append(voices[len(made)])
        return made[-1]

    entry = VoiceEntry(engine="fake", engine_id="f", name="F", provider="fake", languages=("de",))
    wish = Wish(uuid.uuid4(), entry, "Hallo")
    previews = Previews(voice_of)
    with pytest.raises(EngineFailed):
        await previews.of(wish)
    # Two that ask for the same wait for one.
    first, second = await asyncio.gather(previews.of(wish), previews.of(wish))
    assert first is second
    assert len(made) == 2
    await previews.aclose()
