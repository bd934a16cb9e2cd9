"""SIP trunks: what a phone number of one is set up with."""

from __future__ import annotations

from chorus.lines.carrier import CarrierKind, Form, Setting
from chorus.lines.sip.carrier import SipCarrier

_TRANSPORTS = ("udp", "tcp", "tls")

SIP = CarrierKind(
    "sip",
    make=SipCarrier,
    calls_addresses=True,
    sends_headers="always",
    shows_caller="always",
    joins_calls=True,
    settings=(
        Setting("sipMode", "one_of", choices=("registration", "ip_allowlist")),
        Setting("sipUsername", "short"),
        Setting("sipPassword", secret=True),
        Setting("sipProxy", "host"),
        Setting("sipOutboundProxy", "host"),
        Setting("sipAuthUser", "short"),
        Setting("sipPort", "port"),
        Setting("sipRegisterTransport", "one_of", choices=_TRANSPORTS),
        Setting("sipIp", "network"),
        Setting("sipProtocol", "one_of", choices=_TRANSPORTS),
    ),
    forms=(
        Form(
            by="sipMode",
            value="registration",
            required=("sipUsername", "sipPassword", "sipProxy"),
            optional=(
                "sipMode",
                "sipOutboundProxy",
                "sipAuthUser",
                "sipPort",
                "sipRegisterTransport",
            ),
            defaults={"sipMode": "registration", "sipPort": 5060, "sipRegisterTransport": "udp"},
        ),
        Form(
            by="sipMode",
            value="ip_allowlist",
            required=("sipIp",),
            optional=("sipMode", "sipPort", "sipProtocol"),
            defaults={"sipMode": "ip_allowlist", "sipPort": 5060, "sipProtocol": "udp"},
        ),
    ),
)
