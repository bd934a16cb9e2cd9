"""What Postgres was asked, from its own log: statements with their parameters, by transaction.

`on` has a server write everything that it is asked into its log, `read` gives what came since a
place in it, `Template` is what belongs to one call and can be asked again for another.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bench.postgres import Postgres

_PREFIX = "@%p %n@ "
_START = re.compile(r"@(\d+) (\d+\.\d+)@ (\w+):  (.*)", re.DOTALL)
_PARAMETER = re.compile(r"\$(\d+) = (?:(NULL)|'((?:[^']|'')*)')", re.DOTALL)
_ASKED = re.compile(r"(?:statement|execute [^:]*): (.*)", re.DOTALL)
_EVENTS = re.compile(r"INSERT INTO call_events \(([^)]*)\)")
_ID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|(?<![0-9a-f])(?:[0-9a-f]{32}){1,2}(?![0-9a-f])"
)
"""Ids, and hashes of what is as random."""


@dataclass(slots=True)
class Statement:
    """`at_s` in Unix seconds, `values` of the parameters as text."""

    session: int
    at_s: float
    text: str
    values: list[str | None] = field(default_factory=list[str | None])

    @property
    def opens(self) -> bool:
        return self.text.startswith("BEGIN")

    def later(self, n: int) -> Statement:
        """The same for the `n`th time: a call's events have other numbers then."""
        columns = _EVENTS.match(self.text)
        if columns is None:
            return self
        names = [name.strip() for name in columns[1].split(",")]
        seq, values = names.index("seq"), list(self.values)
        for place in range(seq, len(values), len(names)):
            values[place] = str(int(values[place] or 0) + 10_000 * n)
        return Statement(self.session, self.at_s, self.text, values)

    @property
    def closes(self) -> bool:
        return self.text.startswith(("COMMIT", "ROLLBACK"))


def on(postgres: Postgres) -> Path:
    """The log."""
    for name, value in (("log_line_prefix", _PREFIX), ("log_statement", "all")):
        postgres.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    postgres.execute("SELECT pg_reload_conf()")
    return postgres.folder / "log"


def off(postgres: Postgres) -> None:
    postgres.execute("ALTER SYSTEM RESET log_statement")
    postgres.execute("SELECT pg_reload_conf()")


def read(text: str) -> list[Statement]:
    """In the order in which they came. What is no statement is left out."""
    found: list[Statement] = []
    for entry in _entries(text):
        started = _START.fullmatch(entry)
        if started is None:
            continue
        session, at_s, kind, rest = started.groups()
        if kind == "LOG" and (asked := _ASKED.fullmatch(rest)):
            found.append(Statement(int(session), float(at_s), asked[1].strip()))
        elif kind == "DETAIL" and found and rest.lower().startswith("parameters: "):
            found[-1].values = [
                None if null else value.replace("''", "'")
                for _, null, value in _PARAMETER.findall(rest)
            ]
    return found


def _entries(text: str) -> Iterable[str]:
    """Messages of several lines go on after a tab."""
    entry: list[str] = []
    for line in text.splitlines():
        if line.startswith("\t") and entry:
            entry.append(line[1:])
            continue
        if entry:
            yield "\n".join(entry)
        entry = [line]
    if entry:
        yield "\n".join(entry)


def transactions(statements: Iterable[Statement]) -> list[list[Statement]]:
    """Each as one list with what opens and closes it; a statement outside of any is one alone."""
    open_: dict[int, list[Statement]] = {}
    found: list[list[Statement]] = []
    for each in statements:
        if each.opens:
            open_[each.session] = [each]
        elif each.session not in open_:
            found.append([each])
        else:
            open_[each.session].append(each)
            if each.closes:
                found.append(open_.pop(each.session))
    return sorted(found, key=lambda transaction: transaction[0].at_s)


def counted(statements: Iterable[Statement]) -> Counter[str]:
    """By their texts; opening and closing are statements too, and cost a round trip."""
    return Counter(each.text for each in statements)


@dataclass(slots=True)
class Template:
    """The transactions of a call. `constant` are ids that every call has."""

    transactions: list[list[Statement]]
    constant: set[str]

    @classmethod
    def of(
        cls, call: list[Statement], another: list[Statement], idle: Iterable[Statement]
    ) -> Template:
        """What of `call` no server asks that has no call. Its ids are its own where neither
        `another` call nor an idle server has them."""
        others = counted(idle)
        own = [
            transaction
            for transaction in transactions(call)
            if any(
                each.text not in others and not each.opens and not each.closes
                for each in transaction
            )
        ]
        constant: set[str] = set()
        for each in (*another, *idle):
            constant |= {_plain(id) for value in each.values for id in _ID.findall(value or "")}
        return cls(own, constant)

    @property
    def statements(self) -> int:
        return sum(len(transaction) for transaction in self.transactions)

    def fresh(self) -> list[list[tuple[str, list[str | None]]]]:
        """The same of a call that there has not been: texts and parameters."""
        ids: dict[str, str] = {}

        def other(found: re.Match[str]) -> str:
            id = _plain(found[0])
            if id in self.constant:
                return found[0]
            new = ids.setdefault(id, uuid.uuid4().hex * (len(id) // 32))
            return str(uuid.UUID(new)) if "-" in found[0] else new

        return [
            [
                (
                    each.text,
                    [value if value is None else _ID.sub(other, value) for value in each.values],
                )
                for each in transaction
            ]
            for transaction in self.transactions
        ]


def _plain(id: str) -> str:
    return id.replace("-", "")
