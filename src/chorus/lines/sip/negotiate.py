"""From two session descriptions to one stream (RFC 3264 §5, §6, §8).

`Negotiation` is one call's: it writes offers and answers, keeps the version of what it has said,
and remembers in `agreed` what both sides took last. An answer takes the first codec of the offer
that is known here, so that either side has one codec only, and the digits of RFC 4733 beside it.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from chorus.lines.sip.grammar import Malformed
from chorus.lines.sip.sdp import (
    REVERSED,
    Crypto,
    Direction,
    Fingerprint,
    Format,
    Media,
    Session,
    parse_sdp,
)

SUITES = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")
"""SRTP as PBXs and carriers speak it (RFC 4568 §6.2)."""
EVENT_FMTP = "0-16"
PTIME_MS = 20

OFFERED = {
    "PCMU": Format(0, "PCMU", 8000),
    "PCMA": Format(8, "PCMA", 8000),
    "G722": Format(9, "G722", 8000),
    "OPUS": Format(
        96,
        "opus",
        48000,
        2,
        "maxplaybackrate=16000;sprop-maxcapturerate=16000;useinbandfec=1;stereo=0",
    ),
}
"""How each codec is written when we are the first to name it."""
_EVENTS = Format(101, "telephone-event", 8000, 1, EVENT_FMTP)


DTLS_PROTOCOL = "UDP/TLS/RTP/SAVP"


@dataclass(frozen=True, slots=True)
class Association:
    """How DTLS makes the keys (RFC 5763): `active` if we begin it, `peer` what the other side's
    certificate has to be."""

    active: bool
    peer: Fingerprint


@dataclass(frozen=True, slots=True)
class Agreed:
    """What both sides took. `direction` is ours. `events` is the payload type of RFC 4733, None
    where the other side has no such, and `events_hz` their clock. Keys are base64; both are None
    without SRTP, and where DTLS makes them (`dtls`). `rtcp_mux` is asked for beside DTLS only:
    then reports go the way of the sound."""

    codec: Format
    events: int | None
    host: str
    port: int
    rtcp_port: int
    direction: Direction
    ptime_ms: int
    send_key: Crypto | None = None
    receive_key: Crypto | None = None
    events_hz: int = 8000
    dtls: Association | None = None
    rtcp_mux: bool = False

    @property
    def sends(self) -> bool:
        return self.direction in ("sendrecv", "sendonly")

    @property
    def receives(self) -> bool:
        return self.direction in ("sendrecv", "recvonly")


class Negotiation:
    """`codecs` are the names that may be used, best first. `host` and `port` are where we are
    sent to. `srtp` says whether offers ask for encryption, by keys in them or (`dtls`) by DTLS; an
    answer gives what was asked. `fingerprint` is that of our certificate, None where DTLS is not
    installed."""

    def __init__(
        self,
        codecs: Sequence[str],
        host: str,
        port: int,
        *,
        srtp: bool = False,
        dtls: bool = False,
        fingerprint: Fingerprint | None = None,
        new_key: Callable[[], str] | None = None,
    ) -> None:
        self._codecs = [name for name in codecs if name in OFFERED]
        self._host = host
        self._port = port
        self._srtp = srtp
        self._fingerprint = fingerprint
        self._dtls = dtls and fingerprint is not None
        self._protocol = DTLS_PROTOCOL
        self._new_key = new_key or _random_key
        self._origin_id = secrets.randbelow(2**31)
        self._version = 0
        self._said: Session | None = None
        self._direction: Direction = "sendrecv"
        self._key: Crypto | None = None
        self.offering = False
        """We have offered and wait for an answer."""
        self.agreed: Agreed | None = None

    def offer(self, direction: Direction = "sendrecv") -> bytes:
        """A first offer, or a new one. What was agreed stands until it is answered."""
        self._direction = direction
        crypto: tuple[Crypto, ...] = ()
        protocol = "RTP/AVP"
        if self._dtls:
            protocol = self._protocol
        elif self._srtp:
            protocol = "RTP/SAVP"
            self._key = self._key or Crypto(1, SUITES[0], self._new_key())
            crypto = (self._key,)
        audio = Media(
            "audio",
            self._port,
            protocol,
            self._offered(),
            direction=direction,
            ptime_ms=PTIME_MS,
            crypto=crypto,
            rtcp_mux=self._dtls,
            fingerprint=self._fingerprint if self._dtls else None,
            setup="actpass",
        )
        self.offering = True
        return self._say((audio,))

    def answered(self, body: bytes) -> Agreed:
        """Take the answer to our offer. Raises `Malformed` (488) where nothing came of it."""
        said = parse_sdp(body)
        self.offering = False
        audio = said.audio
        if audio is None:
            raise Malformed("the answer refuses the audio stream", 488)
        codec = self._known(audio)
        key = None
        dtls = None
        if self._dtls:
            # An answer must decide (RFC 5763 §5).
            if audio.fingerprint is None or audio.setup not in ("active", "passive"):
                raise Malformed("the answer does not take DTLS", 488)
            dtls = Association(audio.setup == "passive", audio.fingerprint)
        elif self._srtp:
            key = next((each for each in audio.crypto if each.suite in SUITES), None)
            if key is None:
                raise Malformed("the answer does not encrypt", 488)
        elif "SAVP" in audio.protocol:
            raise Malformed("the answer encrypts what was offered in the clear", 488)
        send_key = replace(self._key, suite=key.suite) if key and self._key else None
        self.agreed = self._agree(audio, codec, REVERSED[audio.direction], send_key, key, dtls)
        return self.agreed

    def answer(self, body: bytes, direction: Direction = "sendrecv") -> tuple[bytes, Agreed]:
        """Answer an offer; `direction` is what we want, the offer may allow less. Raises
        `Malformed` (488) where there is no stream that we can take."""
        said = parse_sdp(body)
        audio = said.audio
        if audio is None:
            raise Malformed("the offer has no audio stream", 488)
        codec = self._known(audio)
        receive_key: Crypto | None = None
        send_key: Crypto | None = None
        dtls = self._associated(audio)
        self._dtls = dtls is not None
        if dtls is not None:
            self._protocol = audio.protocol
        elif "SAVP" in audio.protocol:
            receive_key = next((each for each in audio.crypto if each.suite in SUITES), None)
            if receive_key is None:
                raise Malformed("the offer encrypts in a way that is not known", 488)
            # A key of ours stands for the whole call.
            kept = self._key.key if self._key else self._new_key()
            send_key = self._key = Crypto(receive_key.tag, receive_key.suite, kept)
            self._srtp = True
        else:
            self._srtp = False
        allowed = _met(REVERSED[audio.direction], direction)
        agreed = self._agree(audio, codec, allowed, send_key, receive_key, dtls)
        events = [each for each in audio.formats if each.payload == agreed.events]
        ours = Media(
            "audio",
            self._port,
            audio.protocol,
            (_as_ours(codec), *(replace(each, fmtp=EVENT_FMTP) for each in events)),
            direction=allowed,
            ptime_ms=agreed.ptime_ms,
            crypto=(send_key,) if send_key else (),
            rtcp_mux=agreed.rtcp_mux,
            fingerprint=self._fingerprint if dtls else None,
            setup="active" if dtls and dtls.active else "passive",
        )
        # Every other stream of the offer is there in the answer, refused (RFC 3264 §6).
        media = tuple(
            ours
            if each is audio
            else replace(each, port=0, formats=(), crypto=(), fingerprint=None)
            for each in said.media
        )
        self.agreed = agreed
        self.offering = False
        return self._say(media), agreed

    def withdrawn(self) -> None:
        """Our offer was refused: what was agreed before stands (RFC 3261 §14.1)."""
        self.offering = False

    def _offered(self) -> tuple[Format, ...]:
        """Every codec, and digits at each of their clocks. What is in use comes first and keeps
        its payload types, which the other side may have chosen; the others give way."""
        kept: list[Format] = []
        agreed = self.agreed
        if agreed is not None:
            kept.append(_as_ours(agreed.codec))
            if agreed.events is not None:
                kept.append(replace(_EVENTS, payload=agreed.events, clock_hz=agreed.events_hz))
        names = {each.name.upper() for each in kept}
        codecs = [OFFERED[name] for name in self._codecs if name not in names]
        clocks = {each.clock_hz for each in (*kept, *codecs)}
        clocks -= {each.clock_hz for each in kept if each.name == _EVENTS.name}
        events = [_EVENTS, replace(_EVENTS, payload=102, clock_hz=48000)]
        formats = list(kept)
        taken = {each.payload for each in kept}
        for each in (*codecs, *(each for each in events if each.clock_hz in clocks)):
            payload = each.payload
            if payload in taken:
                payload = next(n for n in range(97, 128) if n not in taken)
            taken.add(payload)
            formats.append(replace(each, payload=payload))
        return tuple(sorted(formats, key=lambda each: each.name == _EVENTS.name))

    def _known(self, audio: Media) -> Format:
        for each in audio.formats:
            if each.name.upper() in self._codecs and _matches(each):
                return each
        raise Malformed("no codec that both sides have", 488)

    def _associated(self, audio: Media) -> Association | None:
        """The DTLS that an offer asks for; None where it brings its keys, or is in the clear."""
        named = audio.fingerprint
        wanted = audio.protocol.upper().startswith("UDP/TLS/")
        if not wanted and (named is None or audio.crypto or "SAVP" not in audio.protocol):
            return None
        if self._fingerprint is None:
            raise Malformed("the offer encrypts by DTLS, which is not installed", 488)
        if named is None or audio.setup not in ("actpass", "active", "passive", ""):
            raise Malformed("the offer asks for DTLS without a fingerprint that is known", 488)
        before = self.agreed.dtls if self.agreed else None
        if audio.setup in ("actpass", "") and before is not None and before.peer == named:
            return before  # an association that stands keeps its roles (RFC 8842 §5.3)
        # We begin wherever we may: that opens the way through a NAT of our own.
        return Association(audio.setup != "active", named)

    def _agree(
        self,
        audio: Media,
        codec: Format,
        direction: Direction,
        send_key: Crypto | None,
        receive_key: Crypto | None,
        dtls: Association | None,
    ) -> Agreed:
        if (":" in audio.host) != (":" in self._host):
            raise Malformed("the sound is wanted by another IP version than it was offered in", 488)
        taken = [each for each in audio.formats if each.name.upper() == "TELEPHONE-EVENT"]
        # Of the stream's own clock (RFC 4733 §2.1); beside Opus some have those of 8000 Hz only.
        taken.sort(key=lambda each: each.clock_hz != codec.clock_hz)
        events = taken[0] if taken else None
        if audio.held and direction == "sendrecv":
            direction = "recvonly"  # 0.0.0.0, the hold of RFC 2543
        # What the other side wants to get; up to 60 ms is seen, 20 is usual.
        ptime_ms = audio.ptime_ms if audio.ptime_ms in (10, 20, 30, 40, 60) else PTIME_MS
        if ptime_ms == 30 and codec.name.upper() == "OPUS":
            ptime_ms = PTIME_MS  # it has no packets of 30 ms
        rtcp_port = audio.rtcp_port or audio.port + 1
        return Agreed(
            codec,
            events.payload if events else None,
            audio.host,
            audio.port,
            min(rtcp_port, 65535),
            direction,
            ptime_ms,
            send_key,
            receive_key,
            events.clock_hz if events else codec.clock_hz,
            dtls,
            dtls is not None and audio.rtcp_mux,
        )

    def _say(self, media: tuple[Media, ...]) -> bytes:
        """The version rises only with what is said (RFC 3264 §8)."""
        if self._said is None or self._said.media != media:
            self._version += 1
            self._said = Session(media, self._origin_id, self._version)
        return self._said.encode(self._host)


def _matches(each: Format) -> bool:
    known = OFFERED[each.name.upper()]
    return each.clock_hz == known.clock_hz


def _as_ours(codec: Format) -> Format:
    """Their payload type with what we say of our own end, not what they say of theirs."""
    ours = OFFERED[codec.name.upper()]
    return replace(codec, name=ours.name, fmtp=ours.fmtp)


def _met(one: Direction, other: Direction) -> Direction:
    """What both allow."""
    sends = all(d in ("sendrecv", "sendonly") for d in (one, other))
    receives = all(d in ("sendrecv", "recvonly") for d in (one, other))
    if sends:
        return "sendrecv" if receives else "sendonly"
    return "recvonly" if receives else "inactive"


def _random_key() -> str:
    """A master key of 16 bytes and a salt of 14, as base64 (RFC 4568 §6.1)."""
    return b64encode(secrets.token_bytes(30)).decode()
