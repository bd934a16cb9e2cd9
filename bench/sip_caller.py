"""N calls over SIP with sound both ways, for `bench.sip`: written apart from Chorus's own stack.

    python -m bench.sip_caller --port 5060 --calls 100 --seconds 20

All calls have their sound on one UDP socket and are told apart by the server's port. When a packet
came is what the kernel noted (SO_TIMESTAMPNS), so a caller that reads late measures no worse. One
line of JSON is printed:

spacing_ms     between two packets of one call: median, the 99th of 100, and the longest
over_22_ms_pct packets more than 22 ms after the one before, in hundredths
lost, sent     packets that did not come, by their sequence numbers; packets sent
setup_ms       from INVITE to 200: median and the 99th of 100
"""

from __future__ import annotations

import argparse
import gc
import json
import secrets
import select
import socket
import struct
import sys
import time

from bench.procfs import usage
from bench.tally import ms, percentile

HOST = "127.0.0.1"
STEP_S = 0.02
RAMP_S = 0.04
ANSWER_S = 20.0
SO_TIMESTAMPNS = 35
_TIME = struct.Struct("@qq")
_RTP = struct.Struct("!BBHII")
NUMBER = "+493012345"
SOUND = bytes(range(0x80, 0xE0)) * 2


class Failed(Exception):
    """The calls did not come up."""


class Call:
    """One call: its dialog, and what came of it."""

    def __init__(self, number: int) -> None:
        self.id = f"{number}-{secrets.token_hex(8)}"
        self.tag = secrets.token_hex(4)
        self.to = f"<sip:{NUMBER}@{HOST}>"
        self.place: tuple[str, int] | None = None
        self.asked_s = self.answered_s = 0.0
        self.due_s = 0.0
        self.sequence = number * 7 & 0xFFFF
        self.timestamp = number * 1000
        self.last_s: float | None = None
        self.came: list[int] = []

    def request(self, method: str, sequence: int, own: tuple[str, int], body: str = "") -> bytes:
        host, port = own
        lines = [
            f"{method} sip:{NUMBER}@{HOST} SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{secrets.token_hex(8)};rport",
            f"From: <sip:bench@{HOST}>;tag={self.tag}",
            f"To: {self.to}",
            f"Call-ID: {self.id}",
            f"CSeq: {sequence} {method}",
            f"Contact: <sip:bench@{host}:{port}>",
            "Max-Forwards: 70",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
            "",
            body,
        ]
        return "\r\n".join(lines).encode()


class Caller:
    def __init__(self, port: int, calls: int) -> None:
        self._server = (HOST, port)
        self._sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sip.bind((HOST, 0))
        self._rtp, self._rtcp = _pair()
        for each in (self._sip, self._rtp, self._rtcp):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            each.setblocking(False)
        self._rtp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.calls = [Call(number) for number in range(calls)]
        self._by_id = {call.id: call for call in self.calls}
        self._by_port: dict[int, Call] = {}
        self._poll = select.poll()
        for each in (self._sip, self._rtp, self._rtcp):
            self._poll.register(each, select.POLLIN)
        self.measuring = False
        self.spacing_s: list[float] = []
        self.sent = 0

    def ring(self) -> None:
        """Raises `Failed` unless all are answered."""
        begun_s = time.monotonic()
        for number, call in enumerate(self.calls):
            self._until(begun_s + number * RAMP_S)
            host, port = self._rtp.getsockname()
            body = (
                f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
                f"m=audio {port} RTP/AVP 0\r\na=ptime:20\r\n"
            )
            call.asked_s = time.monotonic()
            self._sip.sendto(call.request("INVITE", 1, self._sip.getsockname(), body), self._server)
        deadline_s = time.monotonic() + ANSWER_S
        while any(call.place is None for call in self.calls):
            if time.monotonic() > deadline_s:
                missing = sum(call.place is None for call in self.calls)
                raise Failed(f"{missing} of {len(self.calls)} calls were not answered")
            self._turn(0.01)

    def talk(self, seconds: float) -> None:
        self._until(time.monotonic() + seconds)

    def hang_up(self, vanishing: int = 0) -> None:
        """Say goodbye, but on the first `vanishing` calls, which the server has to miss."""
        for call in self.calls[vanishing:]:
            self._sip.sendto(call.request("BYE", 2, self._sip.getsockname()), self._server)
        self._until(time.monotonic() + 0.5)

    def close(self) -> None:
        for each in (self._sip, self._rtp, self._rtcp):
            each.close()

    def _until(self, end_s: float) -> None:
        while (left_s := end_s - time.monotonic()) > 0:
            self._turn(min(left_s, 0.002))

    def _turn(self, most_s: float) -> None:
        for descriptor, _ in self._poll.poll(most_s * 1000):
            if descriptor == self._rtp.fileno():
                self._hear()
            elif descriptor == self._sip.fileno():
                self._listen()
            else:
                self._rtcp.recv(2048)
        now_s = time.monotonic()
        for call in self.calls:
            while call.place is not None and call.due_s <= now_s:
                call.due_s += STEP_S
                call.sequence = (call.sequence + 1) & 0xFFFF
                call.timestamp += 160
                head = _RTP.pack(0x80, 0, call.sequence, call.timestamp, 1)
                self._rtp.sendto(head + SOUND[:160], call.place)
                self.sent += self.measuring

    def _hear(self) -> None:
        for _ in range(256):
            try:
                data, more, _, place = self._rtp.recvmsg(2048, 64)
            except BlockingIOError:
                return
            call = self._by_port.get(place[1])
            if call is None or len(data) < 12:
                continue
            seconds, nanoseconds = _TIME.unpack(more[0][2])
            at_s = seconds + nanoseconds / 1e9
            if self.measuring:
                if call.last_s is not None:
                    self.spacing_s.append(at_s - call.last_s)
                call.came.append(_RTP.unpack_from(data)[2])
            call.last_s = at_s

    def _listen(self) -> None:
        while True:
            try:
                text = self._sip.recv(8192).decode()
            except BlockingIOError:
                return
            head, _, body = text.partition("\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            call = self._by_id.get(headers.get("Call-ID", ""))
            if call is None or not head.startswith("SIP/2.0 2") or "INVITE" not in headers["CSeq"]:
                if head.startswith("SIP/2.0 ") and int(head[8:11]) >= 300:
                    raise Failed(head.split("\r\n", 1)[0])
                continue
            call.to = headers["To"]
            self._sip.sendto(call.request("ACK", 1, self._sip.getsockname()), self._server)
            if call.place is None:
                call.answered_s = time.monotonic()
                port = int(body.split("m=audio ", 1)[1].split(" ", 1)[0])
                call.place = (HOST, port)
                self._by_port[port] = call
                call.due_s = call.answered_s


def _pair() -> tuple[socket.socket, socket.socket]:
    """For RTP and RTCP: neighbours."""
    while True:
        first, second = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        first.bind((HOST, 0))
        try:
            second.bind((HOST, first.getsockname()[1] + 1))
        except OSError:
            first.close()
            second.close()
        else:
            return first, second


def _lost(call: Call) -> int:
    """By the sequence numbers, in the order of a lossless network."""
    gaps = zip(call.came, call.came[1:], strict=False)
    return sum((after - before - 1) & 0xFFFF for before, after in gaps)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pid", type=int, required=True, help="of the server")
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    caller = Caller(options.port, options.calls)
    gc.freeze()
    gc.disable()
    try:
        caller.ring()
    except Failed as failed:
        print(json.dumps({"calls": options.calls, "error": str(failed)}))
        return 1
    caller.talk(2)
    before, own_s, begun_s = usage(options.pid), time.process_time(), time.monotonic()
    caller.measuring = True
    caller.talk(options.seconds)
    caller.measuring = False
    seconds = time.monotonic() - begun_s
    after, own_s = usage(options.pid), time.process_time() - own_s
    caller.hang_up()
    spacing, setup = caller.spacing_s, [c.answered_s - c.asked_s for c in caller.calls]
    cpu = (after.cpu_s - before.cpu_s) / seconds
    came = sum(len(call.came) for call in caller.calls)
    print(
        json.dumps(
            {
                "calls": options.calls,
                "seconds": round(seconds, 1),
                "server_cpu": round(cpu, 3),
                "cpu_per_call_pct": round(100 * cpu / options.calls, 3),
                "spacing_ms": [
                    ms(percentile(spacing, 50)), ms(percentile(spacing, 99)), ms(max(spacing)),
                ],
                "over_22_ms_pct": round(100 * sum(s > 0.022 for s in spacing) / len(spacing), 2),
                "came": came,
                "lost": sum(map(_lost, caller.calls)),
                "sent": caller.sent,
                "setup_ms": [ms(percentile(setup, 50)), ms(percentile(setup, 99))],
                "caller_cpu": round(own_s / seconds, 3),
            }
        )
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
