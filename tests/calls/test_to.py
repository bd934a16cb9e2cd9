"""Whom a call is for, as people write it."""

from __future__ import annotations

import pytest
from tests.calls.test_calls_api import parties
from tests.fakes.api import Api

from chorus.wire import at_home


@pytest.mark.parametrize(
    ("own", "written", "means"),
    [
        ("+14155550000", "15551234567", "+15551234567"),
        ("+14155550000", "4155551234", "+14155551234"),
        ("+14155550000", "01149301234567", "+49301234567"),
        ("+15550001000", "5559990000", "+15559990000"),
        ("+493012345", "0301234567", "+49301234567"),
        ("+493012345", "00442071838750", "+442071838750"),
        ("+442071838750", "02071838751", "+442071838751"),
        ("+442071838750", "442071838751", "+442071838751"),
        ("+971501234567", "0501234568", "+971501234568"),
    ],
)
def test_a_number_without_its_country(own: str, written: str, means: str) -> None:
    assert at_home(written, own) == means


@pytest.mark.parametrize(
    ("own", "written", "says"),
    [
        ("+14155550000", "5551234", "no phone number|not a phone number"),  # of which area?
        ("+14155550000", "123", "not a phone number"),
        ("+390612345678", "39797064488", "may be"),  # at home, or with the code of its country
    ],
)
def test_what_is_nobodys_or_of_two(own: str, written: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        at_home(written, own)


async def test_a_call_is_placed_to_what_is_meant(sqlite_api: Api):
    wish = await parties(sqlite_api)
    for written in ("(415) 555-1234", "1 415 555 1234", "+1 415 555 1234", "+14155551234"):
        for path in ("/v1/calls", "/api/calls/outbound", "/v1/api/calls/outbound"):
            call = await sqlite_api.made(path, {**wish, "to": written})
            assert call["customerNumber"] == "+14155551234"
    for written in ("string", "5551234", "12", "0" * 60, "tel:4155551234"):
        answer = await sqlite_api.post("/v1/calls", json={**wish, "to": written})
        assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, "to")
