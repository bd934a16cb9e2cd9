"""Voximplant: what a phone number of it is set up with."""

from __future__ import annotations

from chorus.lines.carrier import CarrierKind, Form, Setting

VOXIMPLANT = CarrierKind(
    "voximplant",
    settings=(
        Setting("voximplantAccountId"),
        Setting("voximplantApiKey", secret=True),
        Setting("voximplantApplicationId"),
        Setting("voximplantRuleId"),
        Setting("voximplantBaseUrl", "url"),
    ),
    forms=(
        Form(
            required=("voximplantAccountId", "voximplantApiKey", "voximplantRuleId"),
            optional=("voximplantApplicationId", "voximplantBaseUrl"),
            defaults={"voximplantBaseUrl": "https://api.voximplant.com/platform_api"},
        ),
    ),
)
