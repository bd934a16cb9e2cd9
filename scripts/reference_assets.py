"""Fetch what `/docs` and `/redoc` are made of: Swagger UI and ReDoc, as npm has them.

`reference_assets.py` downloads the two packages at the versions below, checks them against the
hashes that npm gives for them, and copies the few files that are needed, with their licences, to
`src/chorus/web/reference/`. Nothing is changed in them; `FILES` holds their hashes, and a test
compares. To go to another version: change it here with its hash (`npm view redoc@3
dist.integrity`), run this, and put the hashes that it prints into `FILES`.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import tarfile
import urllib.request
from io import BytesIO
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "src" / "chorus" / "web" / "reference"
REGISTRY = "https://registry.npmjs.org"

PACKAGES = {
    "swagger-ui-dist": (
        "5.35.0",
        "sha512-U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ==",
        {
            "swagger-ui-bundle.js": "swagger-ui-bundle.js",
            "swagger-ui-bundle.js.LICENSE.txt": "swagger-ui-bundle.js.LICENSE.txt",
            "swagger-ui.css": "swagger-ui.css",
            "LICENSE": "swagger-ui.LICENSE",
            "NOTICE": "swagger-ui.NOTICE",
        },
    ),
    "redoc": (
        "2.5.4",
        "sha512-M6jWhG1qoBnH6TFmzJnstyCZ87HmOY/UzDm78mHiYihEdlV/YcS9ogOo1NlElnJMeLsyxHFe2yFc4sNjHTrABQ==",
        {
            "bundles/redoc.standalone.js": "redoc.standalone.js",
            "bundles/redoc.standalone.js.LICENSE.txt": "redoc.standalone.js.LICENSE.txt",
            "LICENSE": "redoc.LICENSE",
        },
    ),
}
FILES = {
    "redoc.LICENSE": "d3026d549cf68ab7355bcfa85877bf8f845b3334a7efbfdc63936432fb34ff0e",
    "redoc.standalone.js": "dcaf76612bc4a3fbcc923a8966dee2f6146a5f32e5ce1b6f02dd60cbbf89500b",
    "redoc.standalone.js.LICENSE.txt": (
        "eed602ec32e00b2b9df1984fbcc26a687b1b3193ec01961389c4b8439e6edf73"
    ),
    "swagger-ui-bundle.js": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
    "swagger-ui-bundle.js.LICENSE.txt": (
        "37eb6e7e59aed57b2c1acf076574b818ea07b74265717e0bd67b59e0baf9abbb"
    ),
    "swagger-ui.LICENSE": "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
    "swagger-ui.NOTICE": "0d20d1adef18aee3f40dd258172155521ce702ac445cb5f7b7d60ed32dad2fb2",
    "swagger-ui.css": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
}


def main() -> int:
    for name, (version, integrity, files) in PACKAGES.items():
        url = f"{REGISTRY}/{name}/-/{name}-{version}.tgz"
        with urllib.request.urlopen(url, timeout=60) as response:
            archive = response.read()
        found = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
        if found != integrity:
            print(f"{url} is {found}, not {integrity}", file=sys.stderr)
            return 1
        with tarfile.open(fileobj=BytesIO(archive)) as members:
            for inside, ours in files.items():
                member = members.extractfile(f"package/{inside}")
                assert member is not None
                (FOLDER / ours).write_bytes(member.read())
    for name in sorted(ours for _, _, files in PACKAGES.values() for ours in files.values()):
        print(f'    "{name}": "{_sha256(name)}",')
    return 0


def changed() -> list[str]:
    """The files that are not what they were when they were fetched."""
    return [name for name, sha256 in FILES.items() if _sha256(name) != sha256]


def _sha256(name: str) -> str:
    return hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
