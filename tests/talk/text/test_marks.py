"""What of a model's marks is said, and where German ordinals and ellipses leave a clause whole.
The same whether the text comes at once or letter by letter."""

from __future__ import annotations

import pytest

from chorus.talk.text.clauses import Clauses
from chorus.talk.text.speakable import Speakable, speakable

SPOKEN = [
    ("Press * to go back", "Press * to go back"),
    ("Press *, then #.", "Press *, then #."),
    ("Press *", "Press *"),
    ("Dial *67 now.", "Dial *67 now."),
    ("*67 hides it", "*67 hides it"),
    ("2*3 rooms", "2*3 rooms"),
    ("2 * 3 = 6", "2 * 3 = 6"),
    ("A*B*C", "A*B*C"),
    ("**Bold** and *this* one.", "Bold and this one."),
    ("(*note*) yes", "(note) yes"),
    ("* one\n* two", "one two"),
    ("***", ""),
    ("It is ~5 euro", "It is ~5 euro"),
    ("~~old~~ new", "old new"),
    ("Write to <john@example.com> please.", "Write to john@example.com please."),
    ("Write to <mailto:a@b.example>.", "Write to a@b.example."),
    ("See <https://x.example/a>", "See https://x.example/a"),
    ("a<b and c>d", "a<b and c>d"),
    ("<b>Hi</b> there", "Hi there"),
    ('<a href="x">Hi</a><br/>', "Hi"),
    ("one<br>two<p>three</p>", "one two three"),
    ("Call <tel:+15551234567> or <+1 555 123 4567>.", "Call +15551234567 or +1 555 123 4567."),
    ("*Note:* bring it", "Note: bring it"),
    ("*sighs* Hello", "sighs Hello"),
    ("* *this* one", "this one"),
    ("```\nx\n``` and more", "x and more"),
    ("```inline``` ok", "inline ok"),
    ("```one two``` ok", "one two ok"),
    ("~~~python\nx\n~~~\nafter", "x after"),
    (r"\*67, 5\$ and C:\temp", r"*67, 5$ and C:\temp"),
    ("| a | b |\n|:--|--:|\n| -5 | 2 |", "a b -5 2"),
    ("a|b", "a b"),
    ("Salt &amp; pepper, AT&T, a & b", "Salt & pepper, AT&T, a & b"),
    ("x&nbsp;y &lt; z &#8364; &bogus;", "x y < z € &bogus;"),
    ("https://x.example/?a=1&b=2", "https://x.example/?a=1&b=2"),
    ("It is open.【4:0†source】 Bye【x】", "It is open. Bye【x】"),
]


@pytest.mark.parametrize(("text", "said"), SPOKEN)
def test_marks(text: str, said: str) -> None:
    assert speakable(text) == said
    stream = Speakable()
    letters = "".join(stream.feed(char) for char in text) + stream.flush()
    assert letters.replace("\n", " ") == said


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Am 3. Mai um 8 Uhr.", ["Am 3. Mai um 8 Uhr."]),
        ("Der 12. ist frei.", ["Der 12. ist frei."]),
        ("Bis 20. Dezember zu. Danke.", ["Bis 20. Dezember zu.", " Danke."]),
        ("It is 3. We open at nine.", ["It is 3.", " We open at nine."]),
        ("Well... let me check", ["Well...", " let me check"]),
        ("Okay... let me check", ["Okay.", " let me check"]),
        ("Great!!! Let us go.", ["Great!", " Let us go."]),
        ("Okay....5 it is", ["Okay.", "...5 it is"]),
    ],
)
def test_clauses(text: str, clauses: list[str]) -> None:
    for step in (1, len(text)):
        splitter = Clauses()
        pieces = [text[at : at + step] for at in range(0, len(text), step)]
        assert [c for p in pieces for c in splitter.feed(p)] + splitter.flush() == clauses
