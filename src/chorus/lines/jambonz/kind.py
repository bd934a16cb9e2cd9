"""jambonz: what a phone number of it is set up with."""

from __future__ import annotations

from chorus.lines.carrier import CarrierKind, Form, Setting

JAMBONZ = CarrierKind(
    "jambonz",
    settings=(
        Setting("jambonzAccountSid"),
        Setting("jambonzApiKey", secret=True),
        Setting("jambonzApplicationSid"),
        Setting("jambonzWebhookSecret", secret=True),
        Setting("jambonzBaseUrl", "url"),
    ),
    forms=(
        Form(
            required=("jambonzAccountSid", "jambonzApiKey", "jambonzBaseUrl"),
            optional=("jambonzApplicationSid", "jambonzWebhookSecret"),
        ),
    ),
)
