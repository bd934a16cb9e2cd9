"""The documentation as it is built: all of the API is in it, and nothing of it is elsewhere."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
from scripts.check import NOWHERE

from chorus.openapi import codes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if built := os.environ.get("BUILT_SITE"):
        return Path(built)  # by `check.py`, a moment ago
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, **NOWHERE, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    path = ROOT / "scripts" / "docs_reference.py"
    spec = importlib.util.spec_from_file_location("docs_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Loaded(HTMLParser):
    """What a browser loads by itself to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio"):
            self.urls.append(given.get("src") or "")
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.urls.append(given.get("href") or "")


def test_a_page_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text("utf-8"))
        assert loaded.urls
        assert [url for url in loaded.urls if re.match(r"(https?:)?//", url)] == [], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import )[\"']?(https?:)?//", style.read_text("utf-8"))


def test_the_search_finds_words_of_handwritten_and_of_made_pages(site: Path) -> None:
    entries = json.loads((site / "search" / "search_index.json").read_text("utf-8"))["docs"]
    found = {entry["location"].partition("#")[0] for entry in entries if "script" in entry["text"]}
    assert "quick-start/" in found
    assert any("fallbackSilenceMs" in entry["text"] for entry in entries)
    assert any(entry["location"] == "reference/calls/#createcall" for entry in entries)


def test_every_operation_has_its_place(site: Path, reference: ModuleType) -> None:
    document = json.loads((site / "openapi.json").read_text("utf-8"))
    pages = {page.parent.name: page.read_text("utf-8") for page in site.glob("reference/*/*.html")}
    tags = {tag["name"] for tag in document["tags"]}
    seen = 0
    for path, method, operation in reference.operations(document):
        assert set(operation["tags"]) <= tags, (method, path)
        for tag in operation["tags"]:
            page = pages[re.sub(r"[^a-z]+", "-", tag.lower())]
            assert f'id="{operation["operationId"].lower()}"' in page
            assert f"{method.upper()} {path}" in page
            seen += 1
    assert seen > 60


def test_every_code_and_reason_has_its_place(site: Path) -> None:
    page = (site / "reference" / "errors" / "index.html").read_text("utf-8")
    for place in (*codes.errors(), *(codes.REASON + name for name in codes.reasons())):
        assert f'id="{place}"' in page


def test_every_request_that_a_page_names_is_in_the_api(reference: ModuleType) -> None:
    document = reference.document()
    known = {
        (method.upper(), re.sub(r"{[^}]*}", "{}", path))
        for path, method, _ in reference.operations(document)
    } | {("GET", "/v1/openapi.json"), ("GET", "/v1/openapi.yaml")}
    named = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) (/v1/[^`?\s…]+)[`?]")
    gone = {
        f"{page.name}: {method} {path}"
        for page in sorted((ROOT / "docs").rglob("*.md"))
        for method, path in named.findall(page.read_text("utf-8"))
        if (method, re.sub(r"{[^}]*}", "{}", path)) not in known
    }
    assert gone == set()


def test_every_field_and_parameter_has_a_meaning(reference: ModuleType) -> None:
    document = reference.document()
    schemas = document["components"]["schemas"]
    bare = {
        f"{name}.{field}"
        for name, schema in schemas.items()
        if not reference._left_out(name)
        for field, told in schema.get("properties", {}).items()
        if not reference.meaning(name, field, told)
    }
    bare |= {
        f"{method} {path} {parameter['name']}"
        for path, method, operation in reference.operations(document)
        for parameter in map(reference._resolved, operation.get("parameters", ()))
        if not parameter.get("description")
        and not reference.meaning("query", parameter["name"], {})
    }
    assert bare == set(), "explain them in the API, or in docs/reference/fields.toml"


def test_nothing_is_explained_that_is_not_there(reference: ModuleType) -> None:
    schemas = reference.document()["components"]["schemas"]
    alike = reference._meanings()["alike"]
    for table, fields in reference._meanings().items():
        if table in ("any", "query", "alike"):
            continue
        known = {
            field
            for name, schema in schemas.items()
            if table in (name, name.removesuffix("Create"), alike.get(name))
            for field in schema.get("properties", {})
        }
        assert set(fields) - known == set(), table


def test_a_range_and_a_default_are_told(reference: ModuleType) -> None:
    page = reference._tag_page(next(t for t in reference._tags() if t["name"] == "Agents"))
    assert "| `turnEndpointDelay` | integer, 50 to 2000 or null | `100` |" in page
    assert "| `name` | string, 1 to 255 characters | **required** |" in page
    assert "| `voiceSpeed` | number, 0.6 to 1.5 | `1.0` |" in page
    assert reference._tag_page(next(t for t in reference._tags() if t["name"] == "Agents")) == page
