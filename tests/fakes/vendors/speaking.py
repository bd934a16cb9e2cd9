"""What the stand-ins of speaking vendors have in common; each vendor's own file says how its
messages look, by the vendor's documentation and not by the adapter.

A character is a tone of `MS_PER_CHAR`, so that a test knows where every word must end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tests.fakes.speech import tone
from tests.fakes.vendors.net import Asked, Peer, Refusal

from chorus.audio.frame import AudioFormat

MS_PER_CHAR = 50.0
PIECE_MS = 200.0
Units = Sequence[tuple[str, float, float]]
"""Characters, and where each begins and ends in the context's audio, in milliseconds."""

Kind = Literal["close", "kill", "garbage", "nonsense", "error", "stall", "mute"]
At = Literal["text", "audio", "later"]


@dataclass(frozen=True)
class Fault:
    """What goes wrong, once: when the first text comes, after a first piece of audio, or after
    that of a second clause. `mute`: it says that all was spoken and sent no audio."""

    kind: Kind
    at: At = "audio"
    code: int = 1011
    reason: str = "going away"


@dataclass(frozen=True)
class Wish:
    """What a client's message means. `end`: no more text; `flush`: speak what there is;
    `refused`: it is answered with an error, and nothing else changes."""

    kind: Literal["text", "flush", "end", "cancel", "refused", "bye", "other"]
    context: str = ""
    text: str = ""


@dataclass
class Spoken:
    """One context's. `sounded`: how many characters were spoken; `ms`: of audio."""

    text: str = ""
    sounded: int = 0
    clauses: int = 0
    ended: bool = False
    cancelled: bool = False


class Mouth:
    """Subclasses: `authorized`, `format`, `meaning`, `sound`, `clause_done`, `done`,
    `cancelled`, `error`. `pace`: so many times faster than it is heard; None is at once.
    `flushed`: it waits for a flush; otherwise it speaks each text as it comes."""

    flushed = True
    most_contexts = 1
    context_per_clause = False
    errors_by_context = False
    """An error ends the context that it names, and not the socket."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.refuse: Refusal | None = None
        self.pace: float | None = None
        self.first_s = 0.0
        self.sockets: list[Asked] = []
        self.contexts: list[Spoken] = []
        self.control: list[str | bytes] = []
        self.byes = 0

    # --- the vendor's own -------------------------------------------------------------------

    def authorized(self, asked: Asked) -> bool:
        raise NotImplementedError

    def format(self, asked: Asked) -> AudioFormat:
        raise NotImplementedError

    def meaning(self, asked: Asked, message: str | bytes) -> Sequence[Wish]:
        raise NotImplementedError

    def sound(self, context: str, audio: bytes, units: Units) -> Sequence[str | bytes]:
        raise NotImplementedError

    def clause_done(self, context: str) -> Sequence[str | bytes]:
        return ()

    def done(self, context: str) -> Sequence[str | bytes]:
        return ()

    def cancelled(self, context: str) -> Sequence[str | bytes]:
        return ()

    def error(self, context: str) -> str:
        raise NotImplementedError

    # --- all ----------------------------------------------------------------------------------

    @property
    def said(self) -> list[str]:
        """The texts that were sent, a context each."""
        return [context.text for context in self.contexts]

    def refusal(self, asked: Asked) -> Refusal | None:
        if self.refuse is not None:
            return self.refuse
        return None if self.authorized(asked) else Refusal(401, '{"message":"invalid key"}')

    async def talk(self, peer: Peer) -> None:
        self.sockets.append(peer.asked)
        contexts: dict[str, tuple[Spoken, asyncio.Queue[Wish], asyncio.Task[None]]] = {}
        stalled = asyncio.Event()
        try:
            while True:
                message = await peer.recv()
                for wish in self.meaning(peer.asked, message):
                    if stalled.is_set():
                        continue
                    if wish.kind == "bye":
                        self.byes += 1
                        await peer.close()
                        return
                    if wish.kind == "other":
                        self.control.append(message)
                        continue
                    if wish.kind == "refused":
                        await peer.send(self.error(wish.context))
                        continue
                    found = contexts.get(wish.context)
                    if wish.kind == "cancel":
                        assert found is not None, "a context that there is not is cancelled"
                        found[0].cancelled = True
                        found[2].cancel()
                        await asyncio.gather(found[2], return_exceptions=True)
                        del contexts[wish.context]
                        for each in self.cancelled(wish.context):
                            await peer.send(each)
                        continue
                    if found is None or (found[2].done() and not found[2].cancelled()):
                        spoken, queue = Spoken(), asyncio.Queue[Wish]()
                        self.contexts.append(spoken)
                        making = asyncio.create_task(
                            self._make(peer, wish.context, spoken, queue, stalled),
                            name="stand-in voice",
                        )
                        live = [c for c in contexts.values() if not c[2].done()]
                        assert len(live) < self.most_contexts, "too many contexts at once"
                        found = contexts[wish.context] = (spoken, queue, making)
                    found[1].put_nowait(wish)
        finally:
            for _, _, making in contexts.values():
                making.cancel()
            await asyncio.gather(*(c[2] for c in contexts.values()), return_exceptions=True)

    async def _make(
        self,
        peer: Peer,
        context: str,
        spoken: Spoken,
        queue: asyncio.Queue[Wish],
        stalled: asyncio.Event,
    ) -> None:
        format = self.format(peer.asked)
        while True:
            wish = await queue.get()
            if wish.kind == "text":
                spoken.text += wish.text
                if await self._goes_wrong(peer, context, "text", stalled):
                    return
            due = wish.kind in ("flush", "end") or not self.flushed
            if due and not await self._speak(peer, context, spoken, format, stalled):
                return
            if wish.kind == "flush":
                for each in self.clause_done(context):
                    await peer.send(each)
            if wish.kind == "end":
                spoken.ended = True
                for each in self.done(context):
                    await peer.send(each)
                return

    async def _speak(
        self,
        peer: Peer,
        context: str,
        spoken: Spoken,
        format: AudioFormat,
        stalled: asyncio.Event,
    ) -> bool:
        """What was not spoken yet. False: it went wrong."""
        if spoken.sounded == len(spoken.text):
            return True
        spoken.clauses += 1
        if spoken.clauses == 1 and self.first_s:
            await asyncio.sleep(self.first_s)
        per_piece = int(PIECE_MS / MS_PER_CHAR)
        first = True
        while spoken.sounded < len(spoken.text):
            begin = spoken.sounded
            end = min(begin + per_piece, len(spoken.text))
            units = [
                (spoken.text[at], at * MS_PER_CHAR, (at + 1) * MS_PER_CHAR)
                for at in range(begin, end)
            ]
            audio = tone(format, (end - begin) * MS_PER_CHAR)
            spoken.sounded = end
            mute = self.fault is not None and self.fault.kind == "mute"
            for each in () if mute else self.sound(context, audio, units):
                await peer.send(each)
            if self.pace is not None:
                await asyncio.sleep((end - begin) * MS_PER_CHAR / 1000 / self.pace)
            later = spoken.clauses > 1 or (
                self.context_per_clause and spoken is not self.contexts[0]
            )
            at: At = "later" if later else "audio"
            if first and not mute and await self._goes_wrong(peer, context, at, stalled):
                return False
            first = False
        return True

    async def _goes_wrong(self, peer: Peer, context: str, at: At, stalled: asyncio.Event) -> bool:
        fault = self.fault
        if fault is None or fault.at != at or fault.kind == "mute":
            return False
        self.fault = None
        if not (fault.kind == "error" and self.errors_by_context):
            stalled.set()
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
                await peer.send(self.error(context))
            case _:
                pass
        return True
