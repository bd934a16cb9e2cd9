"""All carriers. A new one is a folder beside this file and a line in the tuple."""

from __future__ import annotations

from chorus.lines.browser.carrier import BROWSER
from chorus.lines.carrier import Carrier, CarrierKind
from chorus.lines.jambonz.carrier import JAMBONZ
from chorus.lines.loopback.carrier import LOOPBACK
from chorus.lines.sip.kind import SIP
from chorus.lines.telnyx.carrier import TELNYX
from chorus.lines.twilio.carrier import TWILIO
from chorus.lines.voximplant.carrier import VOXIMPLANT
from chorus.settings import Settings

CARRIERS: tuple[CarrierKind, ...] = (
    TWILIO,
    SIP,
    JAMBONZ,
    VOXIMPLANT,
    TELNYX,
    BROWSER,
    LOOPBACK,
)

BY_NAME = {kind.name: kind for kind in CARRIERS}


def running(settings: Settings) -> dict[str, Carrier]:
    """One of each kind that belongs to this process, by name; none is started."""
    return {
        kind.name: kind.make(settings)
        for kind in CARRIERS
        if settings.simulated or not kind.simulated
    }
