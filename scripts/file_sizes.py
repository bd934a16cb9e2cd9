"""Fail where a source file has grown past what can be read at one sitting.

More than 400 lines is named, more than 500 is an error. Files that a tool writes (migrations
aside, those are read) and lock files are no source.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WARN_LINES = 400
FAIL_LINES = 500
SUFFIXES = {".py", ".ts", ".tsx", ".css", ".sh"}
ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    worst = 0
    for path in sources():
        lines = len(path.read_bytes().splitlines())
        if lines > WARN_LINES:
            verdict = "too long" if lines > FAIL_LINES else "long"
            print(f"{path.relative_to(ROOT)}: {lines} lines, {verdict}")
            worst = max(worst, lines)
    if worst > FAIL_LINES:
        print(f"A file may have {FAIL_LINES} lines; split it where its nouns part.")
        return 1
    return 0


def sources() -> list[Path]:
    """Tracked files and new ones that are not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    paths = [ROOT / name for name in sorted(set(listed.split("\0"))) if name]
    return [p for p in paths if p.suffix in SUFFIXES and p.is_file() and not generated(p)]


def generated(path: Path) -> bool:
    return "static" in path.parts or ".gen." in path.name


if __name__ == "__main__":
    sys.exit(main())
