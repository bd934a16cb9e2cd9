"""Who hears and speaks in the demo: what is in the folder of models, or what takes its place."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from bench.prompts import samples, to_16k
from scripts.material import MODELS
from starlette.applications import Starlette
from starlette.testclient import TestClient
from tests.material import needs_model

from chorus.audio import codec
from chorus.audio.frame import MULAW_8K
from chorus.demo import voices
from chorus.demo.carrier import sound
from chorus.demo.carrier.control import Control
from chorus.demo.carrier.exchange import Exchange
from chorus.demo.carrier.person import Say
from chorus.demo.perform import is_said
from chorus.demo.story import INBOUND
from chorus.demo.voices import Cast, cast_of, missing, recite
from chorus.speech.stt.whisper_model import WhisperModel


def test_without_models_it_is_what_needs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cast = cast_of(tmp_path)
    assert cast.piper is None
    assert "PocketSphinx" in cast.ears
    monkeypatch.setattr(voices, "find_spec", lambda name: None)
    assert len(missing(cast)) == 2
    assert missing(Cast("Whisper", "Piper", tmp_path, "joe")) == [
        "the offline voice (espeakng_loader)"
    ]


@needs_model("whisper-tiny.en")
def test_half_of_them_is_as_good_as_none(tmp_path: Path):
    (tmp_path / "whisper-tiny.en").symlink_to(MODELS / "whisper-tiny.en")
    assert cast_of(tmp_path).piper is None


@needs_model("whisper-tiny.en", "piper-en_US-joe-medium")
def test_with_models_the_people_speak_so_that_whisper_understands_them():
    cast = cast_of(MODELS)
    assert (cast.piper, cast.ears) == ("en_US-joe-medium", "Whisper (whisper-tiny.en)")
    texts = [line.text for line in INBOUND.lines]
    spoken = asyncio.run(recite(texts, cast))
    ears = WhisperModel(MODELS / "whisper-tiny.en")
    heard = {
        text: ears.decode(to_16k(samples(codec.decode(MULAW_8K, audio)))).text
        for text, audio in spoken.items()
    }
    assert all(is_said(text, heard[text]) for text in texts), heard


@needs_model("whisper-tiny.en", "piper-en_US-joe-medium")
def test_so_do_the_people_of_a_carrier_that_knows_the_models():
    """Of a carrier that does not, Whisper understood "The number is for to happen."."""
    exchange = Exchange(httpx.AsyncClient())
    told = TestClient(Starlette(routes=Control(exchange, MODELS).routes()))
    person = {"steps": [{"do": "say", "text": "The number is four two seven"}]}
    told.post("/control/people", json={"number": "+1415", "person": person}).raise_for_status()
    met = exchange.person_at("+1415")
    assert met is not None
    [step] = met.steps
    assert isinstance(step, Say)
    spoken = to_16k(samples(codec.decode(MULAW_8K, sound.said(step))))
    understood = WhisperModel(MODELS / "whisper-tiny.en").decode(spoken).text
    assert is_said("The number is four two seven", understood), understood


@pytest.mark.parametrize(
    ("understood", "is_it"),
    [
        ("the number is four two seven", True),
        ("The number is 427.", True),
        ("The number is 4-2-7", True),
        ("The number is 428", False),
        ("A number is 427", True),
        ("What number?", False),
        ("", False),
    ],
)
def test_what_counts_as_understood(understood: str, is_it: bool):
    assert is_said("The number is four two seven", understood) is is_it
