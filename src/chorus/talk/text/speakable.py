"""What of a model's text can be spoken: markdown, emojis and layout are taken out as it streams.

Each character is either passed on, dropped, or held for as long as the next one decides (the
`-` at the start of a line may be a bullet, a rule or a minus sign). Runs of white space become
one space, or one newline where they held one: the splitter takes a newline for a boundary.
The result does not depend on how the text was cut into pieces.
"""

from __future__ import annotations

import html
import re
import unicodedata

# Pictographs, dingbats, arrows and their modifiers (Unicode 16 emoji-data, coarse blocks).
_PICTURES = re.compile(
    "[\u2190-\u21ff\u2300-\u23ff\u2500-\u27bf\u2900-\u297f\u2b00-\u2bff"
    "\u3030\u303d\u3297\u3299\ufe00-\ufe0f\u20e3\U0001f000-\U0001faff\U000e0000-\U000e0fff]"
)
_DROPPED = frozenset("`\u200b\u2060\ufeff\u00ad")
_DIRECTIONS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_OPENING = frozenset("([{\"'“‘«¿¡")
_ENDS = frozenset(".,!?;:…。！？।؟")
_ZERO_WIDTH_JOINER = "\u200d"
_BULLETS = frozenset("•‣◦▪·")
_LONGEST_LINK = 2000
_LONGEST_TAG = 200
_LONGEST_ENTITY = 10
# In angle brackets, what has one of these is an address that is to be said, and no tag.
_ADDRESS = re.compile(
    r"<(?:mailto:|tel:)?([^\s<>@]+@[^\s<>@]+\.[^\s<>@]+|(?:https?://|www\.)[^\s<>]+"
    r"|\+?[\d ()./-]{5,})>"
)
_NEW_LINE = re.compile(r"</?(?:br|p|div|li|ul|ol|tr|h[1-6])\b", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:[A-Za-z]+|#\d+|#[xX][0-9A-Fa-f]+);")
_INFO = re.compile(r"[\w+#.-]*[ \t]*")  # beside the fence of a block of code: its language
_RULE = frozenset(":-| \t")  # the row of a table that is no row
_TAG = re.compile(
    r"""</?[A-Za-z][\w:-]*(?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>]+))*\s*/?>|<!.*>"""
)


class Speakable:
    """One reply's text on its way to the voice."""

    def __init__(self) -> None:
        self._space = ""  # white space not passed on yet: " " or "\n"
        self._line_start = True
        self._started = False
        self._held = ""  # what the next character decides
        self._skipping = ""  # the character that ends what is being dropped
        self._skipped = ""
        self._bracket = False  # the last character was the "]" of a link's text
        self._last = ""
        self._picture = False  # one was dropped since the last character
        self._emphasis = False  # a single asterisk has opened it
        self._fenced = False  # within a block of code
        self._row: str | None = None  # what may be the rule of a table, so far

    def feed(self, text: str) -> str:
        out: list[str] = []
        for char in text:
            self._take(char, out)
        return "".join(out)

    def flush(self) -> str:
        """What was still held; white space at the end is not spoken."""
        out: list[str] = []
        held, self._held = self._held, ""
        if self._skipping and self._skipping != "\n":
            held = self._skipped  # a "(" or "<" that was never closed was no markup
            self._skipping = ""
        if self._row:
            held = self._row.strip(":-| \t")
        if held.startswith(("<", "(", "&", "【", "\\")) or (
            held[:1] in ("*", "~") and not self._is_markup(held, " ")
        ):
            self._pass(held, out)
        self.__init__()
        return "".join(out)

    def _take(self, char: str, out: list[str]) -> None:
        if self._row is not None:
            self._row_goes_on(char, out)
        elif self._skipping:
            self._skip(char, out)
        elif self._held:
            self._decide(char, out)
        else:
            self._first_look(char, out)

    def _row_goes_on(self, char: str, out: list[str]) -> None:
        """A line that began with `|`."""
        if char in _RULE:
            self._row = (self._row or "") + char
            return
        row, self._row = self._row or "", None
        if char not in "\r\n":
            # A cell that begins with one of these: "-5".
            bare = row.rstrip(" \t")
            for each in bare[len(bare.rstrip(":-")) :]:
                self._emit(each, out)
            if bare != row:
                self._white(" ")
        self._first_look(char, out)

    def _fence(self, char: str, out: list[str]) -> None:
        """Beside three backticks at the beginning of a line: the name of a language, or else the
        line is text."""
        if char in "\r\n":
            self._skipping, self._skipped, self._fenced = "", "", True
            self._white(char)
        elif _INFO.fullmatch(self._skipped + char):
            self._skipped += char
        else:
            kept, self._skipping, self._skipped = self._skipped, "", ""
            self._pass(kept, out)
            self._first_look(char, out)

    def _skip(self, char: str, out: list[str]) -> None:
        if self._skipping == "\n":
            self._fence(char, out)
            return
        if self._skipping == ";" and not (char == ";" or char == "#" or char.isalnum()):
            kept, self._skipping, self._skipped = self._skipped, "", ""
            self._pass(kept, out)  # no entity: "AT&T "
            self._first_look(char, out)
            return
        self._skipped += char
        limits = {")": _LONGEST_LINK, ";": _LONGEST_ENTITY}
        limit = limits.get(self._skipping, _LONGEST_TAG)
        if char == self._skipping:
            skipped, self._skipping, self._skipped = self._skipped, "", ""
            if char == ";":
                whole = html.unescape(skipped) if _ENTITY.fullmatch(skipped) else skipped
                self._pass(whole, out)
            elif char == "】":
                if "†" not in skipped:  # the source of an answer
                    self._pass(skipped, out)
            elif char == ">" and _NEW_LINE.match(skipped) and _TAG.fullmatch(skipped):
                self._white("\n")
            elif char == ">" and (address := _ADDRESS.fullmatch(skipped)):
                self._pass(address.group(1), out)
            elif char == ">" and not _TAG.fullmatch(skipped):
                self._pass(skipped, out)  # mathematics: a<b and c>d
        elif char == "\n" or len(self._skipped) > limit:
            kept, self._skipping, self._skipped = self._skipped, "", ""
            self._pass(kept, out)

    def _pass(self, text: str, out: list[str]) -> None:
        for each in text:
            self._white(each) if each.isspace() else self._emit(each, out)

    def _decide(self, char: str, out: list[str]) -> None:
        mark = self._held[0]
        if mark == char and mark in "#-`>*~":
            self._held += char
            return
        held, self._held = self._held, ""
        if mark == "~" and len(held) >= 3 and self._line_start:
            self._open_fence(char, out)
            return
        if mark in "*~":
            if not self._is_markup(held, char):
                self._pass(held, out)
            self._first_look(char, out)
            return
        if mark == "\\":
            if not char.isascii() or char.isalnum() or char.isspace():
                self._emit(mark, out)
                self._first_look(char, out)
            else:
                self._emit(char, out)  # escaped: it is no markup
            return
        if mark == "<" and (char.isalpha() or char in "/!+"):
            self._skipping, self._skipped = ">", held + char  # a tag
            return
        if mark == "`" and len(held) >= 3:
            self._open_fence(char, out)
            return
        if mark == "_":
            kept = char.isalnum() and self._last.isalnum() and not self._space
        elif mark == "-":
            kept = len(held) < 3 and not char.isspace()  # neither a rule nor a bullet
        else:
            kept = mark == "<" or (mark == "#" and not char.isspace())
        if kept:
            for each in held:
                self._emit(each, out)
        self._first_look(char, out)

    def _open_fence(self, char: str, out: list[str]) -> None:
        """What comes after the marks; those that close a block have nothing beside them."""
        if self._fenced:
            self._fenced = False
            self._first_look(char, out)
        else:
            self._skipping, self._skipped = "\n", ""
            self._fence(char, out)

    def _is_markup(self, held: str, after: str) -> bool:
        """Of a run of `*` or `~`: whether it marks a bullet, a rule or emphasis. Emphasis opens
        before a word and closes after one; between two words or figures, alone between spaces, or
        before a figure it is itself: a key of the telephone, a product, "about"."""
        bare_before = not self._started or bool(self._space) or self._last in _OPENING
        if len(held) > 1:
            return held[0] == "*" or len(held) == 2
        if held == "~":
            return False
        if self._line_start:
            self._emphasis = not (after.isspace() or after.isdigit())
            return not after.isdigit()  # a bullet, or emphasis
        if bare_before:
            self._emphasis = not (after.isspace() or after.isdigit() or after in ".,;:!?#")
            return self._emphasis
        if self._emphasis:
            self._emphasis = False
            return True
        # Within a word it is a product; after one it closes what nothing opened.
        self._emphasis = not (self._last.isalnum() or after.isalnum()) and not after.isspace()
        return self._emphasis

    def _first_look(self, char: str, out: list[str]) -> None:
        bracket, self._bracket = self._bracket, False
        if char.isspace():
            self._white(char)
        elif bracket and char == "(":
            self._skipping, self._skipped = ")", char
        elif self._line_start and char == "|":
            self._row = ""
        elif self._line_start and (char in "#-`>" or char in _BULLETS):
            self._held = "" if char in _BULLETS else char
        elif char in "_<*~\\":
            self._held = char
        elif char == "|":
            self._white(" ")
        elif char in "&【":
            self._skipping, self._skipped = ";" if char == "&" else "】", char
        elif char in "[]":
            self._bracket = char == "]"
        elif char == _ZERO_WIDTH_JOINER:
            if unicodedata.category(self._last or " ") in ("Mn", "Mc", "Lo"):
                self._emit(char, out)  # it shapes letters in Indic scripts; else it joins emojis
        elif _unspeakable(char):
            self._picture = True
        elif not (char in _DROPPED or char in _DIRECTIONS):
            self._emit(char, out)

    def _white(self, char: str) -> None:
        if char in "\n\r\u2028\u2029\x0b\x0c\x85":
            self._line_start = True
            self._space = "\n"
        elif not self._space:
            self._space = " "

    def _emit(self, char: str, out: list[str]) -> None:
        if char.isspace():
            self._white(char)
            return
        if self._picture and self._space == " " and char in _ENDS:
            self._space = ""  # it stood before the picture, not before the mark
        if self._space and self._started:
            out.append(self._space)
        self._picture = False
        self._space = ""
        self._started = True
        self._line_start = False
        self._last = char
        out.append(char)


def _unspeakable(char: str) -> bool:
    if char.isascii():
        return char < " " or char == "\x7f"
    return bool(_PICTURES.match(char)) or unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn")


def speakable(text: str) -> str:
    """The whole of a text at once, newlines as spaces."""
    stream = Speakable()
    return (stream.feed(text) + stream.flush()).replace("\n", " ")
