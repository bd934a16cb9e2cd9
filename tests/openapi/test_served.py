"""How the document and its pages are served: once made, from here alone, and kept by browsers."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import yaml
from tests.conftest import settings_for
from tests.fakes.api import Api, running

from chorus.openapi import served

ROOT = Path(__file__).resolve().parents[2]
PLACES = ["/v1/openapi.json", "/v1/openapi.yaml", "/docs", "/redoc", "/docs/errors"]


async def test_json_and_yaml_say_the_same(sqlite_api: Api):
    client = sqlite_api.client_with(None)
    in_json = await client.get("/v1/openapi.json")
    in_yaml = await client.get("/v1/openapi.yaml")
    assert in_json.headers["content-type"] == "application/json"
    assert in_yaml.headers["content-type"] == "application/yaml"
    assert yaml.safe_load(in_yaml.text) == in_json.json()
    assert "&id" not in in_yaml.text
    assert list(in_json.json())[:2] == ["openapi", "info"]
    assert in_json.headers["access-control-allow-origin"] == "*"
    assert "x-ratelimit-limit" in in_json.headers


async def test_the_address_is_the_public_one(tmp_path: Path):
    settings = settings_for(tmp_path, public_url="https://voice.example.com/chorus")
    async with running(settings) as api:
        found = (await api.get("/v1/openapi.json")).json()
    assert found["servers"] == [
        {"url": "https://voice.example.com/chorus", "description": "This installation"}
    ]


async def test_the_document_is_made_once(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch):
    made: list[int] = []
    build = served.build

    def counted(*arguments: Any) -> Any:
        made.append(1)
        return build(*arguments)

    monkeypatch.setattr(served, "build", counted)
    answers = await asyncio.gather(*(sqlite_api.get("/v1/openapi.json") for _ in range(5)))
    await sqlite_api.get("/v1/openapi.yaml")
    assert {answer.status_code for answer in answers} == {200}
    assert made == [1]


async def test_a_failure_to_make_it_is_not_kept(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def broken(*_: Any) -> Any:
        raise RuntimeError("no document")

    with monkeypatch.context() as patched:
        patched.setattr(served, "build", broken)
        assert (await sqlite_api.get("/v1/openapi.json")).status_code == 500
    assert (await sqlite_api.get("/v1/openapi.json")).status_code == 200


@pytest.mark.parametrize("path", PLACES)
async def test_what_is_known_is_not_sent_again(sqlite_api: Api, path: str):
    client = sqlite_api.client_with(None)
    for coding in ("gzip", "identity"):
        first = await client.get(path, headers={"Accept-Encoding": coding})
        assert first.status_code == 200
        assert first.headers.get("content-encoding", "identity") == coding
        assert first.headers["vary"] == "Accept-Encoding"
        tag = first.headers["etag"]
        for known in (tag, f'"other", W/{tag}', "*"):
            headers = {"Accept-Encoding": coding, "If-None-Match": known}
            again = await client.get(path, headers=headers)
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == tag
        headers = {"Accept-Encoding": coding, "If-None-Match": '"other"'}
        assert (await client.get(path, headers=headers)).status_code == 200
    assert (await client.head(path)).status_code == 200


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/errors"])
async def test_a_page_is_made_of_what_is_served_here(sqlite_api: Api, path: str):
    client = sqlite_api.client_with(None)
    page = await client.get(path)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "http" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=", page.text), "inline code"
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert not [link for link in links if "//" in link]
    assets = [link for link in links if re.match(r"(docs/)?assets/", link)]
    assert len(assets) >= (1 if path == "/docs/errors" else 3)
    for asset in assets:
        # Relative: the page works under a path as well.
        answer = await client.get(urljoin(path, asset))
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        kind = "text/css" if asset.endswith(".css") else "text/javascript"
        assert answer.headers["content-type"].startswith(kind)


@pytest.mark.parametrize(
    "path",
    ["/docs/assets/{v}/../served.py", "/docs/assets/{v}/swagger.html", "/docs/assets/x/redoc.js"],
)
async def test_other_files_are_not_served(sqlite_api: Api, path: str):
    page = (await sqlite_api.get("/docs")).text
    [version] = set(re.findall(r"docs/assets/(\w+)/", page))
    response = await sqlite_api.get(path.format(v=version))
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize("header", ["gzip;q=0", "identity", "br", ""])
async def test_gzip_only_where_it_is_taken(sqlite_api: Api, header: str):
    response = await sqlite_api.get("/redoc", headers={"Accept-Encoding": header})
    assert "content-encoding" not in response.headers


def test_the_pages_programs_are_those_that_were_published():
    """What others wrote is here unchanged, with its licences."""
    from scripts import reference_assets

    assert reference_assets.changed() == []
