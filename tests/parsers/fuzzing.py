"""Everything that a stranger, a carrier or a client writes and Chorus parses, given what is nearly
right: bodies of requests and webhooks, first messages and frames of media streams, signatures,
cursors, scripts, templates, handshakes and tokens (`entrances.py`). SIP and SDP have their own
(`tests/lines/sip/fuzzing.py`).

`python -m tests.parsers.fuzzing [--examples N] [--seed N]` is the long form (`make fuzz-parsers`);
`test_fuzz_parsers.py` is the short one. Hypothesis makes the inputs. A parser may refuse, by the
error that it documents; anything else that it raises is found, and so is one that takes long.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from tests.fakes.virtual import run_virtual
from tests.parsers import entrances

from chorus import json_body
from chorus.errors import Error
from chorus.lines import webhook_body
from chorus.lines.browser import messages
from chorus.lines.jambonz.media import JambonzMedia
from chorus.lines.jambonz.signature import signed
from chorus.lines.jambonz.stream import JambonzLine
from chorus.lines.media_socket import MediaProtocol, NotOurs
from chorus.lines.telnyx.media import TelnyxMedia
from chorus.lines.telnyx.state import state_of
from chorus.lines.telnyx.stream import TelnyxLine
from chorus.lines.twilio.media import TwilioMedia
from chorus.lines.twilio.stream import TwilioLine
from chorus.lines.voximplant.media import VoximplantMedia
from chorus.lines.voximplant.stream import VoximplantLine
from chorus.llm import script_parse
from chorus.talk.tools import template
from chorus.wire import Cursor

SLOW_S = 1.0
"""Of processor time, for one input of at most some kilobytes: no parser comes near."""

_TOKENS = (
    *(b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\\u", b"\\ud800", b"\x00", b"\xff", b"\n"),
    *(b"null", b"true", b"1e999", b"-0", b"9" * 400, b"NaN", b"[" * 200, b'{"a":' * 200),
    *(
        b"{{",
        b"}}",
        b"script:",
        b"=",
        b"on ",
        b"/",
        b"*",
        b"(" * 50,
        b"  ",
        b"\t",
        b"%",
        b"\xe2\x80\xa8",
    ),
)


@dataclass(frozen=True)
class Target:
    """`parse` gets what was made of one of `seeds`, and may raise `refusal`."""

    name: str
    seeds: Sequence[bytes]
    parse: Callable[[bytes], object]
    refusal: type[Exception] | tuple[type[Exception], ...] = ()


@st.composite
def nearly(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds with a few pieces taken out, doubled or put in; or any bytes at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=300))
    found = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(found)))
        to = min(len(found), at + draw(st.integers(0, 6)))
        # Plain letters and figures, so that much stays right.
        plain = st.text("aZ09 _-.", max_size=3).map(str.encode)
        put = draw(st.one_of(plain, plain, plain, st.sampled_from(_TOKENS), st.binary(max_size=6)))
        found[at:to] = found[at:to] * 2 if draw(st.booleans()) and to > at else put
    return bytes(found)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _body(data: bytes) -> None:
    # What is taken can be stored, and given back the same.
    value = json_body.parse(data)
    assert orjson.loads(orjson.dumps(value)) == value


def _webhook(data: bytes) -> None:
    body = webhook_body.json_object(data)
    webhook_body.text_field(body, "call_sid")
    webhook_body.whole_number(body.get("duration"))


def _start(protocol: MediaProtocol) -> Callable[[bytes], object]:
    def parse(data: bytes) -> None:
        start = protocol.parse_start(_text(data))
        assert start is None or isinstance(start.leg_id, str)

    return parse


def _frames(line: Callable[[], Any]) -> Callable[[bytes], object]:
    """Text and binary of the same bytes, at a line of its own; what it answers is read too."""

    def parse(data: bytes) -> None:
        found = line()
        found.take(_text(data))
        found.take(data)
        for _ in range(20):
            if found.next_message() is None:
                break

    return parse


async def _nothing(*_: object) -> None: ...


def _no_moves(*_: object) -> Any:
    raise AssertionError("parsing asks nobody")


_TWILIO: Any = TwilioMedia(_nothing, None, "")  # pyright: ignore[reportArgumentType]  links sign, parsing needs none
_MEDIA = b'{"event":"media","streamSid":"MZ1","media":{"timestamp":"20","payload":"/////w=="}}'
_VOX = (
    b'{"event":"start","start":{"mediaFormat":{"encoding":"PCMU","sampleRate":8000},'
    b'"customParameters":{"legId":"l"}}}'
)

TARGETS = (
    Target("body of a request", [b'{"a":[1,-2.5e3,"\\u00e9",null],"b":{"c":true}}'], _body, Error),
    Target(
        "body of a webhook",
        [b'{"call_sid":"c-1","duration":12,"from":"+1555"}'],
        _webhook,
        HTTPException,
    ),
    Target(
        "signature of jambonz",
        [b"t=1700000000,v1=" + b"ab" * 32],
        lambda data: signed(data.decode("latin-1"), b"{}", "secret", 1_700_000_000),
    ),
    Target(
        "start of Twilio",
        [
            b'{"event":"start","streamSid":"MZ1","start":{"streamSid":"MZ1","callSid":"CA1",'
            b'"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},'
            b'"customParameters":{}}}'
        ],
        _start(_TWILIO),
        NotOurs,
    ),
    Target(
        "start of jambonz",
        [b'{"callSid":"c-1","sampleRate":16000,"mixType":"mono"}'],
        _start(JambonzMedia(_no_moves)),
        NotOurs,
    ),
    Target("start of Voximplant", [_VOX], _start(VoximplantMedia()), NotOurs),
    Target(
        "start of Telnyx",
        [
            b'{"event":"start","stream_id":"s-1","start":{"call_control_id":"v3:1",'
            b'"media_format":{"encoding":"PCMU","sample_rate":8000,"channels":1}}}'
        ],
        _start(TelnyxMedia(_nothing, _nothing, _nothing)),
        NotOurs,
    ),
    Target(
        "state of Telnyx",
        [b"eyJjYWxsIjoiYyIsIm9mIjoiIn0=", b"aGF2ZSBhIG5pY2UgZGF5ID1d"],
        lambda data: state_of(_text(data)),
    ),
    Target(
        "frames of Twilio",
        [
            *(_MEDIA, b'{"event":"mark","streamSid":"MZ1","mark":{"name":"0:160"}}'),
            *(b'{"event":"dtmf","dtmf":{"digit":"5"}}', b'{"event":"stop","stop":{}}'),
        ],
        _frames(lambda: TwilioLine("MZ1", "CA1")),
    ),
    Target(
        "frames of jambonz",
        [
            b'{"event":"dtmf","dtmf":"5"}',
            b'{"type":"mark","data":{"name":"0:1"}}',
            b"\x00\x01" * 40,
        ],
        _frames(lambda: JambonzLine("l", 16000)),
    ),
    Target(
        "frames of Telnyx",
        [
            b'{"event":"media","stream_id":"s-1","media":{"track":"inbound","chunk":"2",'
            b'"timestamp":"20","payload":"/////w=="}}',
            b'{"event":"mark","stream_id":"s-1","mark":{"name":"0:160"}}',
            b'{"event":"error","stream_id":"s-1","payload":{"title":"t","detail":"d"}}',
        ],
        _frames(lambda: TelnyxLine("s-1", "l")),
    ),
    Target(
        "frames of Voximplant",
        [_MEDIA, _VOX, b'{"event":"stop"}', b'{"customEvent":"dtmf","digit":"5"}'],
        _frames(lambda: VoximplantLine("l")),
    ),
    Target(
        "first message of a browser",
        entrances.FIRST_MESSAGES,
        entrances.first_message,
        messages.WrongMessage,
    ),
    Target(
        "messages of a browser",
        [
            b'{"type":"played","epoch":1,"played":480,"received":960,"plays":true,"rttMs":12.5}',
            *(b'{"type":"skip","ms":20}', b'{"type":"digit","digit":"5"}'),
            *(b'{"type":"ping","t":1.5}', b'{"type":"stop"}'),
        ],
        lambda data: messages.read(_text(data)),
        messages.WrongMessage,
    ),
    Target(
        "token of a supervisor",
        entrances.FIRST_MESSAGES,
        entrances.supervision,
        messages.WrongMessage,
    ),
    Target("handshake of a peer", entrances.HANDSHAKES, entrances.handshake),
    Target("form of Twilio", entrances.FORMS, entrances.form, HTTPException),
    Target("cursor", [b"AAYOz3sYgAD" + b"A" * 21], lambda data: Cursor.of(_text(data)), ValueError),
    Target(
        "script",
        [
            b'script:\nat start: say "Chorus Bistro."\nwhen caller says "book" or "reserve": say '
            b'"How many?" and go to party\notherwise: say "Sorry?"\n\nstep party:\n'
            b'    when caller says "{party:number}":\n        call book with party = {party}, '
            b'day = "friday"\n        then say "The code is {result.code}."\n'
            b'    when tool book fails: say "We are full." and end\n',
        ],
        lambda data: script_parse.parse(_text(data)),
        script_parse.ScriptError,
    ),
    Target(
        "template",
        [b"Hello {{ name }}, you called {{from|somebody}} at {{ now }}."],
        lambda data: template.fill(_text(data), {"name": "Ada"}),
        (),
    ),
)


@dataclass(frozen=True)
class Outcome:
    name: str
    inputs: int
    refused: int
    slowest_s: float


def fuzz(target: Target, examples: int, number: int) -> Outcome:
    """Raises what the parser should not have. Lines of calls need a running loop, so one runs."""
    inputs = refused = 0
    slowest_s = 0.0

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        # Shrinking what the long form finds takes its time again; hypothesis prints it anyway.
        phases=(Phase.generate,),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )
    @given(nearly(target.seeds))
    def each(data: bytes) -> None:
        nonlocal inputs, refused, slowest_s
        inputs += 1
        # What the generator of inputs keeps takes the collector a second in the long form.
        gc.disable()
        began_s = time.process_time()
        try:
            target.parse(data)
        except target.refusal:
            refused += 1
        finally:
            slowest_s = max(slowest_s, time.process_time() - began_s)
            gc.enable()

    async def main() -> None:
        each()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    run_virtual(main())
    assert slowest_s < SLOW_S, f"{target.name} took {slowest_s:.2f} s"
    return Outcome(target.name, inputs, refused, slowest_s)


def main() -> int:
    parser = argparse.ArgumentParser(description="Give every parser what is nearly right.")
    parser.add_argument("--examples", type=int, default=20_000, help="for each parser")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="the parsers whose names contain this")
    arguments = parser.parse_args()
    logging.disable()  # each malformed frame is a line
    for target in TARGETS:
        if arguments.only not in target.name:
            continue
        found = fuzz(target, arguments.examples, arguments.seed)
        print(
            f"{found.name}: {found.inputs} inputs, {found.refused} refused, "
            f"slowest {found.slowest_s * 1000:.1f} ms",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
