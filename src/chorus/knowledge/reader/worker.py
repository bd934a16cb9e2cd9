"""The process that reads one document: bytes in, chunks out, and nothing else.

`python -m chorus.knowledge.reader.worker FORMAT [CHARSET]`. The document is its standard input. Its
answer is one line of JSON: `{"chunks": [[text, heading, page], …], "pages", "title"}`, or
`{"problem": sentence}`. It ends without an answer where the kernel ends it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import pkgutil
import sys
from typing import Any

from chorus.knowledge.reader import formats, limits
from chorus.knowledge.reader.blocks import MAX_BYTES, Unreadable
from chorus.knowledge.reader.chunks import cut

# Loaded whole before no file can be opened any more: they load parts of theirs when needed.
_LIBRARIES = {"md": ("markdown_it",), "docx": ("mammoth",), "pdf": ("pypdf",)}
_OTHERS = ("xml.dom.minidom", "xml.dom.expatbuilder", "xml.sax.expatreader", "tempfile")


def answer(content: bytes, format: str, charset: str | None) -> dict[str, Any]:
    """Whatever goes wrong is a problem, in a sentence."""
    try:
        reading = formats.read(content, format, charset)
        pieces = cut(reading.blocks)
    except Unreadable as why:
        return {"problem": str(why)}
    except MemoryError:
        return {"problem": "Reading the document takes too much memory: split it"}
    except RecursionError:
        return {"problem": "The document is nested too deeply to be read: save it in another form"}
    except Exception as broken:  # a broken file breaks a library in any way
        what = type(broken).__name__
        return {"problem": f"The document is broken and cannot be read as {format} ({what})"}
    if not pieces:
        return {"problem": "There is no text in the document"}
    return {
        "chunks": [[piece.text, piece.heading, piece.page] for piece in pieces],
        "pages": reading.pages,
        "title": reading.title,
    }


def load(format: str) -> None:
    for name in (*_OTHERS, *_LIBRARIES.get(format, ())):
        package = importlib.import_module(name)
        for part in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{name}."):
            with contextlib.suppress(ImportError):  # for what else might be installed
                importlib.import_module(part.name)


def main() -> None:
    format, charset = sys.argv[1], (sys.argv[2] if len(sys.argv) > 2 else None)
    load(format)
    try:
        limits.lock(charset)
    except LookupError:
        charset = None
        limits.lock()
    content = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        said: dict[str, Any] = {"problem": f"The document has more than {MAX_BYTES} bytes"}
    else:
        said = answer(content, format, charset)
    sys.stdout.write(json.dumps(said))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
