"""Where a text may be cut, and how long its parts take to say.

A unit is what is heard whole or not at all: a word in scripts that put spaces between words, one
written character in those that do not (Han, kana, Thai, Lao, Khmer, Burmese). A written character
is a letter with all its marks (a grapheme cluster; the part of Unicode's UAX #29 that these
scripts and emoji need), so that no cut separates a vowel sign from its letter.
"""

from __future__ import annotations

import unicodedata

# First and last code point of the scripts that are written without spaces between words.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # Han: iteration mark, closing mark, zero
    (0x3041, 0x30FF),  # hiragana, katakana
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_JOINS_NEXT = frozenset("\u200dเแโใไເແໂໃໄ")  # ZWJ; vowels of Thai and Lao that stand before
_JOINS_PREVIOUS = frozenset("\u200c\u200d\u0e33\u0eb3")  # ZWNJ, ZWJ; the vowel AM
_SKIN_TONES = ("\U0001f3fb", "\U0001f3ff")


def is_unspaced(char: str) -> bool:
    """Whether `char` belongs to a script without spaces between words."""
    code = ord(char)
    return code >= 0x0E00 and any(first <= code <= last for first, last in _UNSPACED)


def graphemes(text: str) -> list[int]:
    """Where each written character of `text` ends."""
    ends: list[int] = []
    for at, char in enumerate(text):
        joined = at > 0 and (
            unicodedata.category(char)[0] == "M"
            or char in _JOINS_PREVIOUS
            or _SKIN_TONES[0] <= char <= _SKIN_TONES[1]
            or text[at - 1] in _JOINS_NEXT
        )
        if joined and ends:
            ends[-1] = at + 1
        else:
            ends.append(at + 1)
    return ends


def units(text: str) -> list[int]:
    """Where each unit of `text` ends: it holds the marks and spaces before it, so that the last
    one ends with the text's last character that is no space."""
    ends: list[int] = []
    begun = 0
    pieces = graphemes(text)
    for index, end in enumerate(pieces):
        piece = text[begun:end]
        begun = end
        if piece.isspace():
            continue
        following = text[end : pieces[index + 1]] if index + 1 < len(pieces) else " "
        if following.isspace():
            ends.append(end)
        elif (is_unspaced(piece[0]) or is_unspaced(following[0])) and _is_word(following):
            ends.append(end)  # punctuation belongs to what stands before it
    return ends


def _is_word(piece: str) -> bool:
    return any(unicodedata.category(char)[0] in "LNM" for char in piece)


def weight(text: str) -> float:
    """How long `text` takes to say, in letters of a Latin script; marks and spaces take none."""
    total = 0.0
    for char in text:
        category = unicodedata.category(char)
        if category[0] == "N":
            total += 3.0  # a digit is a word
        elif category[0] == "L" or category == "Mc":
            code = ord(char)
            if 0x3400 <= code <= 0x9FFF or code >= 0x20000 or 0xF900 <= code <= 0xFAFF:
                total += 3.0  # a syllable
            elif 0xAC00 <= code <= 0xD7A3:
                total += 2.5
            elif 0x3041 <= code <= 0x30FF:
                total += 2.0
            else:
                total += 1.0
    return total
