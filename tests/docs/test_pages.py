"""What the pages name is there: files, commands, events; and each page can be found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), ROOT / "bench/README.md")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
NAMED = re.compile(r"(?<![\w./~-])(?:tests|bench|scripts|src|deploy|clients)/[\w./-]*\w")
IN_SOURCE = re.compile(r"`((?:[a-z_]+/)+[a-z_0-9]+\.py)`")
MODULE = re.compile(r"python (?:-W ignore )?-m ((?:chorus|tests|bench)[\w.]*\w)")
EXAMPLES = ("src/chorus/speech/stt/acme.py", "tests/fakes/vendors/acme.py", "src/schema.gen.ts")
MADE = ("docs/reference/",)  # by scripts/docs_reference.py, while the site is built


def links(page: Path) -> Iterator[Path]:
    for found in LINK.finditer(page.read_text("utf-8")):
        if "://" not in found[1] and not found[1].startswith("mailto:"):
            yield (page.parent / found[1]).resolve()


def test_every_link_leads_somewhere() -> None:
    dead = {
        f"{page.relative_to(ROOT)}: {to.relative_to(ROOT)}"
        for page in PAGES
        for to in links(page)
        if not to.exists() and not str(to.relative_to(ROOT)).startswith(MADE)
    }
    assert dead == set()


def test_every_page_is_two_clicks_from_the_readme() -> None:
    first = set(links(ROOT / "README.md"))
    second = {to for page in first if page.suffix == ".md" for to in links(page)}
    assert set(ROOT.glob("docs/**/*.md")) - first - second == set()


def test_every_file_that_a_page_names_is_there() -> None:
    gone: set[str] = set()
    for page in PAGES:
        text = page.read_text("utf-8")
        for name in NAMED.findall(text):
            # A name may go on with a star or in braces.
            if name not in EXAMPLES and not any(ROOT.glob(f"{name}*")):
                gone.add(f"{page.name}: {name}")
        for name in IN_SOURCE.findall(text):
            places = (ROOT, ROOT / "src/chorus", ROOT / "src/chorus/talk", page.parent)
            if name not in EXAMPLES and not any(
                (place / name).exists() or any(place.glob(f"*/{name}")) for place in places
            ):
                gone.add(f"{page.name}: {name}")
    assert gone == set()


def code(page: Path) -> str:
    """What stands in a block or between backticks: in a sentence "make" is a word."""
    text = page.read_text("utf-8")
    blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.S | re.M)
    return "\n".join((*blocks, *re.findall(r"`([^`\n]+)`", text)))


def test_every_command_that_a_page_shows_is_there() -> None:
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    gone: set[str] = set()
    for page in PAGES:
        shown = code(page)
        for target in re.findall(r"^make ([a-z-]+)", shown, re.M):
            if target not in made:
                gone.add(f"{page.name}: make {target}")
        for module in MODULE.findall(shown):
            path = module.replace(".", "/")
            names = (f"{path}.py", f"{path}/__main__.py")
            if not any((base / name).exists() for base in (ROOT, ROOT / "src") for name in names):
                gone.add(f"{page.name}: {module}")
    assert gone == set()


def test_every_event_of_a_conversation_is_told() -> None:
    """In the table of `docs/conversation.md`."""
    page = (ROOT / "docs/conversation.md").read_text("utf-8")
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|", page, re.M)
    told = {kind for row in rows for kind in re.findall(r"[a-z_]+", row)}
    noted = {
        kind
        for file in (ROOT / "src/chorus/talk").rglob("*.py")
        for kind in re.findall(r"note\(\s*\"([a-z_]+)\"", file.read_text("utf-8"))
    }
    assert len(noted) > 40
    assert noted - told == set()
