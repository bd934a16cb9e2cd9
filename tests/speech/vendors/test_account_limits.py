"""An account that may have only so much under way at once: what is more waits for a place, and
goes to the next vendor where none comes free. On virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Any

import pytest
from tests.fakes.http_peer import Asked as HttpAsked
from tests.fakes.http_peer import HttpPeer, respond
from tests.fakes.speech import Clauses, FakeVoice
from tests.fakes.vendors.cartesia import SonicMouth
from tests.fakes.vendors.hearing import KEY
from tests.fakes.vendors.net import Asked, MemoryNet, Peer, Refusal
from tests.fakes.vendors.speaking import MS_PER_CHAR
from tests.fakes.virtual import run_virtual
from tests.speech.vendors.cases import EARS, EarsCase

from chorus.audio.frame import MULAW_8K, PCM_16K
from chorus.outbound import Outbound
from chorus.speech.engines import EngineFailed, Hints, Transcription, VoiceSession, VoiceStyle
from chorus.speech.ranking import FULL_S, Ranking, Rests
from chorus.speech.tts.cartesia import CartesiaVoice
from chorus.speech.vendor.clause_requests import ClauseRequest, RequestSession
from chorus.speech.vendor.failures import Failures
from chorus.speech.vendor.limits import (
    GROW_S,
    MOST_WAITING,
    WAIT_S,
    Limit,
    all_limits,
    counts,
    is_limit,
    limits_of,
)
from chorus.speech.vendor.options import SpeakingOptions

MOST = 2
URL = "https://vendor.example"


def virtual(scene: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(1000):
            await scene

    run_virtual(bounded())


def ignore(_: object) -> None: ...


class Crowded:
    """A vendor whose account may have `MOST` sockets. `said`: it takes a socket more, says that and
    closes it; else it refuses the handshake."""

    def __init__(self, inner: Any, said: str | tuple[int, str] | None = None) -> None:
        self._inner = inner
        self._said = said
        self.live = self.asked = 0

    def refusal(self, asked: Asked) -> Refusal | None:
        self.asked += 1
        if self._said is None and self.live >= MOST:
            return Refusal(429, '{"err_code":"TOO_MANY_REQUESTS","err_msg":"Too many requests."}')
        return self._inner.refusal(asked)

    async def talk(self, peer: Peer) -> None:
        if self.live >= MOST:
            if isinstance(self._said, str):
                await peer.send(self._said)
                await peer.close(1000)
            elif self._said is not None:
                await peer.close(*self._said)
            return
        self.live += 1
        try:
            await self._inner.talk(peer)
        finally:
            self.live -= 1


@pytest.mark.parametrize("case", EARS, ids=lambda case: case.name.replace(" ", "-"))
def test_a_stream_waits_for_the_end_of_another_and_then_gives_way(case: EarsCase) -> None:
    async def scene() -> None:
        vendor = Crowded(case.ears())
        net = MemoryNet({"": vendor})
        adapter = case.transcriber(KEY, net, URL)
        loop = asyncio.get_running_loop()

        async def opened() -> Transcription:
            format = adapter.takes(MULAW_8K)
            return await adapter.open(format, Hints(("en",)), ignore, ignore)

        first, second = await opened(), await opened()
        loop.call_later(0.4, lambda: tasks.append(asyncio.create_task(first.close())))
        tasks: list[asyncio.Task[None]] = []
        third = await opened()  # refused, and tried again when the first is closed
        assert vendor.asked == 4
        begun_s = loop.time()
        with pytest.raises(EngineFailed) as caught:
            await opened()
        assert caught.value.kind == "full"
        assert KEY not in str(caught.value)
        assert loop.time() - begun_s == pytest.approx(WAIT_S)
        assert vendor.asked == 4  # what is known to be refused is not asked
        await asyncio.gather(*tasks, second.close(), third.close())
        await asyncio.sleep(1)
        assert [limit.under_way for limit in limits_of(net)] == [0, 0]
        await (await opened()).close()

    virtual(scene())


SAID = {
    "assemblyai": (1008, "Unauthorized connection: Too many concurrent sessions"),
    "soniox": '{"error_code":429,"error_message":"Too many concurrent requests."}',
}


@pytest.mark.parametrize("name", SAID)
def test_a_refusal_over_the_socket_is_learnt_from(name: str) -> None:
    case = next(case for case in EARS if case.vendor == name)

    async def scene() -> None:
        vendor = Crowded(case.ears(), SAID[name])
        adapter = case.transcriber(KEY, MemoryNet({"": vendor}), URL)
        failures: list[EngineFailed] = []

        async def opened() -> Transcription:
            format = adapter.takes(MULAW_8K)
            return await adapter.open(format, Hints(("en",)), ignore, failures.append)

        streams = [await opened(), await opened()]
        try:
            streams.append(await opened())
        except EngineFailed as failed:
            failures.append(failed)
        await asyncio.sleep(0.5)
        assert [failure.kind for failure in failures] == ["full"]
        with pytest.raises(EngineFailed) as caught:
            await opened()
        assert caught.value.kind == "full"
        assert vendor.asked == 3
        await asyncio.gather(*(stream.close() for stream in streams))

    virtual(scene())


class BusyMouth(SonicMouth):
    """It makes `MOST` replies at once, over all sockets, and says so of one that is more."""

    def __init__(self) -> None:
        super().__init__()
        self.pace = 1.0
        self.making: set[str] = set()
        self.refusals = 0

    async def talk(self, peer: Peer) -> None:
        inner, tell, refused = peer.recv, peer.send, set[str]()

        async def send(message: str | bytes) -> None:
            event = json.loads(message)
            if event["type"] == "done":
                self.making.discard(f"{id(peer)} {event['context_id']}")
            await tell(message)

        async def recv() -> str | bytes:
            while True:
                message = await inner()
                context = json.loads(message)["context_id"]
                key = f"{id(peer)} {context}"
                if context in refused:
                    continue
                if key in self.making or len(self.making) < MOST:
                    self.making.add(key)
                    return message
                self.refusals += 1
                refused.add(context)
                await peer.send(
                    json.dumps(
                        {
                            "type": "error",
                            "context_id": context,
                            "status_code": 429,
                            "title": "Concurrency limit exceeded",
                            "message": "Too many concurrent requests",
                        }
                    )
                )

        peer.recv, peer.send = recv, send  # type: ignore[method-assign]
        try:
            await super().talk(peer)
        finally:
            self.making = {key for key in self.making if not key.startswith(f"{id(peer)} ")}


async def spoken_ms(session: VoiceSession, *texts: str) -> float:
    async with aclosing(session.speak(Clauses(*texts))) as pieces:
        return sum([MULAW_8K.ms(len(piece.audio)) async for piece in pieces])


def test_a_reply_that_is_one_too_many_gives_way_and_later_ones_wait() -> None:
    async def scene() -> None:
        mouth = BusyMouth()
        net = MemoryNet({"": mouth})
        voice = CartesiaVoice(KEY, SpeakingOptions(), net=net)
        sessions = [await voice.open(MULAW_8K, VoiceStyle(language="en")) for _ in range(4)]
        long = "This takes quite some time."
        speaking = [asyncio.create_task(spoken_ms(each, long)) for each in sessions[:2]]
        await asyncio.sleep(0.1)
        with pytest.raises(EngineFailed) as caught:
            await spoken_ms(sessions[2], "One.")
        assert caught.value.kind == "full"
        await asyncio.sleep(0.6)
        assert mouth.refusals == 1
        begun_s = asyncio.get_running_loop().time()
        assert await spoken_ms(sessions[3], "Two.") == pytest.approx(4 * MS_PER_CHAR, abs=60)
        assert asyncio.get_running_loop().time() - begun_s > 0.3  # it had to wait
        assert mouth.refusals == 1
        assert await asyncio.gather(*speaking) == [pytest.approx(27 * MS_PER_CHAR, abs=60)] * 2
        for session in sessions:
            await session.aclose()
        assert all(limit.under_way == 0 for limit in limits_of(net))

    virtual(scene())


async def one_at_a_time(
    live: list[int], refused: list[int], asked: HttpAsked
) -> AsyncIterator[bytes]:
    """Speech over HTTP; it refuses a request while another is under way."""
    if live[0]:
        refused[0] += 1
        yield respond(429, {"error": {"message": "Too many concurrent requests"}})
        return
    live[0] += 1
    try:
        yield b"HTTP/1.1 200 OK\r\ncontent-type: audio/pcm\r\ncontent-length: 1600\r\n\r\n"
        await asyncio.sleep(0.05)
        yield bytes(range(1, 201)) * 8
    finally:
        live[0] -= 1


async def test_a_request_that_is_refused_is_asked_again_when_another_is_over() -> None:
    live, refused = [0], [0]
    outbound = Outbound(allow_private=True)
    async with HttpPeer(lambda asked: one_at_a_time(live, refused, asked)) as peer:
        request = ClauseRequest(f"{peer.url}/speech", (), b"{}")
        session = RequestSession(outbound, Failures("acme", KEY), PCM_16K, lambda _: request)
        async with aclosing(session.speak(Clauses("One.", " Two.", " Three."))) as pieces:
            said = [piece.clause async for piece in pieces if piece.last]
        assert said == [0, 1, 2]
        assert refused[0] == 1
        await outbound.aclose()


def test_the_account_is_full_for_the_call_that_was_refused_and_not_for_others() -> None:
    async def main() -> None:
        rests, a, b = Rests(), FakeVoice(name="a"), FakeVoice(name="b")
        refused, other = Ranking([a, b], rests), Ranking([a, b], rests)
        refused.failed(a, EngineFailed("a", "open", "scripted", "full"))
        assert refused.order() == [b, a]
        assert refused.rests_now(a)
        assert not refused.has_other(b)
        assert other.order() == [a, b]  # it has its place already, and its caller knows the voice
        await asyncio.sleep(FULL_S + 0.1)
        assert refused.order() == [a, b]

    virtual(main())


def busy(words: str) -> EngineFailed:
    return Failures("acme", KEY).status("open", 429, words)


def limit() -> Limit:
    return limits_of(MemoryNet({})).of(Failures("acme", KEY), "socket")


def test_the_line_for_a_place_has_an_order_and_an_end() -> None:
    async def scene() -> None:
        one, failures, got = limit(), Failures("acme", KEY), list[int]()
        await one.take(failures, "open")
        one.refused(busy("too many"), others=1)

        async def want(number: int) -> None:
            await one.take(failures, "open")
            got.append(number)

        waiting = [asyncio.create_task(want(number)) for number in range(MOST_WAITING)]
        await asyncio.sleep(0.1)
        begun_s = asyncio.get_running_loop().time()
        with pytest.raises(EngineFailed):
            await one.take(failures, "open")
        assert asyncio.get_running_loop().time() == begun_s  # the line is long enough
        waiting[0].cancel()
        one.give()
        await asyncio.sleep(0.01)
        assert got == [1]
        one.give()
        await asyncio.sleep(0.01)
        assert got == [1, 2]
        await asyncio.sleep(WAIT_S)
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert sum(isinstance(outcome, EngineFailed) for outcome in outcomes) == MOST_WAITING - 3
        one.give()
        assert one.idle
        await one.take(failures, "open")

    virtual(scene())


def test_a_limit_is_forgotten_bit_by_bit() -> None:
    async def scene() -> None:
        one, failures = limit(), Failures("acme", KEY)
        await one.take(failures, "open")
        one.refused(busy("too many"), others=1)
        assert one.most == 1
        await asyncio.sleep(GROW_S)
        await one.take(failures, "open")
        assert one.most == 2
        with pytest.raises(EngineFailed):
            await one.take(failures, "open")

    virtual(scene())


def test_what_the_vendor_tells_of_its_limit_is_taken() -> None:
    async def scene() -> None:
        one, failures = limit(), Failures("acme", KEY)
        await one.take(failures, "open")
        one.refused(busy("x"), others=0, headers={"maximum-concurrent-requests": "5"})
        assert one.most == 5
        one.refused(busy("x"), others=0, headers={"retry-after": "7"})
        with pytest.raises(EngineFailed):
            await one.take(failures, "open")
        one.give()
        await asyncio.sleep(6.5)
        begun_s = asyncio.get_running_loop().time()
        await one.take(failures, "open")
        assert asyncio.get_running_loop().time() - begun_s == pytest.approx(0.5)

    virtual(scene())


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (busy("Too many requests"), True),
        (busy("too_many_concurrent_requests"), True),
        (busy("system_busy"), False),
        (Failures("acme", KEY).status("speak", 1008, "max_active_conversations"), False),
        (Failures("acme", KEY).status("speak", 503, "overloaded"), False),
        (Failures("acme", KEY).status("speak", 429, "insufficient_quota"), False),
        (Failures("acme", KEY).status("lost", 0, "rate_limited"), True),
    ],
)
def test_a_limit_of_the_account_is_told_from_other_troubles(
    failure: EngineFailed, expected: bool
) -> None:
    assert is_limit(failure) is expected


def test_what_waits_and_what_is_refused_is_counted() -> None:
    async def scene() -> None:
        net = MemoryNet({})
        failures = Failures("counted", KEY)
        one = limits_of(net).of(failures, "request")
        await one.take(failures, "speak")
        one.refused(busy("too many"), others=1)
        with pytest.raises(EngineFailed):
            await one.take(failures, "speak")
        asyncio.get_running_loop().call_later(0.2, one.give)
        await one.take(failures, "speak")
        mine = {outcome: n for (vendor, outcome), n in counts.items() if vendor == "counted"}
        assert mine == {"refused": 1, "turned_away": 1, "waited": 1}
        assert one in all_limits()

    virtual(scene())
