"""The text of an HTML page, in its order, without what is not its content.

Scripts, navigation, footers and what a reader does not see are left out: text that is hidden from
people is where instructions for machines are put. If the page names its main part, only that is
read. A table becomes sentences ("Price: 90 dollars; Duration: one hour."), because it is to be
spoken about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode

from chorus.knowledge.reader.blocks import Block, Reading

_LEFT_OUT = (
    "script, style, noscript, template, svg, canvas, iframe, object, embed, nav, footer, aside, "
    "form, button, select, textarea, dialog, [hidden], [aria-hidden=true]"
)
_UNSEEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|opacity\s*:\s*0(?![.\d])",
    re.IGNORECASE,
)
_BLOCKS = frozenset(
    {
        *("address", "article", "blockquote", "body", "caption", "dd", "details", "div", "dl"),
        *("dt", "fieldset", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "header"),
        *("hr", "html", "li", "main", "ol", "p", "pre", "section", "summary", "table", "tbody"),
        *("td", "tfoot", "th", "thead", "tr", "ul"),
    }
)
_MAIN_SHARE = 0.3
_CELL_BREAK = "\n\n"


def read_html(text: str) -> Reading:
    tree = LexborHTMLParser(text)
    title = tree.css_first("title")
    name = " ".join(title.text(deep=True).split())[:255] if title is not None else None
    body = tree.body
    if body is None:
        return Reading([], title=name or None)
    for node in body.css(_LEFT_OUT):
        node.decompose()
    for node in body.css("[style]"):
        if _UNSEEN.search(node.attributes.get("style") or ""):
            node.decompose()
    for table in body.css("table"):
        _as_sentences(table)
    return Reading(list(_blocks(_main_of(body))), title=name or None)


def _main_of(body: LexborNode) -> LexborNode:
    whole = len(body.text(deep=True))
    for wanted in ("main", "[role=main]", "article"):
        found = body.css(wanted)
        if len(found) == 1 and len(found[0].text(deep=True)) >= _MAIN_SHARE * whole:
            return found[0]
    return body


def _blocks(root: LexborNode) -> Iterator[Block]:
    """Pre-order without recursion: how deep a page is nested is its author's to choose."""
    parts: list[str] = []
    inside: tuple[int, str] | None = None

    def taken() -> Iterator[Block]:
        tag = inside[1] if inside else ""
        level = int(tag[1]) if re.fullmatch("h[1-6]", tag) else 0
        for text in re.split(r"\n{2,}", "".join(parts)):
            if line := " ".join(text.split()):
                yield Block(line, level)
        parts.clear()

    for node in root.traverse(include_text=True):
        tag = node.tag
        if tag == "-text":
            around = _block_around(node)
            if around != inside:
                yield from taken()
                inside = around
            parts.append(_text_of(node))
        elif tag == "br":
            parts.append("\n")
        elif tag in _BLOCKS:
            yield from taken()
            inside = None
    yield from taken()


def _text_of(node: Any) -> str:
    return node.text_content or ""


def _block_around(node: LexborNode) -> tuple[int, str] | None:
    around = node.parent
    while around is not None and around.tag not in _BLOCKS:
        around = around.parent
    return (around.mem_id, str(around.tag)) if around is not None else None


def _as_sentences(table: LexborNode) -> None:
    """A table of data; one that only lays out a page is left as it is."""
    if table.css_first("table table") is not None:
        return
    rows = [
        [(str(cell.tag), " ".join(cell.text(deep=True).split())) for cell in row.css("th, td")]
        for row in table.css("tr")
    ]
    rows = [row for row in rows if any(text for _, text in row)]
    if len(rows) < 2 or max(map(len, rows)) < 2:
        return
    names: list[str] = []
    if all(tag == "th" for tag, _ in rows[0]) or table.css_first("th") is None:
        names = [text for _, text in rows[0]]
        rows = rows[1:]
    sentences = [sentence(names, [text for _, text in row]) for row in rows]
    table.replace_with(_CELL_BREAK + _CELL_BREAK.join(filter(None, sentences)) + _CELL_BREAK)


def sentence(names: list[str], values: list[str]) -> str:
    """A row of a table, to be spoken about."""
    told = [
        f"{names[place]}: {value}" if place < len(names) and names[place] else value
        for place, value in enumerate(values)
        if value
    ]
    return "; ".join(told) + "." if told else ""
