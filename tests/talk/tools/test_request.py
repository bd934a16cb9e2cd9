"""The names of what fills a tool's URL."""

from __future__ import annotations

import unicodedata

import pytest
from tests.talk.tools.test_acting import tool

from chorus.talk.tools.request import ToolWrong, request_of


@pytest.mark.parametrize("name", ["नाम", "имя", "ชื่อ", "e\u0301t\u00e9", " count "])
def test_names_in_a_url_are_those_of_templates(name: str) -> None:
    given = unicodedata.normalize("NFC", name.strip())
    request = request_of(
        tool(f"https://x.example/{{{{{name}}}}}?q={{day}}"), {"day": "1"}, {given: "y z"}
    )
    assert request.url == "https://x.example/y%20z?q=1"


def test_a_field_with_a_hyphen_fills_its_place_and_what_is_no_name_is_told() -> None:
    look = tool("https://x.example/{first-name}?f={a+b}", method="GET")
    assert request_of(look, {"first-name": "Eva"}, {}).url == "https://x.example/Eva?f={a+b}"
    with pytest.raises(ToolWrong, match=r"'customer\.name' is no name of a variable"):
        request_of(tool("https://x.example/{{customer.name}}"), {}, {"customer": "x"})
