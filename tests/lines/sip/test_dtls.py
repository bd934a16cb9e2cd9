"""Keys by DTLS: the handshake over packets that get lost, the fingerprint, and a real telephone."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from tests.lines.sip.exchange import NUMBER, exchange
from tests.lines.sip.peers import baresip, loudest_hz, needs_baresip
from tests.lines.sip.streams import THERE, agreed, voice

from chorus.audio import codec as samples
from chorus.audio.frame import MULAW_8K
from chorus.lines.line import LineCause
from chorus.lines.sip.grammar import Malformed
from chorus.lines.sip.media import dtls
from chorus.lines.sip.media.stream import MediaStream
from chorus.lines.sip.negotiate import Association, Negotiation
from chorus.lines.sip.sdp import Fingerprint, parse_sdp

pytestmark = pytest.mark.skipif(not dtls.available(), reason="the extra sip is not installed")


class Side:
    """One stream with an identity; what it sends is taken by the other after 20 ms, or lost."""

    def __init__(self, name: str = "here") -> None:
        self.identity = dtls.Identity()
        self.sent: list[bytes] = []
        self.reports: list[bytes] = []
        self.audio = bytearray()
        self.failed: list[str] = []
        self.stream = MediaStream(
            lambda data, place: self.sent.append(data),
            lambda data, place: self.reports.append(data),
            lambda audio, at_ms: self.audio.extend(audio),
            lambda key: None,
            lambda: 1_700_000_000.0,
            self.identity,
            self.failed.append,
        )

    def agree(self, peer: Fingerprint, *, active: bool, mux: bool = True) -> None:
        both = agreed(dtls=Association(active, peer), rtcp_mux=mux)
        self.stream.agree(both, THERE[0], 0.0)


def _pair(**more: bool) -> tuple[Side, Side]:
    one, other = Side(), Side()
    one.agree(other.identity.fingerprint, active=True, **more)
    other.agree(one.identity.fingerprint, active=False, **more)
    return one, other


def _run(one: Side, other: Side, seconds: float, *, loss: float = 0.0, at_s: float = 0.0) -> float:
    chance = random.Random(7)
    for _ in range(round(seconds / 0.02)):
        for side, far in ((one, other), (other, one)):
            sent, side.sent[:] = list(side.sent), []
            for data in sent:
                if chance.random() >= loss:
                    far.stream.received(data, THERE, at_s)
        for side in (one, other):
            side.stream.tick(at_s)
        at_s += 0.02
    return at_s


def test_both_get_keys_and_hear_each_other() -> None:
    one, other = _pair()
    assert all(dtls.is_dtls(each) for each in one.sent)
    # What is said before the keys are there waits for them, and is heard from its first word.
    one.stream.play(samples.encode(MULAW_8K, voice()))
    at_s = _run(one, other, 1.4)
    assert bytes(other.audio).startswith(samples.encode(MULAW_8K, voice()))
    assert one.stream.quality.encrypted
    _run(one, other, 6, at_s=at_s)
    assert one.stream._peer.last_sr  # reports came by the same port
    assert one.reports == []
    assert one.failed == other.failed == []


def test_nothing_goes_in_the_clear_before_and_nothing_clear_is_heard() -> None:
    one, other = _pair()
    one.sent.clear()
    one.stream.play(samples.encode(MULAW_8K, voice()))
    for tick in range(20):
        one.stream.tick(tick * 0.02)
    assert all(dtls.is_dtls(each) for each in one.sent)
    assert one.reports == []
    from tests.lines.sip.streams import spoken

    for number, packet in enumerate(spoken()):
        other.stream.received(packet, THERE, number * 0.02)
    assert other.audio == b""


def test_a_strangers_certificate_gets_no_keys() -> None:
    one, other = Side(), Side()
    one.agree(Fingerprint("sha-256", "00" * 32), active=True)
    other.agree(one.identity.fingerprint, active=False)
    _run(one, other, 0.3)
    assert one.stream._srtp is None
    assert "fingerprint" in one.failed[0]


def test_nobody_there_ends_it_and_strangers_do_not_disturb() -> None:
    one = Side()
    one.agree(Fingerprint("sha-256", "00" * 32), active=True)
    first = len(one.sent)
    one.stream.received(b"\x16\xfe\xfd" + bytes(40), ("203.0.113.66", 5000), 0.0)
    assert one.failed == []
    one.stream.tick(dtls.GIVE_UP_S + 1)
    assert first > 0
    assert one.failed == ["the other side did not finish the DTLS handshake"]


async def test_what_is_lost_is_sent_again() -> None:
    """By OpenSSL's own clock: its first flight is answered by nobody for a second."""
    one, other = _pair()
    one.sent.clear()
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(10):
        while other.stream._srtp is None:
            one.stream.tick(0.0)
            await asyncio.sleep(0.05)
            for side, far in ((one, other), (other, one)):
                sent, side.sent[:] = list(side.sent), []
                for data in sent:
                    far.stream.received(data, THERE, loop.time())
    assert one.failed == other.failed == []


def test_broken_datagrams_never_raise() -> None:
    chance = random.Random(3)
    one, other = _pair()
    (hello, *_) = one.sent
    for _ in range(300):
        data = bytearray(hello)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        data[0] = chance.randrange(20, 64)
        other.stream.received(bytes(data[: chance.randrange(1, len(data))]), THERE, 0.0)


OFFER = (
    b"v=0\r\nc=IN IP4 192.0.2.7\r\na=fingerprint:SHA-256 " + b":".join([b"AB"] * 32) + b"\r\n"
    b"m=audio 4000 UDP/TLS/RTP/SAVPF 0\r\na=setup:actpass\r\na=rtcp-mux\r\n"
)
OURS = Fingerprint("sha-256", "cd" * 32)


def _negotiation(**more: object) -> Negotiation:
    values = {"fingerprint": OURS, **more}
    return Negotiation(("PCMU",), "192.0.2.1", 40000, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [(b"actpass", "active"), (b"passive", "active"), (b"active", "passive")],
)
def test_an_offer_of_dtls_is_answered(theirs: bytes, ours: str) -> None:
    body, both = _negotiation().answer(OFFER.replace(b"actpass", theirs))
    assert both.dtls == Association(ours == "active", Fingerprint("sha-256", "ab" * 32))
    assert both.send_key is None
    audio = parse_sdp(body).audio
    assert audio is not None
    assert (audio.protocol, audio.setup, audio.fingerprint) == ("UDP/TLS/RTP/SAVPF", ours, OURS)
    assert audio.rtcp_mux
    assert both.rtcp_mux


def test_an_offer_of_ours_is_agreed_and_a_new_one_keeps_the_association() -> None:
    one, other = _negotiation(srtp=True, dtls=True), _negotiation()
    body, theirs = other.answer(one.offer())
    ours = one.answered(body)
    assert ours.dtls is not None
    assert theirs.dtls is not None
    assert (ours.dtls.active, theirs.dtls.active) == (False, True)
    # A hold from the other side: it offers actpass again, and nobody begins anew.
    body, again = one.answer(other.offer("sendonly"))
    assert again.dtls == ours.dtls
    assert b"UDP/TLS/RTP/SAVP 0" in body
    assert b"a=setup:passive" in body
    assert other.answered(body).dtls == theirs.dtls


@pytest.mark.parametrize(
    "offer",
    [OFFER.replace(b"SHA-256", b"md5"), OFFER.replace(b"AB:AB", b"XX:YY"),
     OFFER.replace(b"actpass", b"holdconn")],
)  # fmt: skip
def test_dtls_that_cannot_be_checked_is_refused(offer: bytes) -> None:
    with pytest.raises(Malformed) as raised:
        _negotiation().answer(offer)
    assert raised.value.status == 488


def test_without_the_library_it_is_refused() -> None:
    with pytest.raises(Malformed, match="not installed"):
        _negotiation(fingerprint=None).answer(OFFER)


def test_an_answer_in_the_clear_to_dtls_is_refused() -> None:
    one = _negotiation(srtp=True, dtls=True)
    one.offer()
    with pytest.raises(Malformed):
        one.answered(b"v=0\r\nc=IN IP4 192.0.2.7\r\nm=audio 4000 RTP/AVP 0\r\n")


ACCOUNT = (
    "<sip:+4940999@127.0.0.1:{port}>;regint=0;answermode=auto;mediaenc=dtls_srtp;"
    "audio_codecs=PCMU/8000/1"
)


@needs_baresip
@pytest.mark.parametrize("mux", [True, False])
async def test_a_telephone_that_asks_for_it(tmp_path: Path, mux: bool) -> None:
    more = f"rtcp_mux {'yes' if mux else 'no'}"
    async with (
        exchange() as here,
        baresip(tmp_path / "bob", ACCOUNT, modules="module dtls_srtp.so", more=more) as bob,
    ):
        here.trust()
        bob.command("dial", f"sip:{NUMBER}@127.0.0.1:{here.port}")
        talk = await here.desk.talk()
        await here.desk.until(lambda: len(talk.heard) > 16000)
        assert loudest_hz(bytes(talk.heard[-8000:])) == pytest.approx(440, abs=10)
        if mux:
            bob.command("hold")
            await here.desk.until(lambda: talk.moves)
            bob.command("resume")
            await here.desk.until(lambda: len(talk.moves) == 2)
            heard = len(talk.heard)
            await here.desk.until(lambda: len(talk.heard) > heard + 8000)
        await talk.line.hang_up()
        assert (await talk.ended).cause is LineCause.LOCAL
        assert talk.line.quality is not None
        assert talk.line.quality.encrypted
    assert loudest_hz(bob.heard()[2000:10000]) == pytest.approx(1000, abs=10)
