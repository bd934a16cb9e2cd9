"""The variables of SIP, part of the list in `settings.py`, and how their texts are read."""

from __future__ import annotations

import re
from pathlib import Path

from chorus import readers
from chorus.readers import Wrong
from chorus.variable import Variable

_LISTEN = re.compile(r"(udp|tcp|tls):(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+):([0-9]{1,5})")
_CODECS = ("PCMU", "PCMA", "G722", "OPUS")
_PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")


def _listens(raw: str) -> tuple[str, ...]:
    found = readers.names(raw)
    for each in found:
        match = _LISTEN.fullmatch(each)
        if match is None or int(match[3]) > 65535:
            raise Wrong(f"must hold addresses such as udp:0.0.0.0:5060, not {each!r}")
    return found


def _ports(raw: str) -> tuple[int, int]:
    match = _PORTS.fullmatch(raw)
    low, high = (int(match[1]), int(match[2])) if match else (0, 0)
    # A call takes an even port and the next.
    if not low >= 1024 or high > 65535 or high - low < 3:
        raise Wrong(f"must be a range from 1024 to 65535 such as 20000-20999, not {raw!r}")
    return low, high


def _codecs(raw: str) -> tuple[str, ...]:
    found = tuple(name.upper() for name in readers.names(raw))
    for name in found:
        if name not in _CODECS:
            raise Wrong(f"must hold some of {', '.join(_CODECS)}, not {name!r}")
    return found


SIP_VARIABLES: tuple[Variable, ...] = (
    Variable(
        "CHORUS_SIP_LISTEN",
        "sip_listen",
        _listens,
        "",
        "Addresses that SIP listens on, separated by commas: transport, address and port, such as "
        "`udp:0.0.0.0:5060,tcp:0.0.0.0:5060,tls:0.0.0.0:5061`. Without it there is no SIP.",
    ),
    Variable(
        "CHORUS_SIP_PUBLIC_HOST",
        "sip_public_host",
        readers.host,
        "",
        "Address at which carriers on the internet reach this machine's SIP and RTP, where that is "
        "not its own: behind NAT, or in a cloud. Not used towards private addresses.",
    ),
    Variable(
        "CHORUS_SIP_RTP_PORTS",
        "sip_rtp_ports",
        _ports,
        "20000-20999",
        "UDP ports for the sound of SIP calls, two a call. Open them in the firewall.",
    ),
    Variable(
        "CHORUS_SIP_CODECS",
        "sip_codecs",
        _codecs,
        "PCMU,PCMA,G722,OPUS",
        "Codecs of SIP calls, in the order in which they are offered. G722 and OPUS are wideband, "
        "and cost about 1 % of a core a call.",
    ),
    Variable(
        "CHORUS_SIP_TLS_CERT",
        "sip_tls_cert",
        Path,
        "",
        "File with the certificate (and its chain) for SIP over TLS.",
    ),
    Variable(
        "CHORUS_SIP_TLS_KEY",
        "sip_tls_key",
        Path,
        "",
        "File with the certificate's key, unless it is in the same file.",
    ),
    Variable(
        "CHORUS_SIP_TLS_CA",
        "sip_tls_ca",
        Path,
        "",
        "File with authorities whose certificates are believed, beside the machine's.",
    ),
)
