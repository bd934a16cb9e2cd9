"""The replies that are being made before their turn is over, at most two; turn-taking says of which
words (`turns/drafts.py`)."""

from __future__ import annotations

from collections.abc import Callable

from chorus.talk.thinking import Reply
from chorus.talk.turns.words import same_words


class Drafting:
    """One call's. `discard` is given each reply that is not wanted any more."""

    def __init__(self, discard: Callable[[Reply], None]) -> None:
        self._discard = discard
        self._replies: list[Reply] = []

    def __contains__(self, reply: Reply) -> bool:
        return reply in self._replies

    def add(self, reply: Reply) -> None:
        self._replies.append(reply)

    def drop(self, text: str | None = None) -> None:
        """Those that were made of `text`, or all."""
        kept: list[Reply] = []
        gone: list[Reply] = []
        for reply in self._replies:
            (gone if text is None or reply.text == text else kept).append(reply)
        self._replies = kept
        for reply in gone:
            self._discard(reply)

    def take(self, text: str, version: int) -> Reply | None:
        """The one that answers `text`, if it has not failed and the history is still of `version`.
        All others are dropped."""
        for reply in self._replies:
            usable = reply.failure is None and reply.version == version
            if usable and same_words(reply.text, text):
                self._replies.remove(reply)
                self.drop()
                return reply
        self.drop()
        return None
