"""The sound of one call, both ways, without sockets.

In: `received` takes a packet from the network: whose it is (`latch`), decrypted, in order
(`reorder`), keys apart (`keys`), short losses filled (`conceal`), decoded, and handed to `on_audio`
in the line's format with its own time. Out: `tick` is called by the process's one clock and sends
what has become due: keys first, then what was given to `play`, else silence, because a firewall
forgets a stream that pauses. The line's format is that of the first codec; where the codec
changes in mid-call both ways are converted.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from chorus.audio import codec as samples
from chorus.audio.frame import AudioFormat
from chorus.audio.resample import Converter
from chorus.lines.sip.media import rtcp, rtp
from chorus.lines.sip.media.codecs import Codec, open_codec
from chorus.lines.sip.media.conceal import MOST_MS, Concealer
from chorus.lines.sip.media.dtls import Handshake, HandshakeFailed, Identity, is_dtls
from chorus.lines.sip.media.keys import KeyReader, KeyWriter
from chorus.lines.sip.media.latch import Latch, Place
from chorus.lines.sip.media.quality import Quality
from chorus.lines.sip.media.reorder import Ready, Reorder
from chorus.lines.sip.media.srtp import Srtp
from chorus.lines.sip.negotiate import Agreed, Association

MOST_BEHIND = 5
"""Packets that are sent at once after a stall; what is older is skipped, time goes on."""
REBASE_MS = 2000.0
"""A timestamp that jumps further than this from the clock begins a new time base."""

Send = Callable[[bytes, Place], None]


class MediaStream:
    """`agree` before anything else, and anew whenever the other side changes its mind. `send` and
    `send_report` put bytes on the wire; `wall_s` is the date, for reports. `identity` is what DTLS
    needs; `on_failed` is told why a stream will never be heard."""

    def __init__(
        self,
        send: Send,
        send_report: Send,
        on_audio: Callable[[bytes, float], None],
        on_key: Callable[[str], None],
        wall_s: Callable[[], float],
        identity: Identity | None = None,
        on_failed: Callable[[str], None] = lambda why: None,
    ) -> None:
        self._identity = identity
        self._on_failed = on_failed
        self._send = send
        self._send_report = send_report
        self._on_audio = on_audio
        self._on_key = on_key
        self._wall_s = wall_s
        self._agreed: Agreed | None = None
        self._codec: Codec | None = None
        self._format: AudioFormat | None = None
        self._in: Converter | None = None
        self._out: Converter | None = None
        self._srtp: Srtp | None = None
        self._dtls: Handshake | None = None
        self._dtls_from: Place | None = None
        self.latch = Latch()
        # In.
        self._reorder = Reorder()
        self._keys = KeyReader()
        self._concealer: Concealer | None = None
        self._reception: rtcp.Reception | None = None
        self._lost_before = 0
        self._expected_before = 0
        self._base: int | None = None
        self._base_ms = 0.0
        self._next_ms = 0.0
        self._began_s: float | None = None
        self.heard_s: float | None = None
        """When anything came last."""
        self.concealed_ms = 0.0
        # Out.
        self._ssrc = secrets.randbits(32)
        self._sequence = secrets.randbits(15)
        self._timestamp = secrets.randbits(31)
        self._queue = bytearray()
        self._key_writer = KeyWriter(8000)
        self._first = True
        self._packets = self._octets = 0
        self._due_s: float | None = None
        self._report_due_s = 0.0
        self._peer = rtcp.PeerReport()
        self._sent_bytes = self._left_bytes = 0

    def agree(self, agreed: Agreed, signalling: str, now_s: float = 0.0) -> None:
        """Raises `LookupError` for a codec that cannot be opened, `Malformed` for a bad key,
        `HandshakeFailed` where DTLS cannot begin."""
        before = self._agreed
        if self._codec is None or before is None or before.codec != agreed.codec:
            self._codec = codec = open_codec(agreed.codec)
            if self._format is None:
                self._format = codec.format
            same = codec.format == self._format
            self._in = None if same else Converter(codec.format, self._format)
            self._out = None if same else Converter(self._format, codec.format)
            self._concealer = Concealer(codec.format.rate_hz)
            self._key_writer = KeyWriter(agreed.events_hz or codec.clock_hz)
        keys = (agreed.send_key, agreed.receive_key)
        if agreed.dtls is None:
            if before is None or before.dtls or keys != (before.send_key, before.receive_key):
                send_key, receive_key = keys
                self._srtp = Srtp(send_key, receive_key) if send_key and receive_key else None
            self._dtls = None
        if agreed.port and agreed.host not in ("0.0.0.0", "::"):  # noqa: S104 - compared
            self.latch.expect(agreed.host, agreed.port, signalling)
        self._agreed = agreed
        if agreed.dtls is not None and (before is None or before.dtls != agreed.dtls):
            self._associate(agreed.dtls, now_s)

    def _associate(self, wanted: Association, now_s: float) -> None:
        """Begin DTLS; until it is done nothing is sent, and nothing heard."""
        if self._identity is None:
            raise LookupError("DTLS is not installed: the extra 'sip'")
        self._srtp = None
        self._dtls_from = None
        self._dtls = Handshake(
            self._identity, wanted.peer, self._shake, now_s, active=wanted.active
        )
        self._dtls.begin()

    def _shake(self, datagram: bytes) -> None:
        place = self._dtls_from or self.latch.target
        if place is not None:
            self._send(datagram, place)

    def _shaken(self, datagram: bytes, place: Place) -> None:
        dtls = self._dtls
        if dtls is None or not self.latch.knows(place):
            return
        self._dtls_from = place
        try:
            dtls.received(datagram)
            if dtls.keys is not None and self._srtp is None:
                self._srtp = Srtp(*dtls.keys)
        except HandshakeFailed as failure:
            self._on_failed(str(failure))

    @property
    def _waits(self) -> bool:
        """For the keys of DTLS: nothing may go in the clear in the meantime."""
        return self._dtls is not None and self._srtp is None

    @property
    def format(self) -> AudioFormat:
        assert self._format is not None, "agree comes first"
        return self._format

    @property
    def agreed(self) -> Agreed:
        assert self._agreed is not None, "agree comes first"
        return self._agreed

    # --- out ------------------------------------------------------------------------------------

    def play(self, audio: bytes) -> None:
        self._queue += audio
        self._sent_bytes += len(audio)

    def clear(self) -> None:
        self._queue.clear()
        self._sent_bytes = self._left_bytes

    def press(self, digits: str) -> bool:
        """False where the other side takes no events: then they have to be played."""
        if self.agreed.events is None:
            return False
        self._key_writer.press(digits)
        return True

    @property
    def sent_ms(self) -> float:
        return self.format.ms(self._sent_bytes)

    @property
    def left_ms(self) -> float:
        """How much of it is on its way."""
        return self.format.ms(self._left_bytes)

    def tick(self, now_s: float) -> None:
        """Send what is due, and look after gaps and reports."""
        agreed = self.agreed
        if self._dtls is not None and self._srtp is None:
            try:
                self._dtls.tick(now_s)
            except HandshakeFailed as failure:
                self._on_failed(str(failure))
            return  # what is to be said waits for the keys, and is said whole
        if self._reorder.waiting:
            for ready in self._reorder.take(now_s):
                self._deliver(ready, now_s)
        step_s = agreed.ptime_ms / 1000
        due_s = now_s if self._due_s is None else self._due_s
        if now_s - due_s > MOST_BEHIND * step_s:
            # A stall: nobody wants half a second of speech in one go.
            skipped = int((now_s - due_s) / step_s)
            self._timestamp += skipped * self._units(agreed.ptime_ms)
            due_s += skipped * step_s
        # Half a tick early is on time: two clocks of 20 ms would otherwise beat.
        while due_s <= now_s + 0.005:
            self._emit(agreed)
            due_s += step_s
        self._due_s = due_s
        if now_s >= self._report_due_s:
            self._report(now_s)

    def _emit(self, agreed: Agreed) -> None:
        codec = self._codec
        assert codec is not None
        ptime_ms = agreed.ptime_ms
        units = self._units(ptime_ms)
        keys = self._key_writer
        if keys.busy:
            step = keys.step(ptime_ms)
            if step is not None and agreed.events is not None:
                began = self._timestamp - self._units(step.since_ms)
                self._packet(agreed, agreed.events, step.marker, began, step.payload)
                self._timestamp += units
                return
            audio = self.format.silence(ptime_ms)
        else:
            audio = self._piece(ptime_ms)
        if agreed.sends:
            if self._out is not None:
                audio = self._fitting(self._out.feed(audio), codec.format, ptime_ms)
            payload = codec.encode(audio)
            self._packet(agreed, agreed.codec.payload, self._first, self._timestamp, payload)
            self._first = False
        self._timestamp += units

    def _piece(self, ptime_ms: int) -> bytes:
        """The next of the queue, made whole with silence."""
        queue = self._queue
        size = self.format.size(ptime_ms)
        if not queue:
            return self.format.silence(ptime_ms)
        audio = bytes(queue[:size])
        del queue[:size]
        self._left_bytes += len(audio)
        if len(audio) < size:
            audio += self.format.silence(ptime_ms)[len(audio) :]
        return audio

    @staticmethod
    def _fitting(audio: bytes, format: AudioFormat, ptime_ms: int) -> bytes:
        """A converter's first pieces are short by its delay."""
        size = format.size(ptime_ms)
        return format.silence(ptime_ms)[: size - len(audio)] + audio[-size:]

    def _packet(
        self, agreed: Agreed, kind: int, marker: bool, timestamp: int, payload: bytes
    ) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFF
        stamp = timestamp & 0xFFFFFFFF
        packet = rtp.build(kind, marker, self._sequence, stamp, self._ssrc, payload)
        if self._srtp is not None:
            packet = self._srtp.protect(packet)
        self._packets += 1
        self._octets += len(payload)
        target = self.latch.target
        if target is not None and agreed.sends:
            self._send(packet, target)

    def _units(self, ms: int) -> int:
        assert self._codec is not None
        return ms * self._codec.clock_hz // 1000

    # --- in -------------------------------------------------------------------------------------

    def received(self, data: bytes, place: Place, now_s: float) -> None:
        """One packet from the network. Never raises for what is in it."""
        if is_dtls(data):
            self._shaken(data, place)
            return
        if rtp.is_rtcp(data):
            self.reported(data, place, now_s)
            return
        packet = rtp.parse(data)
        if packet is None or self._agreed is None or self._waits:
            return
        if not self.latch.admits(place, packet.ssrc, now_s):
            return
        if self._srtp is not None:
            clear = self._srtp.unprotect(data)
            packet = rtp.parse(clear) if clear is not None else None
            if packet is None:
                return
        self.heard_s = now_s
        reception = self._reception
        if reception is None or reception.ssrc != packet.ssrc:
            self._retire()
            clock_hz = self._codec.clock_hz if self._codec else 8000
            reception = rtcp.Reception(packet.ssrc, packet.sequence, clock_hz)
            self._reception = reception
        reception.packet(packet.sequence, packet.timestamp, now_s)
        for ready in self._reorder.put(packet, now_s):
            self._deliver(ready, now_s)

    def reported(self, data: bytes, place: Place, now_s: float) -> None:
        """One RTCP packet."""
        if self._agreed is None or self._waits or place[0] not in self._known_hosts():
            return
        if self._srtp is not None:
            clear = self._srtp.unprotect_rtcp(data)
            if clear is None:
                return
            data = clear
        codec = self._codec
        clock_hz = codec.clock_hz if codec else 8000
        if rtcp.read(data, self._ssrc, clock_hz, self._peer, now_s, self._wall_s()):
            self.heard_s = now_s
            if codec is not None:
                codec.suffers(self._peer.loss)

    def _known_hosts(self) -> set[str]:
        target = self.latch.target
        return {self.agreed.host, target[0] if target else ""}

    def _deliver(self, ready: Ready, now_s: float) -> None:
        packet = ready.packet
        agreed, codec, concealer = self.agreed, self._codec, self._concealer
        assert codec is not None
        assert concealer is not None
        kind = packet.payload_type
        if kind == agreed.events:
            key = self._keys.packet(packet.payload, packet.timestamp)
            if key is not None:
                self._on_key(key)
            return
        if kind != agreed.codec.payload or not packet.payload or not agreed.receives:
            return  # comfort noise (RFC 3389) is silence, which whoever listens puts in himself
        at_ms = self._place(packet.timestamp, codec, now_s)
        hole_ms = at_ms - self._next_ms
        if ready.lost and 0 < hole_ms <= MOST_MS + 1:
            filling = codec.recover(packet.payload, hole_ms)
            if not filling:
                filling = samples.encode(codec.format, concealer.fill(hole_ms))
            if filling:
                self.concealed_ms += hole_ms
                self._hand_on(filling, self._next_ms)
        audio = codec.decode(packet.payload)
        concealer.heard(samples.decode(codec.format, audio))
        self._hand_on(audio, at_ms)
        self._next_ms = at_ms + codec.format.ms(len(audio))

    def _hand_on(self, audio: bytes, at_ms: float) -> None:
        if self._in is not None:
            audio = self._in.feed(audio)
        if audio:
            self._on_audio(audio, at_ms)

    def _place(self, timestamp: int, codec: Codec, now_s: float) -> float:
        """Where a packet belongs, in milliseconds since the first."""
        if self._began_s is None:
            self._began_s = now_s
        passed_ms = (now_s - self._began_s) * 1000
        if self._base is not None:
            ahead = (timestamp - self._base) & 0xFFFFFFFF
            if ahead >= 1 << 31:
                ahead -= 1 << 32
            at_ms = self._base_ms + ahead * 1000 / codec.clock_hz
            if abs(at_ms - passed_ms) < REBASE_MS and at_ms > self._next_ms - 1:
                return max(at_ms, self._next_ms)
        self._base = timestamp
        self._base_ms = max(passed_ms, self._next_ms)
        return self._base_ms

    # --- statistics -----------------------------------------------------------------------------

    def _retire(self) -> None:
        if self._reception is not None:
            self._lost_before += self._reception.lost
            self._expected_before += self._reception.expected

    def _report(self, now_s: float) -> None:
        self._report_due_s = now_s + rtcp.REPORT_EVERY_S
        target = self.latch.target
        agreed = self.agreed
        if target is None or not self._packets:
            return
        if agreed.dtls is not None and not agreed.rtcp_mux:
            return  # the other port would need a handshake of its own
        sent = rtcp.Sent(self._ssrc, self._packets, self._octets, self._timestamp & 0xFFFFFFFF)
        data = rtcp.report(sent, self._reception, self._peer, now_s, self._wall_s())
        if self._srtp is not None:
            data = self._srtp.protect_rtcp(data)
        if agreed.rtcp_mux:
            self._send(data, target)
            return
        # Behind NAT the report's port is beside the one that the sound comes from.
        described = target == (self.agreed.host, self.agreed.port)
        port = self.agreed.rtcp_port if described else min(target[1] + 1, 65535)
        self._send_report(data, (target[0], port))

    @property
    def quality(self) -> Quality:
        reception, peer = self._reception, self._peer
        expected = self._expected_before + (reception.expected if reception else 0)
        lost = self._lost_before + (reception.lost if reception else 0)
        loss = lost / expected if expected else 0.0
        jitter_ms = reception.jitter_ms if reception else 0.0
        worse = max(loss, peer.loss)
        return Quality(
            packets_received=max(expected - lost, 0),
            packets_sent=self._packets,
            loss=round(loss, 4),
            late=self._reorder.late,
            concealed_ms=round(self.concealed_ms, 1),
            jitter_ms=round(jitter_ms, 1),
            round_trip_ms=None if peer.round_trip_ms is None else round(peer.round_trip_ms, 1),
            remote_loss=round(peer.loss, 4),
            remote_jitter_ms=round(peer.jitter_ms, 1),
            refused=self.latch.refused,
            mos=rtcp.mos(worse, max(jitter_ms, peer.jitter_ms), peer.round_trip_ms or 0.0),
            codec=self.agreed.codec.name,
            encrypted=self._srtp is not None,
        )
