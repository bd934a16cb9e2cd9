"""What the stand-ins of transcribing vendors have in common; each vendor's own file says how its
messages look, by the vendor's documentation and not by the adapter.

    ears = DeepgramEars(); ears.understands("a table for two")
    ears.fault = Fault("close", at="finalize", code=1011, reason="NET-0000")

Loud audio is speech. Of speech that was heard since the last final, the next of `understood` is
what it says; without speech a final is empty.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tests.fakes.vendors.net import Asked, Peer, PeerGone, Refusal

from chorus.audio.codec import decode, peak
from chorus.audio.frame import AudioFormat

KEY = "sk-stand-in-0123456789"
Kind = Literal["close", "kill", "garbage", "nonsense", "error", "stall"]
At = Literal["greeting", "audio", "finalize", "idle"]


@dataclass(frozen=True)
class Fault:
    """What goes wrong, once, and where; `idle` is after final words. `garbage` is no JSON,
    `nonsense` is JSON that is not as documented, `error` the vendor's own message of an error,
    `stall` is nothing at all from then on."""

    kind: Kind
    at: At = "audio"
    code: int = 1011
    reason: str = "going away"


@dataclass(frozen=True)
class Act:
    """What a client's message means."""

    audio: bytes | None = None
    finalize: bool = False
    bye: bool = False


class Talk:
    """One socket's. Times are milliseconds of audio of this socket."""

    def __init__(self, asked: Asked, format: AudioFormat) -> None:
        self.asked = asked
        self.format = format
        self.audio = bytearray()
        self.heard_ms = 0.0
        self.longest_ms = 0.0  # piece of audio
        self.final_ms = 0.0
        self.loud_ms = 0.0  # since the last final
        self.quiet_ms = 0.0  # since the last of it
        self.told_interim = False
        self.final_tokens = 0  # of this turn, told as final before its end
        self.messages = 0
        self.control: list[str | bytes] = []
        self.said_bye = False
        self.gone = False


class Ears:
    """Subclasses: `greeting`, `meaning`, `interim`, `final`, `error`, `format`."""

    greets = False
    interims = True
    answers_silence = True
    """A request for final words is answered where nobody spoke too."""
    answer_s = 0.05
    idle_s: float | None = None
    """After so long without a message it closes the socket, as the vendor does; None where it is
    not known to."""
    idle_close = (1000, "")

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.refuse: Refusal | None = None
        self.understood: deque[str] = deque()
        self.talks: list[Talk] = []
        self.finals = 0

    def understands(self, *texts: str) -> None:
        self.understood.extend(texts)

    # --- the vendor's own -------------------------------------------------------------------

    def authorized(self, asked: Asked) -> bool:
        raise NotImplementedError

    def format(self, asked: Asked) -> AudioFormat:
        raise NotImplementedError

    def greeting(self, talk: Talk) -> str | bytes | None:
        return None

    def meaning(self, talk: Talk, message: str | bytes) -> Act:
        raise NotImplementedError

    def interim(self, talk: Talk, text: str) -> Sequence[str | bytes]:
        raise NotImplementedError

    def final(self, talk: Talk, text: str, *, asked: bool) -> Sequence[str | bytes]:
        raise NotImplementedError

    def heartbeat(self, talk: Talk) -> Sequence[str | bytes]:
        """What comes with every piece of audio, whether anybody speaks or not."""
        return ()

    def error(self) -> str:
        raise NotImplementedError

    def idle_told(self) -> Sequence[str]:
        """What it says before it closes an idle socket."""
        return ()

    # --- all ----------------------------------------------------------------------------------

    def refusal(self, asked: Asked) -> Refusal | None:
        if self.refuse is not None:
            return self.refuse
        return None if self.authorized(asked) else Refusal(401, '{"message":"invalid key"}')

    async def talk(self, peer: Peer) -> None:
        talk = Talk(peer.asked, self.format(peer.asked))
        self.talks.append(talk)
        try:
            await self._converse(peer, talk)
        except PeerGone:
            talk.gone = True

    async def _converse(self, peer: Peer, talk: Talk) -> None:
        if await self._goes_wrong(peer, "greeting"):
            return
        if (greeting := self.greeting(talk)) is not None:
            await peer.send(greeting)
        while True:
            finals = self.finals
            message = await self._next(peer)
            talk.messages += 1
            act = self.meaning(talk, message)
            if act.audio is None:
                talk.control.append(message)
            else:
                self._hear(talk, act.audio)
                if talk.loud_ms and await self._goes_wrong(peer, "audio"):
                    return
                for each in self.heartbeat(talk):
                    await peer.send(each)
                if self.interims and talk.loud_ms > 150 and not talk.told_interim:
                    talk.told_interim = True
                    if self.understood:
                        for each in self.interim(talk, self.understood[0]):
                            await peer.send(each)
            if act.finalize:
                if talk.loud_ms and await self._goes_wrong(peer, "finalize"):
                    return
                await asyncio.sleep(self.answer_s)
                if talk.loud_ms or self.answers_silence:
                    text = self.take(talk)
                    for each in self.final(talk, text, asked=True):
                        await peer.send(each)
                    self.settle(talk)
            if act.bye:
                talk.said_bye = True
                await peer.close()
                return
            if self.finals > finals and await self._goes_wrong(peer, "idle"):
                return

    async def _next(self, peer: Peer) -> str | bytes:
        try:
            async with asyncio.timeout(self.idle_s):
                return await peer.recv()
        except TimeoutError:
            for each in self.idle_told():
                await peer.send(each)
            await peer.close(*self.idle_close)
            raise PeerGone from None

    def take(self, talk: Talk) -> str:
        return self.understood.popleft() if talk.loud_ms and self.understood else ""

    def settle(self, talk: Talk) -> None:
        self.finals += 1
        talk.final_ms, talk.loud_ms, talk.told_interim = talk.heard_ms, 0.0, False

    def _hear(self, talk: Talk, audio: bytes) -> None:
        talk.audio += audio
        length_ms = talk.format.ms(len(audio))
        talk.heard_ms += length_ms
        talk.longest_ms = max(talk.longest_ms, length_ms)
        if audio and peak(decode(talk.format, audio)) > 500:
            talk.loud_ms += length_ms
            talk.quiet_ms = 0.0
        else:
            talk.quiet_ms += length_ms

    async def _goes_wrong(self, peer: Peer, at: At) -> bool:
        fault = self.fault
        if fault is None or fault.at != at:
            return False
        self.fault = None
        match fault.kind:
            case "close":
                await peer.close(fault.code, fault.reason)
            case "kill":
                await peer.kill()
            case "garbage":
                await peer.send("<html>502</html>")
            case "nonsense":
                await peer.send('["not", "as", "documented"]')
            case "error":
                await peer.send(self.error())
            case "stall":
                pass
        while True:  # it listens and says nothing more
            await peer.recv()
