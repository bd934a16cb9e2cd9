"""A user agent under a hail of messages that are nearly right.

    python -m tests.lines.sip.fuzzing [--count 1000000] [--seed 1]

Messages are mutations of the torture messages and of the messages of real calls: bytes changed,
removed, doubled, lines swapped, numbers made huge. Whatever comes, nothing may be raised, no
message may take long, and when all is quiet nothing may be left. `make fuzz-sip` runs a million;
the tests run a few thousand.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import sys
import time
from pathlib import Path

from tests.lines.sip.net import Net, Phone, Time, pair

from chorus.lines.sip.wire import Hop

TORTURE = Path(__file__).parent / "torture"
SLOW_S = 0.25
_NOISE = (
    *(b"\r\n", b"\r\n\r\n", b";", b",", b"<", b">", b'"', b"\\", b"\x00", b"\xff", b"=", b":"),
    *(b"@", b"%", b"99999999999999999999", b"-1", b" ", b"\t", b";tag=", b"sip:", b"[::]"),
)


def seeds() -> list[bytes]:
    """The torture messages, and every message of one real call with a hold."""
    net, alice, bob = pair()
    call = alice.dial(bob)
    net.time.advance(1)
    assert call.session is not None
    call.session.offer("sendonly")
    net.time.advance(1)
    call.session.bye()
    net.time.advance(1)
    real = [message.encode() for _, message in net.log]
    return real * 3 + [path.read_bytes() for path in sorted(TORTURE.glob("*.dat"))]


def mutate(chance: random.Random, message: bytes) -> bytes:
    data = bytearray(message)
    for _ in range(chance.choice((0, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(6)
        if kind == 0 and at < len(data):
            data[at] = chance.randrange(256)
        elif kind == 1:
            del data[at : at + chance.choice((1, 2, 10, 100))]
        elif kind == 2:
            data[at:at] = chance.choice(_NOISE)
        elif kind == 3:
            data[at:at] = data[at : at + chance.choice((5, 50, 500))]
        elif kind == 4:
            lines = bytes(data).split(b"\r\n")
            one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
            lines[one], lines[other] = lines[other], lines[one]
            data = bytearray(b"\r\n".join(lines))
        else:
            data[at:at] = bytes([chance.randrange(256)]) * chance.choice((3, 300, 3000))
    return bytes(data[:70_000])


def hail(count: int, seed: int) -> tuple[float, Phone]:
    """The slowest message in seconds of processor time, and the phone afterwards. Raises what the
    agent raises."""
    chance = random.Random(seed)
    messages = seeds()
    net = Net(Time())
    phone = Phone(net, "192.0.2.1")
    slowest_s = 0.0
    for number in range(count):
        message = mutate(chance, chance.choice(messages))
        hop = Hop("udp", f"198.51.100.{chance.randrange(4)}", 5060)
        began_s = time.thread_time()
        phone.agent.receive(message, hop)
        slowest_s = max(slowest_s, time.thread_time() - began_s)
        if number % 50 == 0:
            net.time.advance(chance.choice((0.0, 0.1, 1.0, 40.0)))
            net.log.clear()
            phone.calls.clear()
            phone.heard.clear()
        if number % 100_000 == 99_999:
            used_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            left = len(phone.agent.transactions), phone.agent.dialogs
            print(
                f"{number + 1} messages, {used_mb:.0f} MB, {left} transactions and dialogs",
                flush=True,
            )
    net.time.advance(5000)
    gc.collect()
    return slowest_s, phone


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    slowest_s, phone = hail(arguments.count, arguments.seed)
    left = len(phone.agent.transactions), phone.agent.dialogs
    print(f"slowest message {slowest_s * 1000:.1f} ms; left: {left} transactions and dialogs")
    return 0 if left == (0, 0) and slowest_s < SLOW_S else 1


if __name__ == "__main__":
    sys.exit(main())
