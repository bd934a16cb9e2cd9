"""Links: for one thing, until their time."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import settings_for

from chorus.accounts.secrets import Secrets
from chorus.errors import Error
from chorus.recordings.links import Kind, Links

SETTINGS = settings_for(Path("/nowhere"), recording_url_ttl_s=3600)
SECRETS = Secrets(("a key for the tests that is long enough",))
CALL = uuid.UUID("00000000-0000-4000-8000-000000000001")


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2025, 1, 15, 10, 7, 30, tzinfo=UTC)

    def utcnow(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        raise AssertionError("a link's end is a date")


def parts(url: str) -> tuple[str, str]:
    query = parse_qs(urlsplit(url).query)
    return query["expires"][0], query["signature"][0]


@pytest.mark.parametrize("kind", ["recording", "transcript"])
def test_a_link_holds_for_its_time_and_not_longer(kind: Kind):
    clock = Clock()
    links = Links(SETTINGS, SECRETS, clock)
    expires, signature = parts(links.url(kind, CALL))
    left = links.check(kind, CALL, expires, signature)
    assert 3600 <= left <= 4500
    clock.now += timedelta(seconds=left - 1)
    assert links.check(kind, CALL, expires, signature) == 1
    clock.now += timedelta(seconds=1)
    with pytest.raises(Error, match="has expired") as refused:
        links.check(kind, CALL, expires, signature)
    assert (refused.value.status, refused.value.code) == (403, "link_expired")


def test_the_same_link_is_shown_for_a_while():
    clock = Clock()
    links = Links(SETTINGS, SECRETS, clock)
    first = links.url("recording", CALL)
    clock.now += timedelta(minutes=7)
    assert links.url("recording", CALL) == first
    clock.now += timedelta(minutes=15)
    assert links.url("recording", CALL) != first


def test_a_link_is_for_one_call_and_one_kind():
    links = Links(SETTINGS, SECRETS, Clock())
    expires, signature = parts(links.url("recording", CALL))
    later = str(int(expires) + 900)
    for kind, call, end, mark in (
        ("transcript", CALL, expires, signature),
        ("recording", uuid.uuid4(), expires, signature),
        ("recording", CALL, later, signature),
        ("recording", CALL, expires, signature[:-1]),
        ("recording", CALL, expires, ""),
        ("recording", CALL, "", signature),
    ):
        with pytest.raises(Error) as refused:
            links.check(kind, call, end, mark)  # pyright: ignore[reportArgumentType]
        assert (refused.value.status, refused.value.code) == (403, "link_invalid")


def test_links_survive_a_new_key_and_no_other_server_makes_them():
    old, new = "an old key for the tests, long enough", "a new key for the tests, long enough"
    expires, signature = parts(Links(SETTINGS, Secrets((old,)), Clock()).url("recording", CALL))
    Links(SETTINGS, Secrets((new, old)), Clock()).check("recording", CALL, expires, signature)
    with pytest.raises(Error):
        Links(SETTINGS, Secrets((new,)), Clock()).check("recording", CALL, expires, signature)


@given(st.text(max_size=80), st.text(max_size=80))
def test_nothing_invented_is_a_link(expires: str, signature: str):
    with pytest.raises(Error) as refused:
        Links(SETTINGS, SECRETS, Clock()).check("recording", CALL, expires, signature)
    assert refused.value.code == "link_invalid"
