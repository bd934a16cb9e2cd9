"""The carrier itself, where the tests of the line do not look."""

from __future__ import annotations

import asyncio
import struct
import sys
import wave
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from twilio.request_validator import RequestValidator

from chorus.audio.codec import decode, encode
from chorus.audio.frame import MULAW_8K
from chorus.demo.carrier import client, sound
from chorus.demo.carrier.exchange import Exchange
from chorus.demo.carrier.person import Person, Say
from chorus.demo.carrier.signature import sign
from chorus.demo.carrier.sip import SipTelephones
from chorus.demo.carrier.twiml import (
    Hangup,
    OpenStream,
    Pause,
    Reject,
    TwimlError,
    read_twiml,
)
from chorus.demo.carrier.twiml import Say as SayVerb
from chorus.demo.ways import Sip, way_of


def test_its_signatures_are_what_the_library_expects() -> None:
    url = "https://example.com/voice?x=1&y=%20"
    fields = {"To": "+1555", "CallerName": "Zoë & sons", "Empty": "", "a": "b"}
    assert RequestValidator("12345").validate(url, fields, sign("12345", url, fields))
    # The worked example in Twilio's description of the algorithm.
    example = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert sign("12345", url, example) == RequestValidator("12345").compute_signature(url, example)


def test_its_g711_is_the_codecs() -> None:
    every = bytes(range(256))
    linear = [struct.unpack("<h", decode(MULAW_8K, bytes([c])))[0] for c in every]
    assert [sound._linear(code) for code in every] == linear
    samples = list(range(-32768, 32768, 37))
    theirs = encode(MULAW_8K, struct.pack(f"<{len(samples)}h", *samples))
    away = [
        abs(a - b)
        for a, b in zip(
            struct.unpack(f"<{len(samples)}h", decode(MULAW_8K, sound.encode(samples))),
            struct.unpack(f"<{len(samples)}h", decode(MULAW_8K, theirs)),
            strict=True,
        )
    ]
    # audioop drops two bits first, which rounds a few samples to the neighbouring step.
    assert sum(step > 0 for step in away) < len(samples) / 20


def test_what_is_audible() -> None:
    assert not sound.audible(sound.SILENCE)
    assert not sound.audible(b"\x7e\xfe\x7f\xff")
    assert sound.audible(sound.said(Say(sound="tone", ms=20)))
    assert sound.audible(sound.said(Say(sound="cough", ms=200)))
    assert len(sound.said(Say(sound="silence", ms=30))) == 240


def test_a_wav_is_spoken_and_another_kind_refused(tmp_path: Path) -> None:
    for rate in (8000, 16000):
        with wave.open(str(tmp_path / f"{rate}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(struct.pack("<4h", 0, 1000, -1000, 32767))
    spoken = sound.said(Say(wav=str(tmp_path / "8000.wav")))
    values = struct.unpack("<4h", decode(MULAW_8K, spoken))
    assert values == pytest.approx((0, 1000, -1000, 32767), rel=0.04)
    with pytest.raises(ValueError, match="not 16-bit mono at 8000 Hz"):
        sound.said(Say(wav=str(tmp_path / "16000.wav")))
    with pytest.raises(ValueError, match="one of text, audio, wav and sound"):
        sound.said(Say())


def test_the_twiml_that_it_reads() -> None:
    document = (
        '<?xml version="1.0"?><Response><Say>Hi</Say><Pause length="2"/><Connect>'
        '<Stream url="wss://a/b"><Parameter name="n" value="v&amp;w"/></Stream></Connect>'
        "<Hangup/></Response>"
    )
    assert read_twiml(document) == [
        SayVerb("Hi"),
        Pause(2.0),
        OpenStream("wss://a/b", {"n": "v&w"}),
        Hangup(),
    ]
    assert read_twiml('<Response><Reject reason="busy"/></Response>') == [Reject("busy")]


@pytest.mark.parametrize(
    "document",
    [
        "",
        "nonsense",
        "<Answer/>",
        "<Response><Dance/></Response>",
        "<Response><Connect/></Response>",
        '<Response><Connect><Stream url="https://a"/></Connect></Response>',
        '<Response><Connect><Stream url="wss://a?token=x"/></Connect></Response>',
        '<Response><Reject reason="mood"/></Response>',
        '<!DOCTYPE x [<!ENTITY a "b">]><Response>&a;</Response>',
    ],
)
def test_twiml_that_is_none(document: str) -> None:
    with pytest.raises(TwimlError):
        read_twiml(document)


async def test_a_call_to_a_dead_webhook_fails_and_is_told() -> None:
    async with client.running() as carrier:
        await carrier.add_account("AC1", "t")
        await carrier.add_number("+15550001000", "AC1", "http://127.0.0.1:1/voice")
        call = await carrier.call("+15550001000", "+15550002000")
        assert "ConnectError" in (await call.wait("call.broken"))["error"]
        await call.wait("call.over", status="failed")
        assert (await call.look())["status"] == "failed"
        with pytest.raises(TimeoutError, match=r"call\.broken"):
            await call.wait("agent.speaks", timeout_s=0.05)
        with pytest.raises(RuntimeError, match="no media stream"):
            await call.heard()
        with pytest.raises(RuntimeError, match="not known"):
            await carrier.call("+15550009999", "+15550002000")
        async with httpx.AsyncClient() as http:
            bad = await http.post(
                f"{carrier.url}/control/people",
                json={"number": "+1", "person": {"steps": [{"do": "dance"}]}},
            )
        assert bad.status_code == 400
        assert "dance" in bad.text


async def test_a_call_that_a_sip_telephone_refuses_is_told_to_be_over() -> None:
    anna, ben, way = "+15550001000", "+15550002000", way_of("sip")
    assert isinstance(way, Sip)
    here, there = way.telephones_port, way.platform_port
    async with httpx.AsyncClient() as http, AsyncExitStack() as opened:
        called, calling = Exchange(http), Exchange(http)
        of_anna = SipTelephones(called, anna, here, there)
        of_ben = SipTelephones(calling, ben, there, here)
        for telephones in (of_anna, of_ben):
            await telephones.start()
            opened.push_async_callback(telephones.aclose)
        for answer, status in (("busy", "busy"), ("no_answer", "no-answer")):
            called.expect(anna, Person.model_validate({"answer": answer, "ring_ms": 20}), 1)
            before = len(called.events)
            dialled = await of_ben.call(anna, ben, Person())
            async with asyncio.timeout(10):
                events = called.follow(before)
                over = await anext(e async for e in events if e["kind"] == "call.over")
            assert (over["call"], over["status"]) == (dialled.sid, status)


async def test_it_runs_by_hand_and_ends_with_its_parent() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.carrier", "--with-parent"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert b"http://127.0.0.1:" in await process.stdout.readline()
    process.stdin.close()
    async with asyncio.timeout(10):
        assert await process.wait() == 0


def test_a_person_is_checked() -> None:
    with pytest.raises(ValueError, match="loss"):
        Person(loss=2)
