"""An end-of-turn server over HTTP."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import settings_for
from tests.fakes.http_peer import Asked, HttpPeer, respond
from tests.fakes.speech import tone

from chorus.audio.frame import PCM_8K
from chorus.catalogue.catalogue import Catalogue
from chorus.catalogue.choice import Choice
from chorus.catalogue.engines import EngineRoom
from chorus.outbound import Outbound
from chorus.settings import Settings, SettingsError
from chorus.speech.engines import EngineFailed, Heard
from chorus.speech.eot.remote import RemoteEndOfTurn

HEARD = Heard(tone(PCM_8K, 500), 8000, "for two", 160.0, "For how many?")


async def judged(
    answer: Callable[[Asked], bytes | AsyncIterator[bytes]],
    times: int = 1,
    deadline_ms: int = 5000,
) -> tuple[list[float | str], HttpPeer]:
    """The verdicts, or the kinds of the failures."""
    outbound = Outbound(allow_private=True, keep_alive_s=55)
    await outbound.open()  # the certificates, once a process
    found: list[float | str] = []
    async with HttpPeer(answer) as peer:
        model = RemoteEndOfTurn(peer.url, "secret-key", net=outbound, deadline_ms=deadline_ms)
        for _ in range(times):
            try:
                found.append(await model.judge(HEARD))
            except EngineFailed as failure:
                found.append("leaked" if "secret-key" in str(failure) else failure.kind)
    await outbound.aclose()
    return found, peer


async def test_the_turn_and_what_was_said_before_it() -> None:
    verdicts, peer = await judged(lambda _: respond(200, {"probability": 0.35}), 2)
    assert verdicts == [0.35, 0.35]
    asked = peer.requests[0].json
    audio = b64decode(asked.pop("audio"))
    assert len(audio) == pytest.approx(16_000, abs=200)  # half a second at 16 kHz
    assert asked == {
        "sampleRate": 16_000,
        "turns": [{"role": "assistant", "content": "For how many?"}],
        "text": "for two",
        "silenceMs": 160,
    }
    assert peer.requests[0].headers["authorization"] == "Bearer secret-key"
    assert peer.connections == 1


async def test_nothing_was_said_before() -> None:
    outbound = Outbound(allow_private=True)
    async with HttpPeer(lambda _: respond(200, {"probability": 1})) as peer:
        model = RemoteEndOfTurn(peer.url, "", net=outbound, deadline_ms=5000)
        assert model.threshold == 0.1
        assert await model.judge(replace(HEARD, context="")) == 1.0
        assert peer.requests[0].json["turns"] == []
        assert "authorization" not in peer.requests[0].headers
    await outbound.aclose()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (respond(401, "secret-key is wrong"), "key"),
        (respond(503), "busy"),
        (respond(200, "yes"), "garbage"),
        (respond(200, {"p": 1}), "garbage"),
        (respond(200, {"probability": 7}), "garbage"),
        (respond(200, {"probability": None}), "garbage"),
        (b"nonsense\r\n\r\n", "gone"),
    ],
)
async def test_an_answer_that_is_no_verdict(answer: bytes, kind: str) -> None:
    assert (await judged(lambda _: answer))[0] == [kind]


async def test_a_server_that_does_not_answer_is_left_alone_for_a_while() -> None:
    async def never() -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield b""

    def answer(_: Asked) -> Any:
        return never()

    verdicts, peer = await judged(answer, 5, deadline_ms=60)
    assert verdicts == ["late", "late", "late", "gone", "gone"]
    assert len(peer.requests) == 3


async def test_a_server_that_is_named_is_asked_in_place_of_the_model_here(tmp_path: Path) -> None:
    async with HttpPeer(lambda _: respond(200, {"probability": 0.25})) as peer:
        settings = settings_for(
            tmp_path, simulated=True, end_of_turn_url=peer.url, end_of_turn_threshold=0.2
        )
        room = EngineRoom(settings, Catalogue.of(settings))
        model = room.select(Choice()).end_of_turn
        assert model is room.select(Choice()).end_of_turn
        assert model.threshold == 0.2
        assert await model.judge(HEARD) == 0.25
        await room.aclose()


@pytest.mark.parametrize("wrong", ["2", "-0.1", "many", "nan"])
def test_a_threshold_that_is_none(wrong: str) -> None:
    with pytest.raises(SettingsError, match="CHORUS_END_OF_TURN_THRESHOLD"):
        Settings.read({"CHORUS_END_OF_TURN_THRESHOLD": wrong})
