"""A browser's line without its socket, on a virtual clock."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.fakes.virtual import run_virtual

from chorus.audio.frame import MULAW_8K, PCM_16K
from chorus.lines.browser import line as lines
from chorus.lines.browser.line import BrowserLine
from chorus.lines.browser.messages import Resume, Start, WrongMessage, read, read_first
from chorus.lines.line import LineCause, LineEnded, LineMove


class Ear:
    def __init__(self) -> None:
        self.chunks: list[tuple[bytes, float]] = []
        self.digits = ""
        self.ended: list[LineEnded] = []

    def line_audio(self, chunk: bytes, at_ms: float) -> None:
        self.chunks.append((chunk, at_ms))

    def line_digit(self, digit: str) -> None:
        self.digits += digit

    def line_moved(self, move: LineMove) -> None: ...

    def line_ended(self, ended: LineEnded) -> None:
        self.ended.append(ended)


def attached() -> tuple[BrowserLine, Ear]:
    line, ear = BrowserLine("a-call", MULAW_8K), Ear()
    line.attach()
    line.start(ear)
    return line, ear


def sent(line: BrowserLine) -> tuple[list[dict[str, Any]], bytes]:
    """All that it has to send now: messages, and audio."""
    messages, audio = list[dict[str, Any]](), b""
    while (content := line.next_message()) is not None:
        if isinstance(content, bytes):
            audio += content
        else:
            messages.append(json.loads(content))
    return messages, audio


def played(epoch: int, samples: int, **more: Any) -> str:
    told = {"type": "played", "epoch": epoch, "played": samples, "received": samples}
    return json.dumps(told | {"plays": False} | more)


def test_a_new_socket_goes_on_where_the_old_one_broke_off() -> None:
    async def main() -> None:
        line, ear = attached()
        audio = bytes(range(200)) * 8
        line.play(audio)
        messages, first = sent(line)
        assert messages[0]["type"] == "started"
        assert first == audio
        line.take(played(0, 800))
        line.detach()
        assert line.ahead_ms >= line.lead_ms  # nothing more is spoken
        await asyncio.sleep(lines.RESUME_S - 0.1)
        line.attach(Resume("a-call", messages[0]["resumeToken"], 0, 1000))
        _, rest = sent(line)
        assert rest == audio[1000:]
        line.take(played(0, 1600))
        assert line.heard_ms == line.sent_ms == 200
        # What the microphone heard meanwhile is a hole in the line's time.
        line.take(bytes(160))
        assert ear.chunks[-1][1] == pytest.approx((lines.RESUME_S - 0.1) * 1000)
        await line.hang_up()
        assert ear.ended == [LineEnded(LineCause.LOCAL)]

    run_virtual(main())


def test_a_clear_that_was_lost_with_the_socket_is_made_good() -> None:
    async def main() -> None:
        line, _ = attached()
        line.play(bytes(800))
        sent(line)
        line.detach()
        line.clear()
        line.play(b"n" * 400)
        line.attach(Resume("a-call", line.resume_token, 0, 800))
        messages, audio = sent(line)
        assert (messages[0]["type"], messages[0]["epoch"]) == ("started", 1)
        assert audio == b"n" * 400
        line.end(LineCause.LOCAL)

    run_virtual(main())


def test_who_does_not_return_in_time_is_gone() -> None:
    async def main() -> None:
        line, ear = attached()
        line.detach()
        await asyncio.sleep(lines.RESUME_S + 0.1)
        assert [ended.cause for ended in ear.ended] == [LineCause.DROPPED]

    run_virtual(main())


def test_clear_overtakes_all_audio() -> None:
    async def main() -> None:
        line, _ = attached()
        sent(line)
        line.play(bytes(8000))
        line.clear()
        line.play(b"x" * 80)
        messages, audio = sent(line)
        assert messages == [{"type": "clear", "epoch": 1}]
        assert audio == b"x" * 80
        line.end(LineCause.LOCAL)

    run_virtual(main())


def test_what_a_page_does_not_take_is_bounded() -> None:
    async def main() -> None:
        line, ear = attached()
        for _ in range(lines.MAX_KEPT_MS // 1000 + 2):
            line.play(bytes(8000))
        assert [ended.cause for ended in ear.ended] == [LineCause.DROPPED]
        for n in range(lines.MAX_WAITING_EVENTS * 2):
            line.tell("words", n, {})
        assert len(sent(line)[0]) <= lines.MAX_WAITING_EVENTS

    run_virtual(main())


def test_a_flood_is_not_believed_and_ends_the_call() -> None:
    async def main() -> None:
        line, ear = attached()
        for _ in range(30):
            line.take(bytes(4000))  # half a second each, all at once
        assert sum(len(chunk) for chunk, _ in ear.chunks) == MULAW_8K.size(lines.MAX_AHEAD_MS)
        for _ in range(60):
            line.take(bytes(4000))
        assert [ended.cause for ended in ear.ended] == [LineCause.FAILED]

        line, ear = attached()
        for _ in range(lines.CONTROL_BURST + lines.MAX_BAD + 1):
            line.take('{"type":"ping","t":1}')
        assert [ended.cause for ended in ear.ended] == [LineCause.FAILED]

    run_virtual(main())


def test_a_page_is_told_of_the_conversation_and_of_nothing_else() -> None:
    async def main() -> None:
        line, _ = attached()
        sent(line)
        line.tell("tool_called", 5, {"name": "refund", "arguments": "{}"})
        line.tell("words", 6, {"text": "hello"})
        assert sent(line)[0] == [
            {"type": "event", "kind": "words", "atMs": 6, "data": {"text": "hello"}}
        ]
        line.end(LineCause.LOCAL)

    run_virtual(main())


def test_keys_skips_and_the_end() -> None:
    async def main() -> None:
        line, ear = attached()
        await asyncio.sleep(2)
        line.take(bytes(160))
        line.take('{"type":"skip","ms":500}')
        line.take(bytes(160))
        line.take('{"type":"skip","ms":99999999}')  # not past the clock
        line.take(bytes(160))
        assert [at for _, at in ear.chunks] == [0, 520, pytest.approx(2000)]
        line.take('{"type":"digit","digit":"#"}')
        assert ear.digits == "#"
        line.take('{"type":"stop"}')
        assert ear.ended == [LineEnded(LineCause.FAR_END)]
        line.play(b"x")
        line.take(b"x")
        line.clear()
        assert line.sent_ms == 0

    run_virtual(main())


@pytest.mark.parametrize(
    "message",
    [
        "",
        "[]",
        "{",
        '{"type":"dance"}',
        '{"type":"played","epoch":0,"played":-1,"received":0}',
        '{"type":"played","epoch":0,"played":true,"received":0}',
        '{"type":"played","epoch":0,"played":1e3,"received":0}',
        '{"type":"digit","digit":"12"}',
        '{"type":"skip","ms":1e300}',
        '{"type":"ping"}',
        "x" * 5000,
    ],
)
def test_what_is_no_message_is_refused(message: str) -> None:
    with pytest.raises(WrongMessage):
        read(message)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b"\0\0", "text"),
        ('{"type":"played"}', "start or resume"),
        ('{"type":"start","callId":"a","token":""}', "token"),
        ('{"type":"start","callId":"a","token":"b","format":"opus"}', "format"),
        ('{"type":"resume","callId":"a","token":"b","epoch":0}', "received"),
    ],
)
def test_the_first_message(message: str | bytes, says: str) -> None:
    with pytest.raises(WrongMessage, match=says):
        read_first(message)
    fine = read_first('{"type":"start","callId":"a","token":"b"}')
    assert fine == Start("a", "b", PCM_16K)
