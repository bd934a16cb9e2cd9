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


def ask_again(language: str | None) -> str:
    """After several turns in which no words were understood."""
    return _in(_ASK_AGAIN, language)


def apology(language: str | None) -> str:
    """After the model or the voice has failed in mid-reply."""
    return _in(_APOLOGY, language)


def _in(phrases: dict[str, str], language: str | None) -> str:
    key = (language or "en").lower().replace("_", "-").split("-")[0]
    return phrases.get(key, phrases["en"])
