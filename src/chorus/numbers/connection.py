"""Which settings each carrier needs and takes.

`FORMS` is the one place that says so: required, optional, and which of them are secrets. It is
applied to the whole of a number, on creation and to what a PATCH makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chorus.errors import Problem, invalid, label

SIP_MODES = ("registration", "ip_allowlist")


@dataclass(frozen=True, slots=True)
class Form:
    """The settings of one way to connect, by their names in the API."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    secret: frozenset[str] = frozenset()
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def names(self) -> tuple[str, ...]:
        return self.required + self.optional


FORMS: dict[str, Form] = {
    "twilio": Form(
        required=("twilioAccountSid", "twilioAuthToken"),
        secret=frozenset({"twilioAccountSid", "twilioAuthToken"}),
    ),
    "sip registration": Form(
        required=("sipUsername", "sipPassword", "sipProxy"),
        optional=(
            "sipMode",
            "sipOutboundProxy",
            "sipAuthUser",
            "sipPort",
            "sipRegisterTransport",
        ),
        secret=frozenset({"sipPassword"}),
        defaults={"sipMode": "registration", "sipPort": 5060, "sipRegisterTransport": "udp"},
    ),
    "sip ip_allowlist": Form(
        required=("sipIp",),
        optional=("sipMode", "sipPort", "sipProtocol"),
        defaults={"sipMode": "ip_allowlist", "sipPort": 5060, "sipProtocol": "udp"},
    ),
    "jambonz": Form(
        required=("jambonzAccountSid", "jambonzApiKey", "jambonzBaseUrl"),
        optional=("jambonzApplicationSid", "jambonzWebhookSecret"),
        secret=frozenset({"jambonzApiKey", "jambonzWebhookSecret"}),
    ),
    "voximplant": Form(
        required=("voximplantAccountId", "voximplantApiKey", "voximplantRuleId"),
        optional=("voximplantApplicationId", "voximplantBaseUrl"),
        secret=frozenset({"voximplantApiKey"}),
        defaults={"voximplantBaseUrl": "https://api.voximplant.com/platform_api"},
    ),
}
NAMES = tuple(dict.fromkeys(name for form in FORMS.values() for name in form.names))
SECRETS = frozenset(name for form in FORMS.values() for name in form.secret)


def complete(
    provider: str, stored: Mapping[str, Any], sent: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a number's settings become when `sent` is laid over `stored`: (plain, secret).

    Null in `sent` takes a setting away. Settings of another carrier or mode that are stored fall
    away; those that are sent are refused. Raises `Error` 400 with a problem for each field.
    """
    merged = {name: value for name, value in {**stored, **sent}.items() if value is not None}
    kind = provider
    if provider == "sip":
        kind = f"sip {merged.get('sipMode', SIP_MODES[0])}"
    form = FORMS[kind]
    problems = [
        Problem(name, f"{label(name)} is not used with {_with(kind)}")
        for name, value in sent.items()
        if value is not None and name not in form.names
    ]
    problems += [
        Problem(name, f"{label(name)} is required with {_with(kind)}")
        for name in form.required
        if name not in merged
    ]
    if problems:
        raise invalid(*problems)
    settings = {**form.defaults, **{n: v for n, v in merged.items() if n in form.names}}
    plain = {name: value for name, value in settings.items() if name not in form.secret}
    return plain, {name: value for name, value in settings.items() if name in form.secret}


def _with(kind: str) -> str:
    provider, _, mode = kind.partition(" ")
    return f"provider {provider} and sipMode {mode}" if mode else f"provider {provider}"
