"""The worked example of adding a vendor, done as the page says on a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "vendors.md").read_text("utf-8").partition("\n## Adding a vendor\n")[2]
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.S | re.M)
# What the page leaves to the reader: the imports of the stand-in, as those beside it have them.
IMPORTS = """from __future__ import annotations

import json
from collections.abc import Sequence

from tests.fakes.vendors.hearing import KEY, Act, Ears, Talk
from tests.fakes.vendors.net import Asked

from chorus.audio.frame import AudioFormat


"""
IMPORT = "from tests.fakes.vendors.acme import AcmeEars"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The project, its files by link: one that is written anew is another file."""
    for name in ("src", "tests", "bench", "scripts"):
        ignored = shutil.ignore_patterns("__pycache__", "static", "node_modules")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored, copy_function=os.symlink)
    (tmp_path / "pyproject.toml").symlink_to(ROOT / "pyproject.toml")
    return tmp_path


def rewrite(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text("utf-8")
    for was, becomes in changes:
        assert text.count(was) == 1, was
        text = text.replace(was, becomes)
    file.unlink()
    file.write_text(text, "utf-8")


@pytest.mark.timeout(300)
def test_acme_passes_what_every_vendor_has_to(tree: Path) -> None:
    blocks = [found.group("language", "code") for found in BLOCK.finditer(PAGE)]
    python = [code for language, code in blocks if language == "python"]
    adapter, entry, stand_in, case = python
    (tree / "src/chorus/speech/stt/acme.py").write_text(adapter, "utf-8")
    (tree / "tests/fakes/vendors/acme.py").write_text(IMPORTS + stand_in, "utf-8")
    rewrite(
        tree / "src/chorus/speech/vendors.py",
        ("\n_ALL = (\n", f"\nfrom chorus.speech.stt import acme\n\n_ALL = (\n{entry.rstrip()},\n"),
    )
    rewrite(
        tree / "tests/speech/vendors/cases.py",
        ("\nEARS = (\n", f"\n{IMPORT}\n\nEARS = (\n{case.rstrip()},\n"),
    )
    [command] = [code for language, code in blocks if language == "sh" and "-k acme" in code]
    program, *arguments = command.split()
    assert program == ".venv/bin/python"
    done = subprocess.run(
        [sys.executable, *arguments, "-rps"],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "SKIPPED" not in done.stdout
    assert done.stdout.count("PASSED") > 20, done.stdout
