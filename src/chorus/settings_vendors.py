"""The variables of vendors' keys, part of the list in `settings.py`: what the operator brings for
all organizations. OpenAI's are older and stand there. Also of an end-of-turn server of his own."""

from __future__ import annotations

from collections.abc import Callable

from chorus import readers
from chorus.variable import Variable


def _key(name: str, whose: str) -> Variable:
    field = f"{name}_api_key"
    return Variable(
        f"CHORUS_{field.upper()}",
        field,
        readers.credential,
        "",
        f"The operator's key of {whose}, for organizations that bring none of their own.",
        secret=True,
    )


_TOGETHER = (
    ("azure_openai_api_key", "azure_openai_base_url", "azure_openai_models"),
    ("azure_speech_api_key", "azure_speech_base_url"),
)
"""Fields that are used only if all of a group are set (`providers/in_force.py`)."""

VENDOR_VARIABLES: tuple[Variable, ...] = (
    _key("anthropic", "Anthropic"),
    _key("google", "Google Gemini"),
    _key("azure_openai", "Azure OpenAI"),
    Variable(
        "CHORUS_AZURE_OPENAI_BASE_URL",
        "azure_openai_base_url",
        readers.url,
        "",
        "Where that key is used, such as https://RESOURCE.openai.azure.com/openai/v1.",
    ),
    Variable(
        "CHORUS_AZURE_OPENAI_MODELS",
        "azure_openai_models",
        readers.names,
        "",
        "Names of the deployments to offer there, separated by commas.",
    ),
    _key("groq", "Groq"),
    _key("mistral", "Mistral"),
    _key("openrouter", "OpenRouter"),
    _key("together", "Together"),
    _key("deepgram", "Deepgram"),
    _key("elevenlabs", "ElevenLabs"),
    _key("cartesia", "Cartesia"),
    _key("assemblyai", "AssemblyAI"),
    _key("soniox", "Soniox"),
    _key("azure_speech", "Azure Speech"),
    Variable(
        "CHORUS_AZURE_SPEECH_BASE_URL",
        "azure_speech_base_url",
        readers.url,
        "",
        "Where that key is used, such as https://westeurope.api.cognitive.microsoft.com.",
    ),
    Variable(
        "CHORUS_GOOGLE_SPEECH_API_KEY",
        "google_speech_api_key",
        readers.document,
        "",
        "The operator's key of Google Cloud Speech, for organizations that bring none of their "
        "own: a service account's JSON key file, whole.",
        secret=True,
    ),
    Variable(
        "CHORUS_GOOGLE_SPEECH_BASE_URL",
        "google_speech_base_url",
        readers.url,
        "",
        "Where that key is used, if not in the United States, such as "
        "https://eu-speech.googleapis.com.",
    ),
    _key("faseeh", "Faseeh"),
    Variable(
        "CHORUS_HEDGING",
        "hedging",
        readers.choice("off", "model", "all"),
        "model",
        "What is asked beside an engine that is slower than usual, for agents that do not say: "
        "off, model (the next language model), all (the next voice too).",
    ),
    Variable(
        "CHORUS_END_OF_TURN_URL",
        "end_of_turn_url",
        readers.url,
        "",
        "Address of an end-of-turn server, such as one with UltraVAD, that is asked in place of "
        "the model on this machine.",
    ),
    Variable(
        "CHORUS_END_OF_TURN_API_KEY",
        "end_of_turn_api_key",
        readers.credential,
        "",
        "Sent to that server as a bearer token.",
        secret=True,
    ),
    Variable(
        "CHORUS_END_OF_TURN_THRESHOLD",
        "end_of_turn_threshold",
        readers.share,
        "0.1",
        "The probability from which that server means that the turn is over, for agents that "
        "set no ultravadEotThreshold.",
    ),
)


def incomplete(is_set: Callable[[str], bool]) -> list[str]:
    """What is set without what it is used with, a sentence each. `is_set`: of a field."""
    lines: list[str] = []
    for group in _TOGETHER:
        variables = [variable for variable in VENDOR_VARIABLES if variable.field in group]
        given = [variable.name for variable in variables if is_set(variable.field)]
        missing = [variable.name for variable in variables if not is_set(variable.field)]
        if given and missing:
            verb = "is" if len(given) == 1 else "are"
            lines.append(f"{' and '.join(given)} {verb} not used without {' and '.join(missing)}.")
    return lines
