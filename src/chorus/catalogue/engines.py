"""The engines of this process: made when first needed, shared by all calls, closed at the end.

What every call needs (the voice detector and the end-of-turn model) and what a call of the defaults
needs is loaded by `start`, before the process says that it is ready; the rest when the first call
selects it. Which transcriber a call gets that chose none follows from its model and its language:
the simulated model speaks to simulated callers, all others to people, whom a vendor hears if there
is a key of one, else Whisper if its files are there for that language, and else PocketSphinx. What
is behind a vendor's key is made in `hosted.py`. Importing this module loads no engine.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from chorus.catalogue.catalogue import (
    LOCAL_EARS,
    SIMULATED_EARS,
    Catalogue,
    SlmModelEntry,
    TranscriberEntry,
    VoiceEntry,
    spoken_id,
)
from chorus.catalogue.choice import Choice
from chorus.catalogue.hosted import Hosted
from chorus.languages import languages
from chorus.llm.model import LanguageModel
from chorus.llm.options import OpenAIOptions
from chorus.outbound import Outbound
from chorus.settings import Settings
from chorus.speech import engines as speech
from chorus.speech import local
from chorus.speech.engines import EngineFailed
from chorus.speech.ranking import Ranking, Rests
from chorus.speech.threads import ModelThreads
from chorus.speech.weights.store import Store, missing_for_a_call
from chorus.talk.spec import Engines, StandIns

if TYPE_CHECKING:
    from chorus.llm.openai import Endpoint

log = logging.getLogger(__name__)

T = TypeVar("T")

_MOST_OPTIONED = 500
"""Models with options of an agent's own that are kept; they are small, and agents are edited."""


def hears_too_little(settings: Settings) -> str | None:
    """Why what hears on this machine is not fit for the language models that are offered."""
    if not settings.openai_usable or local.whisper_for(settings.models_dir, None) is not None:
        return None
    return "pocketsphinx hears expected phrases only: a language model answers what it mishears"


class NoEngine(Exception):
    """A call selects something that this process does not have; the message says what."""


class EngineRoom:
    """One a process, owned by the application."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._made: dict[str, object] = {}
        self._optioned: OrderedDict[str, LanguageModel] = OrderedDict()
        self._rests = Rests()
        self._hosted = Hosted(settings)
        self._loading: set[str] = set()

    @property
    def loading(self) -> tuple[str, ...]:
        """What `start` has not loaded yet, by name."""
        return tuple(sorted(self._loading))

    async def start(self) -> None:
        """Load what every call needs, and get ready what a call of the defaults needs, side by
        side: workers come up while the models are loaded in threads. What cannot be had is said
        when a call selects it."""
        if why := hears_too_little(self._settings):
            log.warning("%s. Better: chorus models pull", why)
        async with asyncio.TaskGroup() as group:
            for name, work in (
                ("voice detector", asyncio.to_thread(self._detector)),
                ("languages", asyncio.to_thread(languages)),
                ("end-of-turn model", self._ready_to_judge()),
            ):
                group.create_task(self._load(name, work))
            for name, engine in self._of_the_defaults():
                group.create_task(self._load(name, _warm(name, engine)))
        if missing := missing_for_a_call(Store(self._settings.models_dir)):
            log.warning("callers are not heard or answered as well as they could be: %s", missing)
        try:
            engines = self.select(Choice())
        except (NoEngine, EngineFailed) as failure:
            log.warning("calls with the default engines cannot be held: %s", failure)
            return
        log.info(
            "engines: %s, %s, %s, %s, %s",
            engines.detector.name,
            engines.end_of_turn.name,
            engines.transcriber.name,
            engines.model.name,
            engines.voice.name,
        )

    async def _ready_to_judge(self) -> None:
        engine = await asyncio.to_thread(self._end_of_turn)
        await _warm(engine.name, engine)

    async def _load(self, name: str, work: Awaitable[object]) -> None:
        self._loading.add(name)
        try:
            await work
        finally:
            self._loading.discard(name)

    def _of_the_defaults(self) -> list[tuple[str, object]]:
        """The transcriber, the model and the voice of an agent that chose none, where there are
        such."""
        model, voice = self._catalogue.default_model, self._catalogue.default_voice
        with suppress(NoEngine, EngineFailed):
            if model is not None:
                self._model(model)
                self._transcriber(self._ears(Choice(model=model), model), Choice())
        with suppress(NoEngine, EngineFailed):
            if voice is not None:
                self._voice(voice)
        return list(self._made.items())

    async def aclose(self) -> None:
        for name, engine in reversed(self._made.items()):
            close = cast("Callable[[], Awaitable[None]] | None", getattr(engine, "aclose", None))
            if close is None:
                continue
            try:
                await close()
            except Exception:  # the others must still be closed
                log.exception("engine %s did not close", name)
        self._made.clear()
        self._optioned.clear()
        await self._hosted.aclose()

    def select(self, choice: Choice) -> Engines:
        """The engines of one call, and what stands in for each: what the agent names, then, for
        ears and a voice of a vendor's, those of this machine if there are any. Raises `NoEngine`,
        or `EngineFailed` for one that is not installed."""
        model, voice = self._mind(choice), choice.voice or self._catalogue.default_voice
        if voice is None:
            raise NoEngine("no voice is available; see `chorus doctor`")
        ears = self._ears(choice, model)
        return Engines(
            transcriber=self._transcriber(ears, choice),
            voice=self._voice(voice),
            model=self._model(model, choice.model_options),
            detector=self._detector(),
            end_of_turn=self._end_of_turn(),
            stand_ins=StandIns(
                transcribers=self._other_ears(ears, choice),
                voices=self._other_voices(voice, choice),
                models=self._other_models(choice),
            ),
            rests=self._rests,
            hedging=self._settings.hedging,
        )

    def thinking(self, choice: Choice) -> Ranking[LanguageModel]:
        """What an agent thinks with, for who needs neither ears nor a voice. Raises `NoEngine`."""
        model = self._model(self._mind(choice), choice.model_options)
        return Ranking((model, *self._other_models(choice)), self._rests)

    def _mind(self, choice: Choice) -> SlmModelEntry:
        model = choice.model or self._catalogue.default_model
        if model is None:
            raise NoEngine("no language model is available; see `chorus doctor`")
        return model

    def _ears(self, choice: Choice, model: SlmModelEntry) -> TranscriberEntry:
        """The simulated model has simulated callers, whom nobody else understands."""
        if choice.transcriber is None and model.engine == "simulated":
            return SIMULATED_EARS
        return choice.transcriber or LOCAL_EARS

    def _other_ears(self, ears: TranscriberEntry, choice: Choice) -> tuple[speech.Transcriber, ...]:
        others = list(choice.other_transcribers)
        if ears.key is not None:
            others.append(LOCAL_EARS)
        found = [self._transcriber(ears, choice)]
        for entry in others:
            with suppress(NoEngine, EngineFailed):  # what is not there cannot stand in
                engine = self._transcriber(entry, choice)
                if engine not in found:
                    found.append(engine)
        return tuple(found[1:])

    def _other_voices(
        self, voice: VoiceEntry, choice: Choice
    ) -> tuple[tuple[speech.Voice, str], ...]:
        others = list(choice.other_voices)
        if voice.key is not None and (local := self._local_voice(choice.language)):
            others.append(local)
        known = {id(self._voice(voice))}
        found: list[tuple[speech.Voice, str]] = []
        for entry in others:
            with suppress(NoEngine, EngineFailed):
                engine = self._voice(entry)
                if id(engine) not in known:
                    known.add(id(engine))
                    found.append((engine, spoken_id(entry)))
        return tuple(found)

    def _other_models(self, choice: Choice) -> tuple[LanguageModel, ...]:
        # Fields of one vendor's own mean nothing to the next.
        options = {n: v for n, v in choice.model_options.items() if n != "extraBody"}
        return tuple(self._model(entry, options) for entry in choice.other_models)

    def _local_voice(self, language: str | None) -> VoiceEntry | None:
        local = [v for v in self._catalogue.voices if v.engine in ("piper", "espeak")]
        return Catalogue(local, ()).voice_for(language)

    def voice(self, entry: VoiceEntry) -> speech.Voice:
        """Raises `NoEngine`, or `EngineFailed` for one that is not installed."""
        return self._voice(entry)

    def analyst(
        self, model: SlmModelEntry | None, model_options: Mapping[str, Any] | None = None
    ) -> LanguageModel:
        """The same model for work after a call, where nobody waits on the line: it may take its
        time, and is not held to the length of a spoken reply. None is the platform's default.
        Raises `NoEngine`."""
        model = model or self._catalogue.default_model
        if model is None:
            raise NoEngine("no language model is available; see `chorus doctor`")
        if model.engine in ("script", "simulated"):
            return self._model(model)
        options = replace(
            self._options(model, model_options),
            first_item_ms=60_000,
            stall_ms=30_000,
            max_tokens=None,
            temperature=None,
        )
        return self._asked(model, options)

    def _once(self, name: str, make: Callable[[], T]) -> T:
        if name not in self._made:
            self._made[name] = make()
        return cast("T", self._made[name])

    def _detector(self) -> speech.VoiceDetector:
        return self._once("detector", local.local_detector)

    def _end_of_turn(self) -> speech.EndOfTurn:
        """One for all calls."""
        if self._settings.end_of_turn_url is not None:
            return self._once("end_of_turn remote", self._remote_end_of_turn)
        return self._once("end_of_turn", local.local_end_of_turn)

    def _remote_end_of_turn(self) -> speech.EndOfTurn:
        from chorus.speech.eot.remote import RemoteEndOfTurn

        settings = self._settings
        return RemoteEndOfTurn(
            settings.end_of_turn_url or "",
            settings.end_of_turn_api_key or "",
            net=self._operator_net(),
            threshold=settings.end_of_turn_threshold,
        )

    def _operator_net(self) -> Outbound:
        """For servers that the operator names, which may stand in a network of his own."""
        return self._once("operator net", lambda: Outbound(allow_private=True, keep_alive_s=55))

    def _transcriber(self, entry: TranscriberEntry, choice: Choice) -> speech.Transcriber:
        def simulated() -> speech.Transcriber:
            from chorus.speech.stt.simulated import SimulatedTranscriber

            return SimulatedTranscriber()

        if entry.key is not None:
            return self._hosted.transcriber(entry, choice.keyterms)
        if entry.engine == "simulated":
            return self._once("transcriber simulated", simulated)
        models = self._settings.models_dir
        if weights := local.whisper_for(models, choice.language):
            return self._once(
                f"transcriber {weights.name}",
                lambda: local.local_whisper(models, weights, self.threads),
            )
        return self._once("transcriber local", local.local_transcriber)

    @property
    def threads(self) -> ModelThreads:
        """Those that all models of this process run on."""
        return self._once("model threads", ModelThreads)

    def _voice(self, voice: VoiceEntry) -> speech.Voice:
        def simulated() -> speech.Voice:
            from chorus.speech.tts.simulated import SimulatedVoice

            return SimulatedVoice()

        if voice.key is not None:
            return self._hosted.voice(voice)
        match voice.engine:
            case "simulated":
                return self._once("voice simulated", simulated)
            case "espeak":
                return self._once("voice espeak", local.local_voice)
            case "piper":
                espeak = self._once("voice espeak", local.local_voice)
                return self._once(
                    "voice piper",
                    lambda: local.local_piper(self._settings.models_dir, self.threads, espeak),
                )
            case other:
                raise NoEngine(f"this process has no voice engine {other!r}")

    def _endpoint(self) -> Endpoint:
        from chorus.llm.openai import Endpoint

        url, key = self._settings.openai_base_url, self._settings.openai_api_key or ""
        return self._once("endpoint openai", lambda: Endpoint("openai", url, key))

    def _options(
        self, model: SlmModelEntry, of_the_agent: Mapping[str, Any] | None = None
    ) -> OpenAIOptions:
        """Raises `NoEngine` for an agent's options that cannot be read; they were checked when it
        was saved, by the rules of that version."""
        options = OpenAIOptions(context_window=model.context_window, hears=model.hears)
        try:
            if model.key is None:
                options = options.with_json(self._settings.openai_options)
            return options.with_json(of_the_agent or {})
        except ValueError as wrong:
            raise NoEngine(f"the agent's modelOptions cannot be used: {wrong}") from None

    def _asked(self, model: SlmModelEntry, options: OpenAIOptions) -> LanguageModel:
        """One object for the same options, so that calls know of each other's failures."""
        if model.key is not None:
            return self._hosted.model(model, options)
        from chorus.llm.openai import OpenAIModel

        name = json.dumps([model.engine_id, asdict(options)], sort_keys=True, default=str)
        found = self._optioned.get(name)
        if found is None:
            found = OpenAIModel(self._endpoint(), model.engine_id, options)
            self._optioned[name] = found
            if len(self._optioned) > _MOST_OPTIONED:
                self._optioned.popitem(last=False)
        self._optioned.move_to_end(name)
        return found

    def _model(
        self, model: SlmModelEntry, model_options: Mapping[str, Any] | None = None
    ) -> LanguageModel:
        def simulated() -> LanguageModel:
            from chorus.llm.simulated import SimulatedModel

            return SimulatedModel()

        def script() -> LanguageModel:
            from chorus.llm.script import ScriptModel

            return ScriptModel()

        if model.key is not None:
            return self._asked(model, self._options(model, model_options))
        match model.engine:
            case "simulated":
                return self._once("model simulated", simulated)
            case "script":
                return self._once("model script", script)
            case "openai":
                return self._asked(model, self._options(model, model_options))
            case other:
                raise NoEngine(f"this process has no language model engine {other!r}")


async def _warm(name: str, engine: object) -> None:
    warm = cast("Callable[[], Awaitable[object]] | None", getattr(engine, "warm", None))
    if warm is not None:
        try:
            await warm()
        except EngineFailed as failure:
            log.warning("%s is not ready: %s", name, failure)
