from __future__ import annotations

import asyncio

import pytest

from chorus.speech.engines import EndOfTurn, Heard
from chorus.speech.eot.silence import SilenceEndOfTurn
from chorus.talk.text.digits_asked import digits_asked
from chorus.talk.text.endings import (
    CLOSED_MS,
    FINISHED_MS,
    NUMBER_MS,
    OPEN_MS,
    PARTIAL_MS,
    PLAIN_MS,
    UNMARKED_MS,
    WHOLE_MS,
    WORDLESS_MS,
    ends_sentence,
    silence_needed_ms,
)

_model: EndOfTurn = SilenceEndOfTurn()


@pytest.mark.parametrize(
    ("text", "language", "needed_ms"),
    [
        ("", "en", WORDLESS_MS),
        (" … ", "en", WORDLESS_MS),
        ("yes", "en", PLAIN_MS),
        ("A table for two, please.", "en", FINISHED_MS),
        ('She said "no."', "en", FINISHED_MS),
        ("What are your opening hours?", None, FINISHED_MS),
        ("a table for two and", "en", OPEN_MS),
        ("I'd like to, um", "en", OPEN_MS),
        ("I would like a", "en", OPEN_MS),
        ("Well,", "en", OPEN_MS),
        ("I was thinking...", "en", OPEN_MS),
        ("call me", "en", PLAIN_MS),
        ("Ich hätte gern einen Tisch für zwei und", "de", OPEN_MS),
        ("Ich komme am", "de-AT", OPEN_MS),
        ("Einen Tisch für zwei", "de", PLAIN_MS),
        ("je voudrais une table pour", "fr", OPEN_MS),
        ("je voudrais, euh", "fr", OPEN_MS),
        ("une table", "fr", PLAIN_MS),
        ("quiero una mesa para", "es", OPEN_MS),
        ("una mesa para dos personas", "es", PLAIN_MS),
        ("sí", "es", PLAIN_MS),
        ("vorrei un tavolo per", "it", OPEN_MS),
        ("queria uma mesa para", "pt-BR", OPEN_MS),
        ("ik wil een tafel voor", "nl", OPEN_MS),
        ("jag vill ha ett bord för", "sv", OPEN_MS),
        ("я хочу столик на", "ru", OPEN_MS),
        ("bir masa ve", "tr", OPEN_MS),
        ("أريد طاولة في", "ar", OPEN_MS),
        ("मुझे एक मेज़ और", "hi", OPEN_MS),
        ("मुझे एक मेज़ चाहिए", "hi", PLAIN_MS),
        ("ноль один семь", "ru", NUMBER_MS),
        ("नौ आठ सात", "hi", NUMBER_MS),
        ("٠١٧٠", "ar", NUMBER_MS),
        ("men", None, PLAIN_MS),
        # the language is not known: what is open in one of them, unless it ends another
        ("a table for two and", None, OPEN_MS),
        ("ein Tisch und", None, OPEN_MS),
        ("si", None, PLAIN_MS),
        ("dinner for", "xx", OPEN_MS),
        # numbers
        ("my number is 0170", "en", NUMBER_MS),
        ("my number is five five five", "en", NUMBER_MS),
        ("null eins sieben", "de", NUMBER_MS),
        ("c'est le zéro six douze", "fr", PLAIN_MS),
        ("seis uno dos tres", "es", NUMBER_MS),
        ("555 010 4477", "en", PLAIN_MS),
        ("it's for 12", "en", PLAIN_MS),
        ("0170.", "en", CLOSED_MS),
        ("it's 0170,", "en", NUMBER_MS),
        # dates
        ("12.5.1980", "de", PLAIN_MS),
        ("on 12/5/1980", "en", PLAIN_MS),
        ("1980-05-12", "en", PLAIN_MS),
        ("May 5th, 1980", "en", PLAIN_MS),
        ("May 5th, 1980.", "en", FINISHED_MS),
        ("le 5 mai 1980", "fr", PLAIN_MS),
        # A bare year may be the first digits of something longer.
        ("My order number is 2045", "en", CLOSED_MS),
    ],
)
def test_silence_needed(text: str, language: str | None, needed_ms: int):
    assert silence_needed_ms(text, language) == needed_ms


def test_without_a_model_nobody_has_an_opinion():
    heard = Heard(b"", 8000, "it's 0 1 7 0", 1500)
    assert asyncio.run(_model.judge(heard)) == _model.threshold


@pytest.mark.parametrize(
    ("text", "ends"),
    [("I am done.", True), ("¿Estás ahí?", True), ("そうです。", True), ("I am done", False)]
    + [(text, False) for text in ("Well...", "on Thursday,", "")],
)
def test_a_mark_closes_a_sentence(text: str, ends: bool):
    assert ends_sentence(text) is ends


@pytest.mark.parametrize(
    ("question", "language", "digits"),
    [
        ("What are the last four digits of your card?", "en", 4),
        ("Please tell me your six-digit code.", "en", 6),
        ("Please tell me your 6-digit code.", None, 6),
        ("Nennen Sie bitte die sechsstellige Nummer.", "de", 6),
        ("Wie lauten die letzten vier Ziffern?", "de-AT", 4),
        ("Quel est votre code à six chiffres ?", "fr", 6),
        ("¿Cuáles son los últimos cuatro dígitos?", "es", 4),
        ("Mi dica le ultime quattro cifre.", "it", 4),
        ("Quais são os últimos quatro dígitos?", "pt-BR", 4),
        ("Wat zijn de laatste vier cijfers?", "nl", 4),
        ("Назовите последние четыре цифры.", "ru", 4),
        ("What is your credit card number?", "en", 16),
        ("What is your telephone number?", "en", None),
        ("The six digit code, or the last four digits?", "en", None),
        ("I am 4 years old. Which digits?", "en", None),
        ("The four digits were right. Now, what is your phone number?", "en", None),
        ("The card ends in the four digits 4711. How many tickets?", "en", None),
        ("", "en", None),
    ],
)
def test_how_many_digits_were_asked_for(question: str, language: str | None, digits: int | None):
    assert digits_asked(question, language) == digits


@pytest.mark.parametrize(
    ("text", "needed_ms"),
    [
        ("it is four seven one one", WHOLE_MS),
        ("4711.", WHOLE_MS),
        ("47, 11", WHOLE_MS),
        ("four seven", PARTIAL_MS),
        ("4", PARTIAL_MS),
        ("four seven one one two", NUMBER_MS),
        ("I do not have it.", FINISHED_MS),
        ("I do not have it, I only have the old one.", FINISHED_MS),
    ],
)
def test_a_number_is_whole_when_it_has_the_digits_that_were_asked_for(text: str, needed_ms: int):
    assert silence_needed_ms(text, "en", digits=4) == needed_ms


def test_words_without_a_mark_are_half_a_sentence_where_there_always_is_one():
    assert silence_needed_ms("I would like a table", "en", marked=True) == UNMARKED_MS
    assert silence_needed_ms("A table, please.", "en", marked=True) == FINISHED_MS
    assert silence_needed_ms("a table and", "en", marked=True) == OPEN_MS
