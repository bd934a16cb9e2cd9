from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chorus.talk.text.clauses import Clauses
from chorus.talk.text.speakable import Speakable, speakable


def split(*pieces: str) -> list[str]:
    clauses = Clauses()
    ready = [clause for piece in pieces for clause in clauses.feed(piece)]
    return ready + clauses.flush()


def released_at(*tokens: str) -> list[tuple[int, str]]:
    """Each clause with the number of the token that released it; -1 for the flush."""
    clauses = Clauses()
    ready = [(n, c) for n, token in enumerate(tokens) for c in clauses.feed(token)]
    return ready + [(-1, c) for c in clauses.flush()]


# --- when a clause is let go ------------------------------------------------------------------


def test_the_first_clause_does_not_wait_for_the_token_after_the_comma() -> None:
    assert released_at("Sure", ",", " I", " can", " help", " with", " that", ".", " What") == [
        (1, "Sure,"),
        (8, " I can help with that."),
        (-1, " What"),
    ]


@pytest.mark.parametrize("opener", ["Sure.", "Okay!", "Really?", "Ja.", "Hmm…", "好的，", "Well—"])
def test_a_first_clause_of_one_word_is_let_go_at_its_mark(opener: str) -> None:
    assert released_at(opener, " And", " then")[0] == (0, opener)


def test_without_punctuation_the_first_clause_ends_at_a_safe_word() -> None:
    text = "I can help you with that and we will be happy to see you"
    first = released_at(*re.findall(r" ?\w+", text))[0]
    # Released by the word after it; never after "and", "we", "will" or "be".
    assert first == (11, "I can help you with that and we will be happy")


def test_a_first_clause_does_not_end_in_the_middle_of_a_number() -> None:
    first = split("Our number for you to call is 555 123 4567 every day of the week, bye")[0]
    assert first == "Our number for you to call is 555 123 4567 every"


def test_later_clauses_are_not_scraps() -> None:
    assert split("Yes, no, a, b, c, d, and that is everything, I believe. Ok? Fine.") == [
        "Yes,",
        " no, a, b, c, d, and that is everything,",
        " I believe. Ok? Fine.",
    ]


def test_text_without_any_punctuation_is_not_held_back_for_ever() -> None:
    clauses = split(*(["word "] * 400))
    assert len(clauses) > 5
    assert max(map(len, clauses)) < 400


def test_a_line_is_a_clause() -> None:
    assert split("We have:\n- Soup\n- Salad\n\nWhich one?") == [
        "We have:",
        " Soup",
        " Salad",
        " Which one?",
    ]


# --- where no clause may end ------------------------------------------------------------------


@pytest.mark.parametrize(
    "whole",
    [
        "3.50",
        "1,000",
        "1,234,567.89",
        "10:30",
        "Dr.",
        "e.g.",
        "p.m.",
        "J.",
        "https://chorus.example/a?b=c,d;e!f.html",
        "www.chorus.example",
        "chorus.example",
        "john.smith@mail.example",
        "v1.2.3",
        "192.168.0.1",
        "mother-in-law",
        "Monday–Friday",
        "No. 5",
        "U.S.",
    ],
)
@pytest.mark.parametrize("by_character", [True, False])
def test_it_is_never_split(whole: str, by_character: bool) -> None:
    for text in (f"{whole} is what I meant to say", f"So, I am telling you again: {whole} it is"):
        clauses = split(*(text if by_character else [text]))
        assert any(whole in clause for clause in clauses), clauses
        assert not any(clause.endswith(whole) for clause in clauses[:-1]), clauses


def test_a_full_stop_after_a_number_or_an_address_still_ends_a_sentence() -> None:
    assert split("It costs 3.50. Anything else?") == ["It costs 3.50.", " Anything else?"]
    assert split("Write to a@b.example. Then wait.") == ["Write to a@b.example.", " Then wait."]


def test_nothing_without_a_word_is_a_clause() -> None:
    assert split("") == split("   ") == split("...") == split("😊") == split("---") == []
    assert split("Great!!") == ["Great!"]


# --- what can be spoken ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("**Sure!** *Now* or __later__?", "Sure! Now or later?"),
        ("# Title\n## Next\ntext", "Title Next text"),
        ("- a\n* b\n+c\n• d\n1. e", "a b +c d 1. e"),
        ("`code` and snake_case and _em_", "code and snake_case and em"),
        ("```python\nx = 1\n```\nDone", "x = 1 Done"),
        ("[our site](https://x.example/(a)) is up", "our site) is up"),
        ("[our site](https://x.example) is up (today)", "our site is up (today)"),
        ("Hi 😊 there 👨‍👩‍👧 👍🏽 🇩🇪 1️⃣ → ok ✅", "Hi there 1 ok"),
        ("20 °C, 5 €, ™, № 3, ½", "20 °C, 5 €, ™, № 3, ½"),
        ("5 < 6 and <b>bold</b> <break time='1s'/>now", "5 < 6 and bold now"),
        ("a <", "a <"),
        ("-5 degrees\n- 5 items\n---\nend-to-end", "-5 degrees 5 items end-to-end"),
        ("#1 choice, room #7", "#1 choice, room #7"),
        ("> quoted", "quoted"),
        ("a\u200bb\ufeff\x00c\ud800", "abc"),
        ("क्\u200dष", "क्\u200dष"),
        ("tabs\tand\u00a0spaces \r\n end  ", "tabs and spaces end"),
        ("| a | b |", "a b"),
        ("f(x", "f(x"),
    ],
)
def test_layout_is_not_read_aloud(written: str, spoken: str) -> None:
    assert speakable(written) == spoken


def test_an_endless_link_or_tag_does_not_swallow_the_reply() -> None:
    assert speakable("<a" + " word" * 100).count("word") == 100
    assert speakable("[x](" + "word " * 1000).count("word") == 1000


# --- properties --------------------------------------------------------------------------------

PROSE = st.text(alphabet="abC .,!?;:-–—…\n12'\"()äß。，*_`#[]<>@/😊|\\&;~:【】†+", max_size=200)


def once(text: str) -> str:
    """Marks at the end of a sentence that repeat each other are one."""
    return re.sub(r"([.!?…。！？।؟])[.!?…。！？।؟]+(?:(?<!\.)|(?![a-zA-Z0-9]))", r"\1", text)


@given(st.one_of(PROSE, st.text()))
def test_clauses_joined_are_the_speakable_text(text: str) -> None:
    joined = once("".join(split(text)))
    whole = once(speakable(text))
    assert whole.startswith(joined)
    assert not any(c.isalnum() for c in whole[len(joined) :])


@given(st.one_of(PROSE, st.text()), st.data())
def test_the_cut_into_tokens_changes_nothing(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert split(*pieces) == split(text)
    stream = Speakable()
    joined = "".join(map(stream.feed, pieces)) + stream.flush()
    assert joined.replace("\n", " ") == speakable(text)


@given(st.lists(st.from_regex(r"\A[A-Za-zäöü]{1,9}[,.!?]?\Z"), min_size=1, max_size=60))
def test_plain_prose_is_passed_on_whole_and_every_clause_has_a_word(words: list[str]) -> None:
    text = " ".join(words)
    clauses = split(text)
    assert "".join(clauses) == text
    assert all(re.search(r"\w", clause) for clause in clauses)


@given(st.lists(st.sampled_from(["3.50", "10:30", "1,000", "a.b@c.example", "and", "Dr.", "x"])))
def test_numbers_and_addresses_are_never_cut(words: list[str]) -> None:
    for clause in split(" ".join(words))[:-1]:
        assert clause.split()[-1] in words


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("您好，您的座位已经预订好了。", ["您好，", "您的座位已经预订好了。"]),
        (
            "您的座位已经预订好了我们周五晚上七点在店里等您",
            ["您的座位已经预订好了我们周五晚", "上七点在店里等您"],
        ),
        (
            "โต๊ะของคุณจองแล้วค่ะ แล้วพบกันวันศุกร์ตอนเจ็ดโมงเย็น ขอบคุณค่ะ",
            ["โต๊ะของคุณจองแล้วค่ะ", " แล้วพบกันวันศุกร์ตอนเจ็ดโมงเย็น", " ขอบคุณค่ะ"],
        ),
        ("我的 iPhone 15 坏了", ["我的 iPhone 15 坏了"]),
    ],
)
def test_scripts_without_spaces_are_cut_before_they_end(text: str, clauses: list[str]) -> None:
    whole, split = Clauses(), Clauses()
    assert [*whole.feed(text), *whole.flush()] == clauses
    assert [c for char in text for c in split.feed(char)] + split.flush() == clauses
