"""A Twilio account, as the settings of a phone number name it."""

from __future__ import annotations

from dataclasses import dataclass, field

from chorus.lines.desk import Connection

TWILIO_API_URL = "https://api.twilio.com"


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """Credentials of an account. `api_url` is where any API is that speaks Twilio's (Somleng,
    SignalWire, the demo's carrier). `signing_key` is what signs where that is not the token."""

    account_sid: str
    auth_token: str = field(repr=False)
    api_url: str = TWILIO_API_URL
    signing_key: str = field(default="", repr=False)

    @property
    def signs_with(self) -> str:
        return self.signing_key or self.auth_token

    @classmethod
    def of(cls, connection: Connection, api_url: str) -> TwilioAccount:
        settings = connection.settings
        return cls(
            settings["twilioAccountSid"],
            settings["twilioAuthToken"],
            api_url,
            settings.get("twilioSigningKey") or "",
        )
