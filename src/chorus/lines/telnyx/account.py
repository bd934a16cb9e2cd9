"""A Telnyx account, as the settings of a phone number name it."""

from __future__ import annotations

from dataclasses import dataclass, field

from chorus.lines.desk import Connection


@dataclass(frozen=True, slots=True)
class TelnyxAccount:
    """`connection_id` is the Call Control application that the number belongs to. `public_key` is
    what the account's webhooks are checked with, as the portal shows it. `base_url` ends in
    `/v2`."""

    connection_id: str
    api_key: str = field(repr=False)
    public_key: str
    base_url: str

    @classmethod
    def of(cls, connection: Connection) -> TelnyxAccount:
        settings = connection.settings
        return cls(
            connection_id=settings["telnyxConnectionId"],
            api_key=settings["telnyxApiKey"],
            public_key=settings["telnyxPublicKey"],
            base_url=settings["telnyxBaseUrl"].rstrip("/"),
        )
