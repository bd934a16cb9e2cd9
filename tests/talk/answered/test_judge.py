"""Who answered, by what was said when: without sound, on numbers alone."""

from __future__ import annotations

import pytest

from chorus.talk.answered.judge import LONG_MS, SILENT_MS, Judge
from chorus.talk.answered.tones import Tone
from chorus.talk.answered.words import phrases

FRAME_MS = 32.0


class Scene:
    """Sounds one after the other; words come `late_ms` after they were said."""

    def __init__(self, *languages: str) -> None:
        self.judge = Judge(phrases(languages or ("en",)))
        self.now = 0.0
        self.decided_ms: float | None = None
        self.seen: list[str] = []

    def _frame(self, voiced: bool) -> None:
        self.now += FRAME_MS
        self.judge.frame(voiced, self.now, FRAME_MS)
        self._look()

    def _look(self) -> None:
        verdict = self.judge.verdict
        if verdict is not None and (not self.seen or self.seen[-1] != verdict.who):
            self.seen.append(verdict.who)

    def says(self, text: str, ms: float, *, late_ms: float = 300) -> Scene:
        ends = self.now + ms
        while self.now < ends:
            self._frame(True)
        spoken_to = self.now
        self.quiet(late_ms)
        self.judge.words(text, final=True, heard_to=spoken_to, now=self.now)
        self._look()
        return self

    def interim(self, text: str, ms: float) -> Scene:
        ends = self.now + ms
        while self.now < ends:
            self._frame(True)
        self.judge.words(text, final=False, heard_to=self.now, now=self.now)
        self._look()
        return self

    def quiet(self, ms: float) -> Scene:
        ends = self.now + ms
        while self.now < ends:
            self._frame(False)
        return self

    def tone(self, tone: Tone) -> Scene:
        self.judge.tone(tone, self.now)
        self._look()
        return self

    @property
    def who(self) -> str | None:
        return self.judge.verdict.who if self.judge.verdict else None


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("Hello?", 400),
        ("Miller speaking.", 900),
        ("Good morning, Acme Dental, this is Julie, how may I help you?", 3800),
        ("You've reached the garden shop, this is Tom, how can I help?", 3200),
        ("", 300),  # nobody understood it
    ],
)
def test_a_person_is_one_as_soon_as_they_listen(text: str, ms: float) -> None:
    scene = Scene().quiet(500).says(text, ms).quiet(1500)
    assert scene.seen == ["person"]
    assert scene.judge.verdict is not None
    assert scene.judge.verdict.at_ms <= 500 + ms + 1100


@pytest.mark.parametrize(
    ("language", "text", "who"),
    [
        ("en", "Hi, you've reached Bob, please leave a message", "mailbox"),
        ("en", "please leave a message after the tone", "mailbox"),
        ("en", "The mailbox is full and cannot accept any messages at this time", "unavailable"),
        ("en", "for sales, press one", "menu"),
        ("en", "Please state your name and why you're calling", "screening"),
        ("en", "Before I try to connect you, please say your name after the tone", "screening"),
        ("de", "Bitte hinterlassen Sie eine Nachricht nach dem Signalton", "mailbox"),
        ("de", "Kein Anschluss unter dieser Nummer", "unavailable"),
        ("de", "Für Fragen zu Ihrem Konto drücken Sie die Eins", "menu"),
        ("es", "Deje su mensaje después del tono", "mailbox"),
        ("es", "Para ventas, marque uno", "menu"),
        ("fr", "Laissez un message après le bip", "mailbox"),
        ("fr", "Veuillez dire… donnez votre nom et la raison de votre appel", "screening"),
        ("it", "Lasciate un messaggio dopo il segnale acustico", "mailbox"),
        ("ru", "Оставьте сообщение после сигнала", "mailbox"),
        ("ru", "Нажмите один", "menu"),
        ("pt", "Deixe a sua mensagem após o sinal", "mailbox"),
        ("nl", "Spreek een bericht in na de piep", "mailbox"),
        ("pl", "Zostaw wiadomość po sygnale", "mailbox"),
    ],
)
def test_machines_are_known_by_their_words_while_they_speak(
    language: str, text: str, who: str
) -> None:
    scene = Scene(language).quiet(400).interim(text, 2000)
    assert scene.seen == [who]


def test_a_mailbox_that_pauses_is_found_out_and_a_person_who_waits_is_not() -> None:
    scene = Scene().says("Hello, this is Sarah.", 1300).quiet(700)
    assert scene.who == "person"
    scene.interim("I'm not available at the moment, leave your name", 2500)
    assert scene.seen == ["person", "mailbox"]


def test_a_receptionist_is_no_mailbox() -> None:
    """Who said hello and nothing else is a person, and may speak of messages."""
    scene = Scene().says("Hello?", 400).quiet(3000)
    scene.says("He is not here right now, do you want to leave a message?", 2500).quiet(1000)
    assert scene.seen == ["person"]


def test_a_beep_in_the_first_seconds_is_a_mailbox() -> None:
    assert Scene().says("Bob here.", 800).quiet(700).tone("beep").seen == ["person", "mailbox"]
    assert Scene().quiet(300).tone("beep").seen == []  # of the line itself: nobody has spoken
    late = Scene().says("Hello?", 400).quiet(30_000).tone("beep")
    assert late.seen == ["person"]


def test_tones() -> None:
    assert Scene().quiet(1000).tone("fax").who == "fax"
    assert Scene().quiet(300).tone("sit").who == "unavailable"
    assert Scene().says("Hello?", 400).quiet(2000).tone("sit").who == "unavailable"
    assert Scene().says("Hello?", 400).quiet(30_000).tone("sit").who == "person"
    assert Scene().says("Hello, how are you today?", 2000).tone("fax").who != "fax"


def test_nobody_speaks_so_long_without_listening() -> None:
    scene = Scene().interim("la la la", LONG_MS + 100)
    assert scene.who == "mailbox"
    scene = Scene().interim("Hello how can I help", 1000).interim("", LONG_MS)
    assert scene.who is None or scene.who == "mailbox"


def test_nothing_at_all() -> None:
    scene = Scene().quiet(SILENT_MS + 100)
    assert scene.who == "silence"
    assert scene.says("Hello?", 400).quiet(1000).who == "person"


def test_after_a_screening_whoever_comes_is_judged_anew() -> None:
    scene = Scene().says("Please state your name and why you're calling", 3000)
    assert scene.who == "screening"
    scene.judge.again(scene.now)
    assert scene.who is None
    assert scene.quiet(4000).says("Hello?", 400).quiet(800).who == "person"
    other = Scene().says("Please state your name and why you're calling", 3000)
    other.judge.again(other.now)
    assert other.quiet(2000).interim("please leave a message", 1500).who == "mailbox"


def test_somebody_picks_up_in_mid_greeting() -> None:
    scene = Scene().says("You've reached Bob, leave a message", 2500).quiet(700)
    scene.says("Hello? Hello?", 900).quiet(800)
    assert scene.seen == ["mailbox", "person"]


def test_the_carrier_is_one_witness_of_several() -> None:
    scene = Scene().quiet(100)
    scene.judge.carrier("machine", now=scene.now)
    assert scene.who == "mailbox"
    said = Scene().says("Hello?", 400).quiet(800)
    said.judge.carrier("machine", now=said.now)
    assert said.who == "person"
    person = Scene()
    person.judge.carrier("person", now=0.0)
    assert person.who == "person"
    assert person.interim("leave a message after the tone", 2000).who == "mailbox"


def test_a_carrier_that_hears_a_fax_means_no_mailbox() -> None:
    scene = Scene().quiet(100)
    scene.judge.carrier("fax", now=scene.now)
    assert scene.who == "fax"


def test_a_language_without_phrases_has_those_of_english() -> None:
    assert Scene("xx").interim("please leave a message after the tone", 2000).who == "mailbox"
