"""A Voximplant account, as the settings of a phone number name it."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from chorus.lines.desk import Connection


@dataclass(frozen=True, slots=True)
class VoximplantAccount:
    """`rule_id` is the routing rule that starts the scenario. `scenario_secret` is what the
    scenario shows to Chorus and Chorus to the scenario; empty, nothing is believed."""

    account_id: str
    api_key: str = field(repr=False)
    base_url: str
    rule_id: str
    scenario_secret: str = field(repr=False)
    application_id: str | None = None

    @classmethod
    def of(cls, connection: Connection) -> VoximplantAccount:
        settings = connection.settings
        return cls(
            account_id=settings["voximplantAccountId"],
            api_key=settings["voximplantApiKey"],
            base_url=settings["voximplantBaseUrl"].rstrip("/"),
            rule_id=settings["voximplantRuleId"],
            scenario_secret=settings.get("voximplantScenarioSecret") or "",
            application_id=settings.get("voximplantApplicationId"),
        )

    def shows(self, authorization: str | None) -> bool:
        """Whether a request is the scenario's, by its `Authorization` header."""
        scheme, _, shown = (authorization or "").partition(" ")
        right = self.scenario_secret
        return bool(
            right
            and scheme == "Bearer"
            and hmac.compare_digest(shown.encode("utf-8", "replace"), right.encode())
        )
