"""A Twilio account, as the settings of a phone number name it."""

from __future__ import annotations

from dataclasses import dataclass, field

from chorus.lines.desk import Connection

TWILIO_API_URL = "https://api.twilio.com"


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """Credentials of an account. `api_url` is the origin of any API that speaks Twilio's
    (Somleng, SignalWire, the demo's carrier)."""

    account_sid: str
    auth_token: str = field(repr=False)
    api_url: str = TWILIO_API_URL

    @classmethod
    def of(cls, connection: Connection, api_url: str) -> TwilioAccount:
        settings = connection.settings
        return cls(settings["twilioAccountSid"], settings["twilioAuthToken"], api_url)
