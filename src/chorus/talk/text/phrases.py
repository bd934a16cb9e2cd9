"""What the agent says on its own account when something went wrong, in the caller's language."""

from __future__ import annotations

_ASK_AGAIN = {
    "en": "Sorry, I could not hear you. Could you say that again?",
    "de": "Entschuldigung, ich habe Sie nicht verstanden. Können Sie das bitte wiederholen?",
    "fr": "Pardon, je ne vous ai pas entendu. Pouvez-vous répéter, s'il vous plaît ?",
    "es": "Perdone, no le he oído. ¿Puede repetirlo, por favor?",
    "it": "Mi scusi, non ho sentito. Può ripetere, per favore?",
    "pt": "Desculpe, não ouvi. Pode repetir, por favor?",
    "nl": "Sorry, ik heb u niet verstaan. Kunt u dat herhalen?",
    "pl": "Przepraszam, nie usłyszałem. Czy może pan powtórzyć?",
    "tr": "Özür dilerim, sizi duyamadım. Tekrar eder misiniz?",
    "ru": "Извините, я вас не расслышал. Повторите, пожалуйста.",
}

_APOLOGY = {
    "en": "Sorry, something went wrong on my side. Could you say that again?",
    "de": "Entschuldigung, bei mir ist etwas schiefgegangen. Können Sie das bitte wiederholen?",
    "fr": "Pardon, j'ai eu un problème de mon côté. Pouvez-vous répéter ?",
    "es": "Perdone, he tenido un problema. ¿Puede repetirlo, por favor?",
    "it": "Mi scusi, ho avuto un problema. Può ripetere, per favore?",
    "pt": "Desculpe, tive um problema. Pode repetir, por favor?",
    "nl": "Sorry, er ging bij mij iets mis. Kunt u dat herhalen?",
    "pl": "Przepraszam, coś poszło nie tak. Czy może pan powtórzyć?",
    "tr": "Özür dilerim, bir sorun oldu. Tekrar eder misiniz?",
    "ru": "Извините, у меня произошла ошибка. Повторите, пожалуйста.",
}

_GOODBYE = {
    "en": "I am sorry, I have to end our call now. Goodbye.",
    "de": "Es tut mir leid, ich muss unser Gespräch jetzt beenden. Auf Wiederhören.",
    "fr": "Je suis désolé, je dois mettre fin à notre appel maintenant. Au revoir.",
    "es": "Lo siento, tengo que terminar la llamada ahora. Adiós.",
    "it": "Mi dispiace, devo terminare la chiamata adesso. Arrivederci.",
    "pt": "Lamento, tenho de terminar a chamada agora. Adeus.",
    "nl": "Het spijt me, ik moet ons gesprek nu beëindigen. Tot ziens.",
    "pl": "Przepraszam, muszę teraz zakończyć rozmowę. Do widzenia.",
    "tr": "Üzgünüm, görüşmemizi şimdi bitirmem gerekiyor. Hoşça kalın.",
    "ru": "Извините, я должен сейчас закончить разговор. До свидания.",
}


_STILL_THERE = {
    "en": "Hello, are you still there?",
    "de": "Hallo, sind Sie noch da?",
    "fr": "Allô, êtes-vous toujours là ?",
    "es": "¿Hola? ¿Sigue usted ahí?",
    "it": "Pronto, è ancora lì?",
    "pt": "Alô, ainda está aí?",
    "nl": "Hallo, bent u er nog?",
    "pl": "Halo, czy nadal mnie słychać?",
    "tr": "Alo, hâlâ orada mısınız?",
    "ru": "Алло, вы ещё на линии?",
}


def still_there(language: str | None) -> str:
    """After a long silence of the caller."""
    return _in(_STILL_THERE, language)


def ask_again(language: str | None) -> str:
    """After several turns in which no words were understood."""
    return _in(_ASK_AGAIN, language)


def apology(language: str | None) -> str:
    """After the model or the voice has failed in mid-reply."""
    return _in(_APOLOGY, language)


def goodbye(language: str | None) -> str:
    """Before a call ends that cannot go on: no funds, no time, no transcriber. The caller is told
    no reason."""
    return _in(_GOODBYE, language)


def _in(phrases: dict[str, str], language: str | None) -> str:
    key = (language or "en").lower().replace("_", "-").split("-")[0]
    return phrases.get(key, phrases["en"])
