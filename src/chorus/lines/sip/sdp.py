"""Session descriptions: what is offered and what is taken (RFC 8866, RFC 3264).

Only what a call of sound needs is read: one audio stream, its codecs, address, direction, and SRTP
keys or the fingerprint of who makes them by DTLS. Lines that nobody asked for are skipped;
`Malformed` (488) is raised where even the stream cannot be made out. Descriptions of ours are
written by `Session.encode`.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Literal

from chorus.lines.sip.grammar import Malformed

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
DIRECTIONS: tuple[Direction, ...] = ("sendrecv", "sendonly", "recvonly", "inactive")
REVERSED: dict[Direction, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}
MAX_SDP_BYTES = 16_384
MAX_MEDIA = 16
MAX_FORMATS = 64
HASHES = {"sha-512": 128, "sha-384": 96, "sha-256": 64, "sha-1": 40}
"""Fingerprints that are read, the best first, and their digits."""

# RFC 3551 §6: payload types that need no rtpmap.
_STATIC = {0: ("PCMU", 8000), 8: ("PCMA", 8000), 9: ("G722", 8000), 13: ("CN", 8000)}


@dataclass(frozen=True, slots=True)
class Format:
    """One payload type. `name` in upper case; G.722 says 8000 Hz though it is 16000 (RFC 3551
    §4.5.2), Opus says 48000 and two channels (RFC 7587 §7)."""

    payload: int
    name: str
    clock_hz: int
    channels: int = 1
    fmtp: str = ""


@dataclass(frozen=True, slots=True)
class Crypto:
    """One `a=crypto` line (RFC 4568). `key` is base64 of master key and salt."""

    tag: int
    suite: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Of a certificate (RFC 8122). `kind` is one of `HASHES`, `digest` hexadecimal in lower case
    without colons."""

    kind: str
    digest: str

    def __str__(self) -> str:
        pairs = (self.digest[at : at + 2] for at in range(0, len(self.digest), 2))
        return f"{self.kind} {':'.join(pairs).upper()}"


@dataclass(frozen=True, slots=True)
class Media:
    """One m= line. `host` and `port` are where it wants to be sent to; port 0 is refused."""

    kind: str
    port: int
    protocol: str
    formats: tuple[Format, ...]
    host: str = ""
    direction: Direction = "sendrecv"
    ptime_ms: int | None = None
    crypto: tuple[Crypto, ...] = ()
    rtcp_mux: bool = False
    rtcp_port: int | None = None
    fingerprint: Fingerprint | None = None
    setup: str = ""
    """Who begins DTLS: actpass, active, passive (RFC 4145 §4); empty where nothing is said."""
    payloads: tuple[str, ...] = ()
    """As they were written, to be repeated when the stream is refused."""

    @property
    def held(self) -> bool:
        """Whether it hears nothing of us: put on hold, also in RFC 2543's way."""
        return self.direction in ("sendonly", "inactive") or self.host in ("0.0.0.0", "::")  # noqa: S104 - read, not bound


@dataclass(frozen=True, slots=True)
class Session:
    media: tuple[Media, ...]
    origin_id: int = 0
    version: int = 0

    @property
    def audio(self) -> Media | None:
        """The first audio stream that is on."""
        return next((m for m in self.media if m.kind == "audio" and m.port), None)

    def encode(self, host: str) -> bytes:
        """As one of ours, sent from `host`."""
        family = "IP6" if ":" in host else "IP4"
        lines = [
            "v=0",
            f"o=- {self.origin_id} {self.version} IN {family} {host}",
            "s=-",
            f"c=IN {family} {host}",
            "t=0 0",
        ]
        for media in self.media:
            lines += _media_lines(media)
        return ("\r\n".join(lines) + "\r\n").encode()


def _media_lines(media: Media) -> list[str]:
    numbers = media.payloads or tuple(str(each.payload) for each in media.formats)
    lines = [f"m={media.kind} {media.port} {media.protocol} {' '.join(numbers)}"]
    if media.port == 0:
        return lines
    for each in media.formats:
        channels = f"/{each.channels}" if each.channels > 1 else ""
        lines.append(f"a=rtpmap:{each.payload} {each.name}/{each.clock_hz}{channels}")
        if each.fmtp:
            lines.append(f"a=fmtp:{each.payload} {each.fmtp}")
    if media.ptime_ms:
        lines.append(f"a=ptime:{media.ptime_ms}")
    lines += [f"a=crypto:{each.tag} {each.suite} inline:{each.key}" for each in media.crypto]
    if media.fingerprint is not None:
        lines += [f"a=fingerprint:{media.fingerprint}", f"a=setup:{media.setup}"]
    if media.rtcp_mux:
        lines.append("a=rtcp-mux")
    lines.append(f"a={media.direction}")
    return lines


@dataclass
class _Draft:
    """An m= line while the lines under it are read."""

    kind: str = ""
    port: int = 0
    protocol: str = ""
    payloads: list[str] = field(default_factory=list[str])
    host: str = ""
    direction: Direction | None = None
    ptime_ms: int | None = None
    maps: dict[int, tuple[str, int, int]] = field(default_factory=dict[int, "tuple[str, int, int]"])
    fmtp: dict[int, str] = field(default_factory=dict[int, str])
    crypto: list[Crypto] = field(default_factory=list[Crypto])
    rtcp_mux: bool = False
    rtcp_port: int | None = None
    fingerprints: dict[str, str] = field(default_factory=dict[str, str])
    setup: str = ""

    @property
    def fingerprint(self) -> Fingerprint | None:
        kind = next((each for each in HASHES if each in self.fingerprints), None)
        return Fingerprint(kind, self.fingerprints[kind]) if kind else None


def parse_sdp(body: bytes) -> Session:
    """Raises `Malformed` with status 488."""
    if len(body) > MAX_SDP_BYTES:
        raise Malformed("a session description of more than 16 KiB", 488)
    session = _Draft()
    drafts: list[_Draft] = []
    seen_version = False
    for line in body.decode("utf-8", "replace").replace("\r\n", "\n").split("\n"):
        kind, equals, value = line.partition("=")
        value = value.strip()
        if not equals:
            continue
        if kind == "v":
            seen_version = True
        elif kind == "m":
            if len(drafts) >= MAX_MEDIA:
                raise Malformed("too many media streams", 488)
            drafts.append(_media_line(value))
        elif kind == "c":
            (drafts[-1] if drafts else session).host = _connection(value)
        elif kind == "a":
            _attribute(drafts[-1] if drafts else session, value)
    if not seen_version or not drafts:
        raise Malformed("a session description without a stream", 488)
    return Session(tuple(_finished(draft, session) for draft in drafts))


def _media_line(value: str) -> _Draft:
    words = value.split()
    if len(words) < 4 or len(words) > MAX_FORMATS:
        raise Malformed("an m= line is broken", 488)
    port = words[1].split("/")[0]
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65535):
        raise Malformed("an m= line has no port", 488)
    return _Draft(words[0].lower(), int(port), words[2].upper(), words[3:])


def _connection(value: str) -> str:
    words = value.split()
    if len(words) < 3 or words[1] not in ("IP4", "IP6"):
        raise Malformed("a c= line is broken", 488)
    try:
        # As a socket writes it, since packets are known by where they come from. A name would have
        # to be looked up with every packet; nobody sends one.
        return str(ipaddress.ip_address(words[2].split("/")[0]))
    except ValueError:
        raise Malformed("a c= line has no address", 488) from None


def _attribute(draft: _Draft, value: str) -> None:
    """Attributes that cannot be read are as good as absent: half the world's PBXs write some."""
    name, _, rest = value.partition(":")
    rest = rest.strip()
    if name in DIRECTIONS:
        draft.direction = name
    elif name == "ptime" and rest.isascii() and rest.isdecimal() and len(rest) < 5:
        draft.ptime_ms = int(rest)
    elif name == "rtcp-mux":
        draft.rtcp_mux = True
    elif name == "rtcp":
        port = rest.split(" ")[0]
        if port.isascii() and port.isdecimal() and len(port) <= 5:
            draft.rtcp_port = int(port)
    elif name == "rtpmap":
        payload, _, mapped = rest.partition(" ")
        parts = mapped.strip().split("/")
        if _is_payload(payload) and len(parts) >= 2 and parts[1].isascii() and parts[1].isdecimal():
            channels = int(parts[2]) if len(parts) > 2 and parts[2] in ("1", "2") else 1
            if len(parts[1]) <= 6:
                draft.maps[int(payload)] = (parts[0].upper(), int(parts[1]), channels)
    elif name == "fmtp":
        payload, _, parameters = rest.partition(" ")
        if _is_payload(payload):
            draft.fmtp[int(payload)] = parameters.strip()
    elif name == "setup":
        draft.setup = rest.lower()
    elif name == "fingerprint":
        kind, _, digest = rest.lower().partition(" ")
        digest = digest.replace(":", "").strip()
        if len(digest) == HASHES.get(kind) and set(digest) <= set("0123456789abcdef"):
            draft.fingerprints[kind] = digest
    elif name == "crypto":
        words = rest.split()
        if len(words) >= 3 and words[0].isascii() and words[0].isdecimal() and len(words[0]) < 10:
            method, _, key = words[2].partition(":")
            if method == "inline":
                draft.crypto.append(Crypto(int(words[0]), words[1], key.split("|")[0]))


def _is_payload(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 3 and int(text) <= 127


def _finished(draft: _Draft, session: _Draft) -> Media:
    formats: list[Format] = []
    for text in draft.payloads:
        if not _is_payload(text):
            continue
        payload = int(text)
        if payload in draft.maps:
            name, clock_hz, channels = draft.maps[payload]
        elif payload in _STATIC:
            (name, clock_hz), channels = _STATIC[payload], 1
        else:
            continue
        formats.append(Format(payload, name, clock_hz, channels, draft.fmtp.get(payload, "")))
    return Media(
        draft.kind,
        draft.port,
        draft.protocol,
        tuple(formats),
        draft.host or session.host,
        draft.direction or session.direction or "sendrecv",
        draft.ptime_ms or session.ptime_ms,
        tuple(draft.crypto),
        draft.rtcp_mux,
        draft.rtcp_port,
        draft.fingerprint or session.fingerprint,
        draft.setup or session.setup,
        tuple(draft.payloads),
    )
