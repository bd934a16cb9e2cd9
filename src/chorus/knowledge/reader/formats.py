"""From the bytes of a document to its blocks, by its format.

Markdown and Word are brought to HTML first, by libraries of their own, so that headings, lists and
tables are understood in one place.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, cast

from chorus.knowledge.reader.blocks import (
    MAX_CHARACTERS,
    MAX_PAGES,
    MAX_ROWS,
    Block,
    Reading,
    Unreadable,
)
from chorus.knowledge.reader.html import read_html, sentence

_MAX_UNPACKED = 200 * 1024 * 1024
_MAX_ENTRIES = 10_000
_HYPHEN = re.compile(r"(?<=[^\W\d_])-\n(?=[a-zà-ÿ])")


def read(content: bytes, format: str, charset: str | None) -> Reading:
    """Raises `Unreadable`, and whatever the libraries raise for a broken file."""
    return _FORMATS[format](content, charset)


def _decoded(content: bytes, charset: str | None) -> str:
    """As it says, else by its byte order mark, else UTF-8, else what Windows writes."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    if b"\0" in content[:4096]:
        raise Unreadable("This is no text: send it as pdf or docx, or as text in UTF-8")
    if charset:
        return content.decode(charset, "replace").removeprefix("\ufeff")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _txt(content: bytes, charset: str | None) -> Reading:
    text = _decoded(content, charset).replace("\r\n", "\n")
    return Reading([Block(part) for part in re.split(r"\n\s*\n", text)])


def _html(content: bytes, charset: str | None) -> Reading:
    return read_html(_decoded(content, charset or _told_charset(content)))


def _told_charset(content: bytes) -> str | None:
    found = re.search(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([\w-]{1,40})", content[:2048], re.I)
    return found[1].decode("ascii").lower() if found else None


def _md(content: bytes, charset: str | None) -> Reading:
    from markdown_it import MarkdownIt

    text = _decoded(content, charset)
    front = re.match(r"---\n.*?\n---\n", text, re.DOTALL)
    plain = MarkdownIt("commonmark", {"html": False}).enable("table")
    return read_html(plain.render(text[front.end() :] if front else text))


def _docx(content: bytes, _: str | None) -> Reading:
    import mammoth

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            entries = package.infolist()
    except zipfile.BadZipFile:
        raise Unreadable("This is no Word document: save it again as .docx") from None
    if len(entries) > _MAX_ENTRIES or sum(e.file_size for e in entries) > _MAX_UNPACKED:
        raise Unreadable(
            f"Unpacked, the document has more than {_MAX_UNPACKED // 2**20} MB: split it, or take "
            "its pictures out"
        )
    if any(entry.flag_bits & 1 for entry in entries):
        raise Unreadable("The document is encrypted: save it without a password")
    made: Any = cast("Any", mammoth).convert_to_html(  # no type information
        io.BytesIO(content), convert_image=_no_image, include_embedded_style_map=False
    )
    return read_html(str(made.value))


def _no_image(_: Any) -> list[Any]:
    return []


def _pdf(content: bytes, _: str | None) -> Reading:
    import pypdf

    if not content.lstrip()[:5].startswith(b"%PDF"):
        raise Unreadable("This is no PDF: save it again as a PDF")
    document = pypdf.PdfReader(io.BytesIO(content))
    if document.is_encrypted and not document.decrypt(""):
        raise Unreadable("The PDF needs a password: save it without one")
    count = len(document.pages)
    if count > MAX_PAGES:
        raise Unreadable(f"The PDF has {count} pages, and {MAX_PAGES} are read: split it")
    blocks: list[Block] = []
    characters = 0
    for number, page in enumerate(document.pages, start=1):
        text = _HYPHEN.sub("", page.extract_text())
        characters += len(text)
        if characters > MAX_CHARACTERS:
            break  # what is too much is said by whoever cuts it
        blocks += [
            Block(" ".join(part.split()), page=number) for part in re.split(r"\n\s*\n", text)
        ]
    if not any(block.text for block in blocks):
        raise Unreadable(
            "The PDF has no text, as a scan has none: recognize its text first (OCR), or send the "
            "text itself"
        )
    told = document.metadata.title if document.metadata else None
    title = " ".join(str(told).split())[:255] if told else None
    return Reading(blocks, pages=count, title=title or None)


def _csv(content: bytes, charset: str | None) -> Reading:
    text = _decoded(content, charset)
    csv.field_size_limit(100_000)
    try:
        form: type[csv.Dialect] | csv.Dialect = csv.Sniffer().sniff(text[:8192], ",;\t|")
    except csv.Error:
        form = csv.excel
    rows = csv.reader(io.StringIO(text, newline=""), form)
    try:
        return Reading(list(_rows(rows)))
    except csv.Error as error:
        raise Unreadable(f"Row {rows.line_num} of the CSV file cannot be read: {error}") from None


def _rows(rows: Iterator[list[str]]) -> Iterator[Block]:
    names: list[str] | None = None
    for number, row in enumerate(rows):
        values = [" ".join(value.split()) for value in row]
        if not any(values):
            continue
        if names is None:
            names = values
            continue
        if number > MAX_ROWS:
            raise Unreadable(f"The CSV file has more than {MAX_ROWS} rows: split it")
        yield Block(sentence(names, values))


_FORMATS: dict[str, Callable[[bytes, str | None], Reading]] = {
    "txt": _txt,
    "md": _md,
    "html": _html,
    "pdf": _pdf,
    "docx": _docx,
    "csv": _csv,
}
