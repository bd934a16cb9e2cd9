"""What the visitor sees: the conversation as it happens, then the record, then the verdict.

`Show` writes lines to a stream; `LiveCall` turns the events of one call into such lines. Colours
only on a terminal, and not where NO_COLOR is set (https://no-color.org).
"""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from chorus.demo.checks import Check
from chorus.demo.sound import Recorded
from chorus.demo.story import Story

_SPEAKERS = {"user": ("caller", "cyan"), "assistant": ("agent", "green"), "person": ("Tom", "cyan")}
_COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_WIDEST = 100
_WHO = 10
# The stages of a turn, as `turns` of a call names them, and as people do.
STAGES = (
    ("wordsMs", "words"),
    ("committedMs", "turn over"),
    ("tokenMs", "model"),
    ("audioMs", "voice"),
    ("sentMs", "answer"),
)


class Show:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._coloured = stream.isatty() and not os.environ.get("NO_COLOR")
        self._width = min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns)

    def line(self, text: str = "", colour: str = "") -> None:
        print(self._paint(text, colour), file=self._stream, flush=True)

    def title(self, text: str) -> None:
        self.line()
        self.line(text, "bold")

    def said(self, at_ms: int | None, who: str, text: str, colour: str = "") -> None:
        """One line of a conversation, wrapped below itself."""
        clock = "" if at_ms is None else f"{at_ms / 1000:.1f}"
        head = f"{clock:>6}  {who:<{_WHO}}"
        room = max(20, self._width - len(head))
        first, *rest = textwrap.wrap(text, room) or [""]
        self.line(head + first, colour)
        for more in rest:
            self.line(" " * len(head) + more, colour)

    def table(self, head: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
        lines = [list(head), *(list(row) for row in rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for number, line in enumerate(lines):
            cells = (f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True))
            self.line("  " + "   ".join(cells), "dim" if number == 0 else "")

    def record(
        self,
        story: Story,
        call: Mapping[str, Any],
        figures: Mapping[str, Any],
        file: Recorded | None,
    ) -> None:
        """What is left of a call when it is over."""
        self.title(f"Record: {story.title}")
        self.line(
            f"  {call['status']}, {call['endedReason']}, {call['durationSeconds']} s, "
            f"{call['turnCount']} turns, id {call['id']}"
        )
        for entry in call["transcript"] or ():
            who, colour = _SPEAKERS[entry["role"]]
            self.said(None, who, entry["content"], colour)
        if call.get("transferStatus"):
            self.line(
                f"  {call['transferType']}, {call['transferStatus']}, "
                f"parent {call['parentCallId'] or 'none'}, cost {call['cost']} USD"
            )
        heard = [
            f"{response['to']} {response['played_ms']:.0f}"
            for response in figures.get("responses", ())
            if response["to"] in {line.name for line in story.lines}
        ]
        rows = [
            [str(turn["turn"]), *(_number(turn.get(key)) for key, _ in STAGES)]
            for turn in call["turns"] or ()
        ]
        if rows:
            self.line("  Milliseconds from the end of the caller's speech, turn by turn:")
            self.table(["turn", *(name for _, name in STAGES)], rows)
        if heard:
            self.line("  The same at the carrier, from the last sample sent to the first played:")
            self.line(f"  {', '.join(heard)}")
        for cleared in figures.get("clears", ()):
            if cleared.get("after_speech_ms") is not None:
                self.line(
                    f"  Interrupted: {cleared['after_speech_ms']:.0f} ms after the caller began, "
                    f"the carrier was told to drop {cleared['thrown_ms']:.0f} ms of the agent."
                )
        if file is not None:
            self.line(f"  Recording, {file.duration_ms / 1000:.1f} s, caller left, agent right:")
            self.line(f"  {file.path}", "bold")

    def verdict(self, checks: list[Check], seconds: float) -> None:
        failed = [each for each in checks if not each.passed]
        self.line()
        if not failed:
            text = f"All {len(checks)} checks passed; it took {seconds:.0f} s."
            self.line(text, "green")
            return
        self.line(f"{len(failed)} of {len(checks)} checks failed:", "red")
        for each in failed:
            self.line(f"  {each.name}", "red")
            self.line(f"    expected: {each.expected}")
            self.line(f"    got:      {each.got}")

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if colour and self._coloured else text


class LiveCall:
    """Shows the events of one call, as the API gives them. `other` is who the agent talks with;
    `clock`: whether with the time, which is each call's own."""

    def __init__(self, show: Show, other: str = "caller", *, clock: bool = True) -> None:
        self._show = show
        self._other = other
        self._clock = clock
        self._drafts: dict[int, int] = {}
        self._shown = ""  # the words of the turn that is not over

    def person(self, doing: str) -> None:
        self._show.said(None, self._other, f"({doing})", "cyan")

    def event(self, event: Mapping[str, Any]) -> None:
        at_ms, data = event["atMs"] if self._clock else None, event["data"]
        match event["kind"]:
            case "status_changed":
                why = f" ({data['reason']})" if data.get("reason") else ""
                self._show.said(at_ms, "", f"{data['status']}{why}", "dim")
            case "draft_started":
                self._drafts[data["turn"]] = self._drafts.get(data["turn"], 0) + 1
            case "words":
                self._shown = f"{self._shown} {data['text']}".strip()
                self._show.said(at_ms, self._other, data["text"], "cyan")
            case "turn_committed":
                if data["text"] != self._shown:
                    self._show.said(at_ms, self._other, data["text"], "cyan")
                self._shown = ""
            case "turn_latency":
                self._latency(at_ms, data)
            case "tool_called":
                self._show.said(at_ms, "tool", f"{data['name']} {data['arguments']}", "yellow")
            case "tool_result":
                answer = data.get("result", "")
                text = answer if isinstance(answer, str) else json.dumps(answer)
                state = data.get("status") or ("done" if data.get("ok") else "failed")
                how = f"{state} after {data['elapsedMs']} ms"
                self._show.said(at_ms, "", f"→ {how}: {text}", "yellow")
            case "agent_paused":
                self._show.said(at_ms, "", "a sound over the agent: it pauses and listens", "dim")
            case "agent_resumed":
                self._show.said(at_ms, "", "it was nothing: the agent goes on", "dim")
            case "interrupted":
                self._show.said(at_ms, "", "the caller has the word: the agent stops", "red")
            case "turn_dropped":
                self._show.said(at_ms, "", f"nothing understood ({data['reason']})", "red")
            case "hold_started":
                self._show.said(at_ms, "", "the caller waits, and hears music", "dim")
            case kind if kind.startswith("transfer_"):
                self._show.said(
                    at_ms, "", f"the transfer is {kind.removeprefix('transfer_')}", "dim"
                )
            case "reply_heard":
                cut = " —" if data.get("interrupted") else ""
                self._show.said(at_ms, "agent", f"{data['heard']}{cut}", "green")
            case "engine_failed":
                text = f"{data['vendor']} failed: {data['detail']}; {data['remedy']}"
                self._show.said(at_ms, "", text, "red")
            case _:
                pass

    def _latency(self, at_ms: int | None, data: Mapping[str, Any]) -> None:
        stages = ", ".join(f"{name} {_number(data.get(key))}" for key, name in STAGES[:-1])
        drafts = self._drafts.pop(data["turn"], 0)
        drafted = f", drafted {drafts}×" if drafts > 1 else ", drafted" if drafts else ""
        text = f"answered after {_number(data.get('sentMs'))} ms ({stages}{drafted})"
        self._show.said(at_ms, "", text, "dim")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
