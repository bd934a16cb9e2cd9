"""A jambonz account, as the settings of a phone number name it."""

from __future__ import annotations

from dataclasses import dataclass, field

from chorus.lines.desk import Connection

RATE_HZ = 8000


@dataclass(frozen=True, slots=True)
class JambonzAccount:
    """`base_url` is where the REST API is, with or without `/v1` at its end. `webhook_secret` signs
    what jambonz posts; empty, nothing is believed. `rate_hz` is the sample rate of both
    directions."""

    account_sid: str
    api_key: str = field(repr=False)
    base_url: str
    webhook_secret: str = field(repr=False)
    application_sid: str | None = None
    rate_hz: int = RATE_HZ

    @classmethod
    def of(cls, connection: Connection) -> JambonzAccount:
        settings = connection.settings
        return cls(
            account_sid=settings["jambonzAccountSid"],
            api_key=settings["jambonzApiKey"],
            base_url=settings["jambonzBaseUrl"],
            webhook_secret=settings.get("jambonzWebhookSecret") or "",
            application_sid=settings.get("jambonzApplicationSid"),
            rate_hz=int(settings.get("jambonzSampleRate") or RATE_HZ),
        )

    @property
    def url(self) -> str:
        """Of the account in the API, without a slash at the end."""
        base = self.base_url.rstrip("/").removesuffix("/v1")
        return f"{base}/v1/Accounts/{self.account_sid}"
