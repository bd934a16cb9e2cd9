"""What an installation rests on: the lock file, the pinned uv, and the list of dependencies."""

from __future__ import annotations

import re
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from scripts import bootstrap

ROOT = Path(__file__).resolve().parent.parent


def toml(name: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / name).read_text())


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", requirement)[0] for requirement in requirements}


def test_the_lock_file_names_no_index_but_pypi() -> None:
    for package in toml("uv.lock")["package"]:
        source = package["source"]
        assert source in ({"registry": "https://pypi.org/simple"}, {"editable": "."}), package
        for file in [*package.get("wheels", []), package.get("sdist")]:
            assert file is None or file["url"].startswith("https://files.pythonhosted.org/")


def test_the_lock_file_knows_every_dependency() -> None:
    project = toml("pyproject.toml")
    declared = names(project["project"]["dependencies"])
    for extra in project["project"]["optional-dependencies"].values():
        declared |= names(extra)
    [locked] = [p for p in toml("uv.lock")["package"] if p["name"] == project["project"]["name"]]
    assert {r["name"] for r in locked["metadata"]["requires-dist"]} == declared
    for group, wanted in project["dependency-groups"].items():
        assert {r["name"] for r in locked["metadata"]["requires-dev"][group]} == names(wanted)


def test_every_dependency_is_explained() -> None:
    project = toml("pyproject.toml")["project"]
    page = (ROOT / "docs" / "dependencies.md").read_text()
    declared = names([*project["dependencies"], *project["optional-dependencies"]["local"]])
    assert [name for name in sorted(declared) if name not in page] == []


def test_setup_takes_an_index_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    assert bootstrap.index_url() == "https://pypi.org/simple"
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple/")
    assert bootstrap.index_url() == "https://mirror.example/simple"


def test_a_link_is_found_relative_to_the_page_that_lists_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = b'<a href="../../files/uv-1-py3-none-any.whl#sha256=00">uv</a>'
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mirror.example/simple")
    monkeypatch.setattr(bootstrap, "download", lambda url: page)
    found = bootstrap.find_link("uv-1-py3-none-any.whl")
    assert found == "https://mirror.example/files/uv-1-py3-none-any.whl"


def test_a_wheel_with_another_hash_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap, "TOOLS", tmp_path)
    monkeypatch.setattr(bootstrap, "wheel_for_this_machine", lambda: ("any", "0" * 64))
    monkeypatch.setattr(bootstrap, "find_link", lambda filename: "https://mirror.example/uv.whl")
    monkeypatch.setattr(bootstrap, "download", lambda url: b"something else")
    with pytest.raises(bootstrap.SetupFailed, match="sha256"):
        bootstrap.fetch_uv()
    assert list(tmp_path.iterdir()) == []


def test_a_wheel_holds_what_browsers_are_given(tmp_path: Path) -> None:
    static = ROOT / "src" / "chorus" / "web" / "static"
    if not (static / "index.html").exists():
        pytest.skip("the dashboard is not built (make setup)")
    uv = ROOT / ".tools" / "bin" / "uv"
    command = [str(uv) if uv.exists() else "uv", "build", "--wheel", "--quiet", "--out-dir"]
    made = subprocess.run(
        [*command, str(tmp_path), str(ROOT)], capture_output=True, text=True, timeout=300
    )
    if made.returncode and "hatchling" in made.stderr and "fetch" in made.stderr:
        pytest.skip(f"what builds a wheel cannot be fetched: {made.stderr}")
    assert made.returncode == 0, made.stderr
    [wheel] = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    built = {f"chorus/web/static/{p.relative_to(static)}" for p in static.rglob("*") if p.is_file()}
    assert built - held == set()
    # What pages ask for by name.
    wanted = ("index.html", "embed/element.js", "embed/worklet.js")
    assert [each for each in wanted if f"chorus/web/static/{each}" not in held] == []
