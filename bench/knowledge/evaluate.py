"""How often the right passage is among the first five: by words alone, by meaning alone, and both.

`python -m bench.knowledge.evaluate`. The handbook and its questions were written for this: 70
questions in a caller's own words. So they favour meaning over words, and are few: a difference of
two questions is nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import tomllib
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from bench import postgres
from bench.knowledge.place import Place, opened
from chorus.talk.knowledge import Passage

HERE = Path(__file__).parent
FIRST = 5


def handbook() -> str:
    return (HERE / "handbook.md").read_text("utf-8")


def questions() -> dict[str, str]:
    """The section that answers it, by question."""
    return tomllib.loads((HERE / "questions.toml").read_text("utf-8"))["questions"]


@asynccontextmanager
async def evaluated(database_url: str | None, models: Path) -> AsyncGenerator[Place, None]:
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder), database_url, models) as place:
            await place.add("Handbook", handbook())
            yield place


def is_right(passage: Passage, section: str) -> bool:
    return passage.heading.endswith(f"› {section}")


async def recalls(place: Place, *, by_meaning: bool) -> tuple[float, float, list[str]]:
    """Recall at 1 and at `FIRST`, and the questions that were missed."""
    top, found, missed = 0, 0, list[str]()
    asked = questions()
    for question, section in asked.items():
        passages = (await place.find(question, FIRST, by_meaning=by_meaning)).passages
        top += bool(passages) and is_right(passages[0], section)
        if any(is_right(passage, section) for passage in passages):
            found += 1
        else:
            missed.append(f"{question} ({section})")
    return top / len(asked), found / len(asked), missed


async def main(models: Path, database_url: str | None) -> None:
    async with evaluated(database_url, models) as place:
        for name, by_meaning in (("words alone (BM25)", False), ("words and meaning", True)):
            top, five, missed = await recalls(place, by_meaning=by_meaning)
            print(f"{name}: recall@1 {top:.0%}, recall@{FIRST} {five:.0%}")
            print("  missed: " + "; ".join(missed))


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("~/.cache/chorus-tests/models"))
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    options = parser.parse_args()
    with ExitStack() as stack:
        url = None
        if options.database == "postgres":
            url = stack.enter_context(postgres.running(migrated=False)).url
        asyncio.run(main(options.models.expanduser(), url))


if __name__ == "__main__":
    run()
