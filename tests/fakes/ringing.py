"""Somebody who rings, for tests that answer without a carrier."""

from __future__ import annotations

from chorus.lines.desk import InboundCall


def rings(leg_id: str = "CA1", from_: str = "+14155559999") -> InboundCall:
    """As a carrier's webhook says it. Which number it is for, `answer` takes from the route."""
    return InboundCall(leg_id=leg_id, from_=from_, to="", phone_number_id="")
