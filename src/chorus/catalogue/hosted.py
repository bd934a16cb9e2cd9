"""The engines behind vendors' keys: made when a call selects them, shared by all calls that do.

One object for the same key and the same options, so that calls know of each other's failures and
share connections. The ears and voices are of the registry (`speech/vendors.py`); all of them, and
the language models, connect only where the operator lets organizations connect.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar, cast

from chorus.catalogue.catalogue import Entry, SlmModelEntry, TranscriberEntry, VoiceEntry
from chorus.catalogue.offers import speech_vendor
from chorus.llm.model import LanguageModel
from chorus.llm.options import OpenAIOptions
from chorus.outbound import Outbound
from chorus.outbound_address import Allowed
from chorus.providers.in_force import KeyInForce
from chorus.settings import Settings
from chorus.speech import engines as speech
from chorus.speech.vendor.options import HearingOptions, SpeakingOptions

if TYPE_CHECKING:
    from chorus.llm.endpoint import Endpoint

log = logging.getLogger(__name__)

T = TypeVar("T")

_MOST = 1000
"""Engines that are kept; they are small, and keys and agents are edited."""
_CLOSE_AFTER_S = 3660.0
"""The longest call may still use what is no longer kept."""
_KEEP_ALIVE_S = 55.0


class Hosted:
    """One a process, owned by the `EngineRoom`."""

    def __init__(self, settings: Settings) -> None:
        private = settings.allow_private_addresses
        self._allowed = Allowed((), everything=private)
        self._net = Outbound(allow_private=private, keep_alive_s=_KEEP_ALIVE_S)
        self._made: OrderedDict[str, object] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        for engine in self._made.values():
            await _close(engine)
        self._made.clear()
        await self._net.aclose()

    def transcriber(self, entry: TranscriberEntry, keyterms: tuple[str, ...]) -> speech.Transcriber:
        key, vendor = _key(entry), speech_vendor(entry.engine)
        assert vendor is not None  # it made the entry
        options = HearingOptions(entry.model, keyterms)
        return self._once(
            ("transcriber", key.fingerprint, asdict(options)),
            lambda: vendor.transcriber(key.api_key, options, net=self._net, base_url=key.base_url),
        )

    def voice(self, entry: VoiceEntry) -> speech.Voice:
        """An object for each voice: a call tells apart by it how each is to speak."""
        key, vendor = _key(entry), speech_vendor(entry.engine)
        assert vendor is not None  # it made the entry
        options = SpeakingOptions(entry.model)
        return self._once(
            ("voice", key.fingerprint, entry.spoken, asdict(options)),
            lambda: vendor.voice(key.api_key, options, net=self._net, base_url=key.base_url),
        )

    def model(self, entry: SlmModelEntry, options: OpenAIOptions) -> LanguageModel:
        key = _key(entry)
        name = entry.engine_id.removeprefix(f"{key.label}:") if key.label else entry.engine_id
        return self._once(
            ("model", key.fingerprint, name, asdict(options)),
            lambda: self._model(key, name, options),
        )

    def _model(self, key: KeyInForce, name: str, options: OpenAIOptions) -> LanguageModel:
        match key.vendor.name:
            case "anthropic":
                from chorus.llm import anthropic

                headers = anthropic.headers_of(key.api_key)
                return anthropic.AnthropicModel(self._endpoint(key, headers), name, options)
            case "google":
                from chorus.llm import google

                headers = google.headers_of(key.api_key)
                return google.GoogleModel(self._endpoint(key, headers), name, options)
            case "azure_openai":
                headers = {"api-key": key.api_key}
            case _:
                headers = None
        from chorus.llm.openai import OpenAIModel

        return OpenAIModel(self._endpoint(key, headers), name, options)

    def _endpoint(self, key: KeyInForce, headers: dict[str, str] | None) -> Endpoint:
        from chorus.llm.endpoint import Endpoint

        return self._once(
            ("endpoint", key.fingerprint),
            lambda: Endpoint(
                key.vendor.name,
                key.base_url,
                key.api_key,
                allowed=self._allowed,
                headers=headers,
            ),
        )

    def _once(self, of_what: tuple[Any, ...], make: Callable[[], T]) -> T:
        name = json.dumps(of_what, sort_keys=True, default=str)
        found = self._made.get(name)
        if found is None:
            found = self._made[name] = make()
            if len(self._made) > _MOST:
                _, old = self._made.popitem(last=False)
                task = asyncio.create_task(_close_later(old))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
        self._made.move_to_end(name)
        return cast("T", found)


def _key(entry: Entry) -> KeyInForce:
    assert entry.key is not None  # who calls this has looked
    return entry.key


async def _close_later(engine: object) -> None:
    try:
        await asyncio.sleep(_CLOSE_AFTER_S)
    finally:
        await _close(engine)


async def _close(engine: object) -> None:
    close = cast("Callable[[], Awaitable[None]] | None", getattr(engine, "aclose", None))
    if close is not None:
        try:
            await close()
        except Exception:  # the others must still be closed
            log.exception("%r did not close", engine)
