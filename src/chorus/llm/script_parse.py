"""The script language, read: from the text of a system prompt to rules.

The script is found in the prompt, cut into lines, each line begins a rule or goes on with one,
and the whole is checked for what a line alone cannot know (steps and names that exist). Every
mistake is a `ScriptError` with the line of the prompt that it is in. The language itself is
described in docs/script-model.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NoReturn

from chorus.llm.model import ModelFailed
from chorus.llm.script_match import KINDS, Capture, Pattern, pattern_of


@dataclass(frozen=True, slots=True)
class Named:
    """`{name}` without quotation marks: the value itself, of whatever type."""

    path: str


Value = str | int | float | bool | Named
"""A string may hold `{name}`s and stays a string."""


class ScriptError(ModelFailed):
    """`line` counts from 1 in the system prompt; `sentence` says what is wrong there."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__("script", f"line {line}: {sentence}", retryable=False)
        self.line = line
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Say:
    text: str


@dataclass(frozen=True, slots=True)
class CallTool:
    tool: str
    arguments: tuple[tuple[str, Value], ...] = ()


@dataclass(frozen=True, slots=True)
class Remember:
    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class GoTo:
    step: str


@dataclass(frozen=True, slots=True)
class Expect:
    """Only a hint to whoever listens."""

    patterns: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class End:
    pass


@dataclass(frozen=True, slots=True)
class Summary:
    """What is written of the call when it is over."""

    text: str


@dataclass(frozen=True, slots=True)
class Extract:
    """A field of what is to be known after the call."""

    name: str
    value: Value


ScriptAction = Say | CallTool | Remember | GoTo | Expect | End | Summary | Extract


@dataclass(slots=True)
class Rule:
    """`tool`: which tool's failure this answers, "" any's; `line`: where it begins. `patterns`
    of an `after` rule: what the caller must have said, at any time."""

    kind: Literal["says", "fails", "otherwise", "again", "start", "after"]
    line: int
    patterns: tuple[Pattern, ...] = ()
    tool: str = ""
    actions: list[ScriptAction] = field(default_factory=list[ScriptAction])


@dataclass(slots=True)
class Script:
    """Rules by step; those under "" hold everywhere."""

    steps: dict[str, list[Rule]]

    def rules(self) -> Iterator[Rule]:
        for rules in self.steps.values():
            yield from rules


_START = re.compile(r"^\s*(?:script:|```\s*script)\s*$", re.IGNORECASE)
_FENCE = re.compile(r"^\s*```\s*$")
_TOKEN = re.compile(
    r"""\s*(?:
      "(?P<string>(?:[^"\\]|\\.)*)"
    | (?P<name>\{[\w.]*\})
    | (?P<number>-?\d+(?:\.\d+)?)(?![\w.])
    | (?P<word>[^\W\d][\w-]*)
    | (?P<mark>[;:,=.])
    | (?P<comment>\#.*)
    | (?P<bad>\S)
    )""",
    re.VERBOSE,
)
_STRAIGHT = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"'})
_NAMED = re.compile(r"\{([^{}]*)\}")
_VALID_NAME = re.compile(r"[^\W\d]\w*(?:\.\w+)*")
_BEGINS_RULE = ("when", "otherwise", "at", "after", "step")


def begins_script(system: str) -> bool:
    """Whether a prompt holds a script, be it right or wrong."""
    return any(_START.match(line) for line in system.split("\n"))


@lru_cache(maxsize=256)
def parse(system: str) -> Script:
    """The script in a system prompt. Raises `ScriptError`."""
    lines = system.split("\n")
    start = next((n for n, line in enumerate(lines) if _START.match(line)), None)
    if start is None:
        raise ScriptError(
            len(lines), 'there is no script: write "script:" on a line of its own, then the rules.'
        )
    fenced = lines[start].lstrip().startswith("`")
    script = Script({"": []})
    step = ""
    rule: Rule | None = None
    number = start + 1
    for number, line in enumerate(lines[start + 1 :], start + 2):
        if fenced and _FENCE.match(line):
            break
        read = _Line(number, line)
        if read.done:
            continue
        if read.peek() not in _BEGINS_RULE:
            if rule is None:
                read.fail('a rule begins with "when", "otherwise" or "at start".')
            read.actions(rule)
        elif read.peek() == "step":
            step = read.step()
            if step in script.steps:
                read.fail(f'there is already a step "{step}".')
            script.steps[step] = []
            rule = None
        else:
            rule = read.rule()
            script.steps[step].append(rule)
    _check(script, number)
    return script


class _Line:
    """One line's tokens, taken from the left."""

    def __init__(self, number: int, text: str) -> None:
        self._number = number
        self._tokens: list[tuple[str, str]] = []
        text = text.translate(_STRAIGHT).rstrip()
        at = 0
        while at < len(text) and (match := _TOKEN.match(text, at)):
            at = match.end()
            kind = match.lastgroup or ""
            value = match.group(kind)
            if kind == "bad":
                if value == '"':
                    self.fail("a quotation mark is never closed.")
                self.fail(f"{value!r} is not understood here.")
            if kind != "comment":
                self._tokens.append((kind, value))

    def fail(self, sentence: str) -> NoReturn:
        raise ScriptError(self._number, sentence)

    @property
    def done(self) -> bool:
        return not self._tokens

    def peek(self, ahead: int = 0) -> str:
        """The token's word in lower case, or mark; "" at the end or for another kind."""
        if ahead >= len(self._tokens):
            return ""
        kind, value = self._tokens[ahead]
        return value.lower() if kind in ("word", "mark") else ""

    def _take(self, kind: str, what: str) -> str:
        if not self._tokens or self._tokens[0][0] != kind:
            found = f"not {self._tokens[0][1]!r}" if self._tokens else "but the line ends"
            self.fail(f"{what} is needed here, {found}.")
        return self._tokens.pop(0)[1]

    def _has(self, *words: str) -> bool:
        """Take these words if they are next."""
        if all(self.peek(n) == word for n, word in enumerate(words)):
            del self._tokens[: len(words)]
            return True
        return False

    def step(self) -> str:
        self._has("step")
        name = self._take("word", "the step's name").lower()
        if not self._has(":") or not self.done:
            self.fail(f'write "step {name}:" and the rules on the lines below.')
        return name

    def rule(self) -> Rule:
        if self._has("when", "caller", "says") or self._has("when", "the", "caller", "says"):
            rule = Rule("says", self._number, tuple(self._patterns()))
        elif self._has("when", "tool", "fails") or self._has("when", "any", "tool", "fails"):
            rule = Rule("fails", self._number)
        elif self._has("when", "tool"):
            rule = Rule("fails", self._number, tool=self._take("word", "the tool's name"))
            if not self._has("fails"):
                self.fail('after the tool\'s name comes "fails".')
        elif self._has("otherwise"):
            rule = Rule("again" if self._has("again") else "otherwise", self._number)
        elif self._has("at", "start"):
            rule = Rule("start", self._number)
        elif self._has("after", "call") or self._has("after", "the", "call"):
            said = self._has("when", "caller", "said") or self._has("when", "the", "caller", "said")
            rule = Rule("after", self._number, tuple(self._patterns()) if said else ())
        elif self.peek() == "after":
            self.fail('after "after" comes: call, and perhaps: when caller said "…".')
        else:
            self.fail(
                'after "when" comes: caller says "…", or: tool … fails. '
                'Other rules begin with "otherwise", "at start" or "after call".'
            )
        if not self._has(":"):
            self.fail("a colon is needed between what happens and what to do.")
        self.actions(rule)
        return rule

    def _patterns(self) -> Iterator[Pattern]:
        while True:
            text = self._string("what the caller says, in quotation marks,")
            try:
                yield pattern_of(text)
            except ValueError as error:
                self.fail(str(error))
            self._has(",")
            if not self._has("or"):
                return

    def actions(self, rule: Rule) -> None:
        while not self.done:
            if self.peek() in (";", ",", ".", "and", "then"):
                self._tokens.pop(0)
            elif rule.actions and isinstance(rule.actions[-1], End):
                self.fail('nothing can come after "end": the agent has hung up.')
            else:
                rule.actions.append(self._action(after=rule.kind == "after"))

    def _action(self, *, after: bool) -> ScriptAction:
        if after != (self.peek() in ("summary", "extract")):
            if after:
                self.fail(
                    f'"{self._tokens[0][1]}" is too late after the call: use summary or extract.'
                )
            self.fail(f'"{self.peek()}" belongs to a rule that begins with "after call".')
        if self._has("summary"):
            return Summary(self._checked(self._string("the summary, in quotation marks,")))
        if self._has("extract"):
            return Extract(*self._assignment())
        if self._has("say"):
            return Say(self._checked(self._string("what to say, in quotation marks,")))
        if self._has("call"):
            tool = self._take("word", "the tool's name")
            return CallTool(tool, tuple(self._arguments()) if self._has("with") else ())
        if self._has("remember"):
            return Remember(*self._assignment())
        if self._has("go", "to") or self._has("goto"):
            return GoTo(self._take("word", "the step's name").lower())
        if self._has("expect"):
            return Expect(tuple(self._patterns()))
        if self._has("end"):
            return End()
        found = self._tokens[0][1]
        return self.fail(f'"{found}" is no action: use say, call, remember, expect, go to or end.')

    def _arguments(self) -> Iterator[tuple[str, Value]]:
        yield self._assignment()
        while self.peek() in (",", "and") and self.peek(2) == "=":
            self._tokens.pop(0)
            yield self._assignment()

    def _assignment(self) -> tuple[str, Value]:
        name = self._take("word", "a name")
        if not self._has("="):
            self.fail(f'"=" and a value are needed after {name!r}.')
        if not self._tokens:
            self.fail(f"a value is needed for {name!r}.")
        kind, text = self._tokens.pop(0)
        if kind == "name":
            return name, Named(self._checked(text)[1:-1])
        if kind == "string":
            return name, self._checked(_unescaped(text))
        if kind == "number":
            return name, float(text) if "." in text else int(text)
        if kind == "word" and text.lower() in ("true", "false"):
            return name, text.lower() == "true"
        return self.fail(f"{text!r} is no value: write it in quotation marks, or as {{name}}.")

    def _string(self, what: str) -> str:
        return _unescaped(self._take("string", what))

    def _checked(self, text: str) -> str:
        for name in _NAMED.findall(text):
            if not _VALID_NAME.fullmatch(name):
                self.fail(f"{{{name}}} is no name.")
        return text


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _check(script: Script, last_line: int) -> None:
    """What only the whole script shows: steps that are gone to and names that are used."""
    if not any(True for _ in script.rules()):
        raise ScriptError(last_line, "the script has no rules.")
    known = {"result"}
    for rule in script.rules():
        for pattern in rule.patterns:
            known |= {part.name for part in pattern.parts if isinstance(part, Capture)}
        for action in rule.actions:
            if isinstance(action, Remember):
                known.add(action.name)
            elif isinstance(action, CallTool):
                known.add(action.tool)
    for rule in script.rules():
        if not rule.actions:
            raise ScriptError(rule.line, "this rule does nothing.")
        for action in rule.actions:
            if isinstance(action, GoTo) and action.step not in script.steps:
                raise ScriptError(rule.line, f'there is no step "{action.step}".')
            for text in _texts(action):
                for name in _NAMED.findall(text):
                    if name.split(".")[0] not in known:
                        kinds = ", ".join(KINDS)
                        raise ScriptError(
                            rule.line,
                            f"nothing gives {{{name}}} a value: capture it from what the caller "
                            f"says ({kinds}), remember it, or call a tool of that name.",
                        )


def _texts(action: ScriptAction) -> Iterator[str]:
    """The texts of an action in which names may be."""
    if isinstance(action, Say | Summary):
        yield action.text
    elif isinstance(action, Remember | Extract):
        yield _text(action.value)
    elif isinstance(action, CallTool):
        yield from (_text(value) for _, value in action.arguments)


def _text(value: Value) -> str:
    return f"{{{value.path}}}" if isinstance(value, Named) else str(value)
