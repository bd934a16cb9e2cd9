"""A person acts: takes the steps one after the other, at a telephone."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable

from chorus.demo.carrier import person as p
from chorus.demo.carrier.exchange import Exchange
from chorus.demo.carrier.handset import Handset
from chorus.demo.carrier.sound import said


class Actor:
    """Steps wait in a queue; more can be added while the call lasts."""

    def __init__(self, exchange: Exchange, call_sid: str, steps: Iterable[p.Step]) -> None:
        self._exchange = exchange
        self._call_sid = call_sid
        self._steps: asyncio.Queue[p.Step] = asyncio.Queue()
        self.add(steps)

    def add(self, steps: Iterable[p.Step]) -> None:
        for step in steps:
            self._steps.put_nowait(step)

    def left(self) -> list[p.Step]:
        """The steps that are not begun, for another telephone to go on with."""
        steps: list[p.Step] = []
        while not self._steps.empty():
            steps.append(self._steps.get_nowait())
        return steps

    async def run(self, stream: Handset) -> None:
        await stream.opened.wait()
        while True:
            step = await self._steps.get()
            try:
                in_time = await _take(stream, step)
            except (ValueError, OSError) as error:
                self._exchange.tell("step.failed", self._call_sid, step=step.do, error=str(error))
                continue
            if self._steps.empty() or not in_time:
                kind = "steps.done" if in_time else "step.timeout"
                self._exchange.tell(kind, self._call_sid, step=step.do)


async def _take(stream: Handset, step: p.Step) -> bool:
    """Whether what the step waited for came in time."""
    match step:
        case p.Say():
            await stream.say(said(step), step.name)
        case p.Wait():
            await asyncio.sleep(step.ms / 1000)
        case p.WaitAgent():
            return await stream.until(
                lambda: (
                    stream.speaks_since_s is not None
                    and (stream.audible_s - stream.speaks_since_s) * 1000 >= step.heard_ms
                ),
                step.timeout_ms / 1000,
            )
        case p.WaitQuiet():
            return await stream.until(
                lambda: stream.answered and stream.quiet_s * 1000 >= step.quiet_ms,
                step.timeout_ms / 1000,
            )
        case p.Press():
            for digit in step.digits:
                await stream.press(digit)
                await asyncio.sleep(step.gap_ms / 1000)
        case p.HangUp():
            stream.end("hung_up")
        case p.Drop():
            stream.end("dropped")
        case p.Leave():
            stream.end("left")
        case p.Mute():
            stream.mute(step.ms)
            await asyncio.sleep(step.ms / 1000)
        case p.Deaf():
            stream.deafen(step.ms)
        case p.Send():
            for _ in range(step.times):
                if step.text is not None:
                    await stream.send(step.text.replace("{streamSid}", stream.stream_sid))
                if step.binary is not None:
                    await stream.send(base64.b64decode(step.binary))
    return True
