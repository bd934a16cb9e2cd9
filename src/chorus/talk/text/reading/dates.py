"""Days, times and ordinals."""

from __future__ import annotations

import re
from datetime import date

from chorus.talk.text.reading.words import Rule, Words, any_of

_ISO = re.compile(r"(?<![\w.-])(\d{4})-(\d\d)-(\d\d)(?![\w-]|\.\d)")
_SLASHED = re.compile(r"(?<![\w./-])(\d{1,2})/(\d{1,2})/(\d{4})(?![\w/-])")
_DOTTED = re.compile(r"(?<![\w./-])(\d{1,2})\.\s?(\d{1,2})\.(?:\s?(\d{4}|\d\d)(?![\w.:-]\d|\w))?")
_LEAP = 2024  # a year that has every day, for days without one


def rules(words: Words) -> list[Rule]:
    """Days before times, times before ordinals."""
    return [*_days(words), *_times(words), *_ordinals(words)]


def _days(words: Words) -> list[Rule]:
    def said(year: str | None, month: str, day: str, text: str, at: int) -> str | None:
        try:
            when = date(_year(year), int(month), int(day))
        except ValueError:
            return None
        full = words.day(when, year=year is not None)
        return _with_ordinals(words, full, text[:at])

    def iso(match: re.Match[str], clause: str) -> str | None:
        year, month, day = match.groups()
        return said(year, month, day, clause, match.start())

    def slashed(match: re.Match[str], clause: str) -> str | None:
        first, second, year = match.groups()
        day, month = (first, second) if words.day_first else (second, first)
        return said(year, month, day, clause, match.start())

    def dotted(match: re.Match[str], clause: str) -> str | None:
        day, month, year = match.groups()
        over = "." if year is None and not clause[match.end() :].strip() else ""
        full = said(year, month, day, clause, match.start())
        return None if full is None else full + over

    found: list[Rule] = [(_ISO, iso), (_SLASHED, slashed)]
    if "." in words.locale.date_formats["short"].pattern:
        found.append((_DOTTED, dotted))
    return found


def _year(text: str | None) -> int:
    if text is None:
        return _LEAP
    return int(text) + (2000 if len(text) == 2 else 0)


def _times(words: Words) -> list[Rule]:
    """`time` and `full_hour` are patterns with {h} and {m}; `oclock` is what may stand after a
    time and is part of them, `half_days` what makes a full hour need no word of its own."""
    pattern, full = words.word("time"), words.word("full_hour")
    if pattern is None or full is None:
        return []
    oclock = any_of(words.some("oclock")) or "(?!)"
    after = any_of([*words.some("oclock"), *words.some("half_days")]) or "(?!)"
    half_days = {each.lower() for each in words.some("half_days")}
    colon = words.word("time_marks") or ":"
    until = words.word("to")
    written = (
        rf"(?<![\w.,:/])(?P<hour>[01]?\d|2[0-4])"
        rf"(?:[{colon}](?P<minute>[0-5]\d)|\.(?P<dotted>[0-5]\d)(?=\s?(?:{oclock})(?!\w)))"
        rf"(?![\w:%]|\.\d)(?:\s?(?P<after>{after})(?!\w))?(?P<until>\s?[-–]\s?(?=\d))?"
    )

    def time(match: re.Match[str], _: str) -> str:
        hour, minute, following = match["hour"], match["minute"] or match["dotted"], match["after"]
        end = f" {until} " if until and match["until"] else match["until"] or ""
        return said(hour, minute, following) + end

    def said(hour: str, minute: str, following: str | None) -> str:
        h, m = str(int(hour)), str(int(minute))
        if minute[0] == "0" and m != "0":
            m = (words.word("oh") or "{m}").format(m=m)
        if following and following.lower() in half_days:
            return f"{h} {m} {following}" if m != "0" else f"{h} {following}"
        return pattern.format(h=h, m=m) if m != "0" else full.format(h=h)

    return [(re.compile(written, re.IGNORECASE), time)]


def _ordinals(words: Words) -> list[Rule]:
    """`day`: the rule set for days beside a month. `dotted`: that the language writes ordinals
    with a full stop, and by which rule set each is said after which words."""
    ordinals = words.table("ordinals")
    found: list[Rule] = []
    months = any_of(list(words.months))
    if ruleset := ordinals.get("day"):
        written = (  # "March 5" and "5 March"
            rf"(?<!\w)(?:({months})\.?\s+(\d{{1,2}})(?![\w:]|[.,]\d)"
            rf"|(?<![\d.,:])(\d{{1,2}})(?=\s+(?:{months})(?!\w)))"
        )

        def day(match: re.Match[str], _: str) -> str | None:
            number = int(match.group(2) or match.group(3))
            said = words.ordinal(number, str(ruleset)) if 1 <= number <= 31 else None
            if said is None:
                return None
            if match.group(1) is None:
                return str(ordinals.get("day_before_month", "{day}")).format(day=said)
            month = words.locale.months["format"]["wide"][words.months[match.group(1)]]
            return f"{month} {said}"

        found.append((re.compile(written), day))
    if first := ordinals.get("first_of_month"):
        written = rf"(?<![\w.,:])1(?=\s+(?:{months})(?!\w))"
        found.append((re.compile(written), lambda _, __: str(first)))
    if "dotted" in ordinals:
        found.append(
            (_dotted_ordinals(words), lambda match, clause: _ordinal(words, match, clause))
        )
    return found


def _dotted_ordinals(words: Words) -> re.Pattern[str]:
    nouns = any_of([*words.months, *words.some("ordinals_before")])
    return re.compile(
        rf"(?<![\w.,:])(\d{{1,2}})\.(?=\s+(?:(?:{nouns})(?!\w)|[^\W\d_A-ZÄÖÜ]))(?:\s+((?:{nouns})\.?)(?!\w))?"
        rf"|(?<![\w.,:])(\d{{1,2}})\.\s?[-–]\s?(?=\d{{1,2}}\.)"
    )


def _ordinal(words: Words, match: re.Match[str], clause: str) -> str | None:
    number, noun, first = match.groups()
    ordinals = words.table("ordinals")
    before = clause[: match.start()].split()
    last = before[-1].lower() if before else ""
    ruleset = str(ordinals["dotted"])
    for name, after in words.told.table("ordinals_after").items():
        if isinstance(after, tuple) and last in after:
            ruleset = name
    if first is not None:
        said = words.ordinal(int(first), ruleset)
        to = words.word("to")
        return None if said is None or to is None else f"{said} {to} "
    said = words.ordinal(int(number), ruleset)
    if said is None or noun is None:
        return said
    bare = noun.removesuffix(".")
    month = words.months.get(bare) or words.months.get(noun)
    if month is None:
        return f"{said} {noun}"
    name = str(words.locale.months["format"]["wide"][month])
    over = "." if noun != bare and name.lower() == bare.lower() else ""
    return f"{said} {name}{over}"


def _with_ordinals(words: Words, day: str, before: str) -> str:
    """A day in full as CLDR writes it, with its ordinals said, as after `before`."""
    text = f"{before}{day}"
    for pattern, say in _ordinals(words):
        match = pattern.search(text, len(before))
        if match is not None and (said := say(match, text)) is not None:
            text = text[: match.start()] + said + text[match.end() :]
    return text[len(before) :]
