"""A line whose carrier sends one JSON object a message, with audio in `media`.

Such an object says what it is in `event`; Voximplant's may say it elsewhere (`_event`)."""

from __future__ import annotations

from typing import Any, cast

import orjson

from chorus.lines.streamed import MAX_MESSAGE_CHARS, StreamedLine


class JsonLine(StreamedLine):
    """A carrier's line says what is in `media` (`_audio`) and in the rest (`_rarer`)."""

    def take(self, message: str | bytes) -> None:
        """One message of the carrier. Never raises for what is in it."""
        if not isinstance(message, str):
            self._protocol_error("a binary message")
            return
        if len(message) > MAX_MESSAGE_CHARS:
            self._protocol_error("a message of more than 64 KiB")
            return
        try:
            body: dict[str, Any] = orjson.loads(message)
            event = self._event(body)
            audio = self._audio(body) if event == "media" else None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            # orjson and binascii raise kinds of ValueError.
            self._protocol_error(f"a malformed message ({type(error).__name__})")
            return
        # Outside the `try`: what a listener raises is no fault of the carrier's.
        if audio is not None:
            self._inbox.audio(*audio)
        elif event != "media":
            self._rarer(event, body)

    def _event(self, message: dict[str, Any]) -> object:
        """What the message is; `KeyError` if it does not say."""
        return message["event"]

    def _audio(self, message: dict[str, Any]) -> tuple[bytes, float] | None:
        """The audio of a `media` message and its time; None if it is not for us. Raises any of
        the errors of indexing and conversion for what is malformed."""
        raise NotImplementedError

    def _rarer(self, event: object, message: dict[str, Any]) -> None:
        """Any other event; one that is not known is ignored."""
        raise NotImplementedError


def field_of(message: dict[str, Any], outer: str, inner: str) -> str:
    """`message[outer][inner]` if it is a string there, else an empty one."""
    body = message.get(outer)
    value = cast("dict[str, Any]", body).get(inner) if isinstance(body, dict) else None
    return value if isinstance(value, str) else ""
