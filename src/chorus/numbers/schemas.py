"""Phone numbers at the HTTP edge. Which of the carriers' settings are needed: `connection.py`."""

# ruff: noqa: RUF012  pydantic copies the defaults of a model

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from chorus.wire import In, Metadata, Name, Out, Phone, Text, Time, Url, Whole, patch_of, told

# A host name or an address, with or without a port, as a PBX's administrator writes it.
_HOST = re.compile(
    r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?"
)


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("must be a host name or an address, such as pbx.example.com")
    return value


def _ip(value: str) -> str:
    try:
        return (
            str(ipaddress.ip_network(value)) if "/" in value else str(ipaddress.ip_address(value))
        )
    except ValueError:
        raise ValueError("must be an IP address, such as 203.0.113.7") from None


def _plain(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise ValueError("must not contain control characters or spaces at its ends")
    return value


Transport = Literal["udp", "tcp", "tls"]
Host = Annotated[Text, Field(min_length=1, max_length=100), told(_HOST), AfterValidator(_host)]
Short = Annotated[Text, Field(min_length=1, max_length=60), AfterValidator(_plain)]
Credential = Annotated[Text, Field(min_length=1, max_length=255), AfterValidator(_plain)]
Port = Annotated[Whole, Field(ge=1, le=65_535)]


class PhoneNumberCreate(In):
    name: Name | None = None
    number: Phone
    provider: Literal["twilio", "sip", "voximplant", "jambonz"] = "twilio"
    agent_id: Annotated[
        UUID | None, Field(description="Who answers; null refuses inbound calls.")
    ] = None
    metadata: Metadata = {}
    twilio_account_sid: Credential | None = None
    twilio_auth_token: Credential | None = None
    sip_mode: Literal["registration", "ip_allowlist"] | None = None
    sip_username: Short | None = None
    sip_password: Credential | None = None
    sip_proxy: Host | None = None
    sip_outbound_proxy: Host | None = None
    sip_auth_user: Short | None = None
    sip_port: Port | None = None
    sip_register_transport: Transport | None = None
    sip_ip: Annotated[Text, Field(max_length=64), AfterValidator(_ip)] | None = None
    sip_protocol: Transport | None = None
    jambonz_account_sid: Credential | None = None
    jambonz_api_key: Credential | None = None
    jambonz_application_sid: Credential | None = None
    jambonz_webhook_secret: Credential | None = None
    jambonz_base_url: Url | None = None
    voximplant_account_id: Credential | None = None
    voximplant_api_key: Credential | None = None
    voximplant_application_id: Credential | None = None
    voximplant_rule_id: Credential | None = None
    voximplant_base_url: Url | None = None


if TYPE_CHECKING:
    PhoneNumberPatch = PhoneNumberCreate
else:
    PhoneNumberPatch = patch_of(PhoneNumberCreate, "PhoneNumberPatch")


class PhoneNumberOut(Out):
    """A phone number. Secrets are never returned; `hasCredentials` says that there are some."""

    id: UUID
    name: str
    number: str
    provider: Literal["twilio", "sip", "voximplant", "jambonz"]
    agent_id: UUID | None
    metadata: dict[str, Any]
    has_credentials: bool
    sip_mode: Literal["registration", "ip_allowlist"] | None = None
    sip_username: str | None = None
    sip_proxy: str | None = None
    sip_outbound_proxy: str | None = None
    sip_auth_user: str | None = None
    sip_port: int | None = None
    sip_register_transport: Transport | None = None
    sip_ip: str | None = None
    sip_protocol: Transport | None = None
    jambonz_account_sid: str | None = None
    jambonz_application_sid: str | None = None
    jambonz_base_url: str | None = None
    voximplant_account_id: str | None = None
    voximplant_application_id: str | None = None
    voximplant_rule_id: str | None = None
    voximplant_base_url: str | None = None
    created_at: Time
    updated_at: Time
