"""The price file: what a second, a character and a token cost, and since when.

`Prices.of(settings)` reads the operator's file, or the one beside this module, and checks all of
it; `WrongPrices` says in a sentence what is wrong and where. A file holds one price list or
several; `Prices.at` is the list that was valid at a moment. A price is a whole number of
micro-dollars for a number of units, so that nothing is ever rounded but the amount of a line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from chorus.llm.sound import AUDIO
from chorus.settings import Settings

T = TypeVar("T")

Meter = Literal["telephony", "transcription", "voice", "model_input", "model_output"]
METERS: tuple[Meter, ...] = ("telephony", "transcription", "voice", "model_input", "model_output")
UNITS: dict[Meter, str] = {
    "telephony": "second",
    "transcription": "second",
    "voice": "character",
    "model_input": "token",
    "model_output": "token",
}

PACKAGED = Path(__file__).with_name("prices.toml")
MILLION = 1_000_000
_MOST = Decimal(1_000_000)
_LONGEST = 500
_MONTH = re.compile(r"20\d\d-(0[1-9]|1[0-2])(-\d\d)?")


class WrongPrices(Exception):
    """The price file cannot be used; the message is a sentence that names the place."""


@dataclass(frozen=True, slots=True)
class Price:
    """`micros` micro-dollars for every `per` units."""

    micros: int
    per: int

    def amount(self, quantity: int) -> int:
        """Micro-dollars for `quantity` units, rounded to the nearest, a half upwards."""
        return (2 * quantity * self.micros + self.per) // (2 * self.per)


@dataclass(frozen=True, slots=True)
class Telephony:
    """`step_s`: seconds are billed in steps of so many, a started one as a whole."""

    outbound: Price
    inbound: Price
    step_s: int

    def billed_s(self, ms: int) -> int:
        return -(-ms // (self.step_s * 1000)) * self.step_s


@dataclass(frozen=True, slots=True)
class Source:
    """Where a price comes from, as the file says; nothing is calculated with it. `read_on` is a
    day or a month of ISO 8601."""

    where: str | None
    read_on: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """One price as it is shown. `direction` and `step_s` are those of telephony alone."""

    meter: Meter
    engine: str
    price: Price
    source: Source
    direction: Literal["outbound", "inbound"] | None = None
    step_s: int | None = None


@dataclass(frozen=True, slots=True)
class TypicalMinute:
    """What a minute of conversation is expected to use."""

    characters: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices by engine. The look-ups return None for what has no price."""

    version: str
    valid_from: datetime
    typical_minute: TypicalMinute
    telephony: Mapping[str, Telephony]
    engines: Mapping[Meter, Mapping[str, Price]]
    sources: Mapping[tuple[Meter, str], Source]

    def rows(self) -> Iterator[Row]:
        """All of it, in the order of the meters and of the file."""
        for name, call in self.telephony.items():
            source = self.sources["telephony", name]
            yield Row("telephony", name, call.outbound, source, "outbound", call.step_s)
            yield Row("telephony", name, call.inbound, source, "inbound", call.step_s)
        for meter, prices in self.engines.items():
            for name, price in prices.items():
                yield Row(meter, name, price, self.sources[meter, name])

    def call(self, provider: str) -> Telephony | None:
        return _named(self.telephony, provider)

    def price(self, meter: Meter, engine: str) -> Price | None:
        return _named(self.engines[meter], engine)

    def input_micros(self, model: str, count: int) -> int:
        """What a model takes for `count` tokens that it is given; 0 where there is no price."""
        price = self.price("model_input", model)
        return price.amount(count) if price else 0


class Prices:
    """All lists of a file, the oldest first."""

    def __init__(self, lists: Iterable[PriceList]) -> None:
        self.lists = sorted(lists, key=lambda each: each.valid_from)

    @classmethod
    def of(cls, settings: Settings) -> Prices:
        """Raises `WrongPrices`."""
        return cls.read(settings.prices_file or PACKAGED)

    @classmethod
    def read(cls, path: Path) -> Prices:
        """Raises `WrongPrices`."""
        try:
            found = tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
            return cls(_lists(found))
        except OSError as error:
            reason = f"it cannot be read ({error.strerror})"
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            reason = f"it is not TOML ({error})"
        except _Wrong as wrong:
            reason = str(wrong)
        raise WrongPrices(f"The price file {path} cannot be used: {reason}.")

    def at(self, moment: datetime) -> PriceList:
        """The list that was valid then; the oldest for what was before all of them."""
        valid = [each for each in self.lists if each.valid_from <= moment]
        return valid[-1] if valid else self.lists[0]


def _named(prices: Mapping[str, T], engine: str) -> T | None:
    """The price of an engine: its own, its vendor's, everybody's. Several engines of which one
    stands in for the other (`first+second`) have the price of the first. Sound for which there is
    no price of its own has that of the model's text."""
    engine = engine.partition("+")[0]
    plain = engine.removesuffix(AUDIO)
    for name in (engine, plain, plain.partition("/")[0], "*"):
        if name in prices:
            return prices[name]
    return None


# --- reading the file --------------------------------------------------------------------------


class _Wrong(Exception):
    """The text finishes the sentence."""


class _Table:
    """A table of the file, whose every key must be asked for."""

    def __init__(self, where: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise _Wrong(f"{where} must be a table")
        self.where = where
        self.left = dict(cast("dict[str, Any]", value))

    def take(self, key: str, default: Any = None) -> Any:
        return self.left.pop(key, default)

    def need(self, key: str) -> Any:
        if key not in self.left:
            raise _Wrong(f"{self.where} has no {key}")
        return self.left.pop(key)

    def dollars(self, key: str) -> int:
        """As micro-dollars."""
        value = self.need(key)
        if isinstance(value, int) and not isinstance(value, bool):
            value = Decimal(value)
        if not isinstance(value, Decimal) or not value.is_finite():
            raise _Wrong(f"{self.where}.{key} must be a number of dollars")
        if not 0 <= value <= _MOST:
            raise _Wrong(f"{self.where}.{key} must be from 0 to {_MOST} dollars, not {value}")
        micros = value * MILLION
        if micros != micros.to_integral_value():
            raise _Wrong(f"{self.where}.{key} must have at most six decimals, not {value}")
        return int(micros)

    def count(self, key: str) -> int:
        value = self.need(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MILLION:
            raise _Wrong(f"{self.where}.{key} must be a whole number from 0 to {MILLION}")
        return value

    def source(self) -> Source:
        where, read_on = self.take("source"), self.take("read_on")
        if where is not None and not (isinstance(where, str) and 1 <= len(where) <= _LONGEST):
            raise _Wrong(f"{self.where}.source must be a text of 1 to {_LONGEST} characters")
        if isinstance(read_on, date) and not isinstance(read_on, datetime):
            read_on = read_on.isoformat()
        if read_on is not None and not (isinstance(read_on, str) and _MONTH.fullmatch(read_on)):
            raise _Wrong(
                f"{self.where}.read_on must be a date such as 2025-01-31, without quotes, or a "
                'month such as "2025-01"'
            )
        return Source(where, read_on)

    def tables(self, key: str) -> dict[str, _Table]:
        where = f"{self.where}.{key}"
        inner = _Table(where, self.take(key, {}))
        return {name: _Table(f"{where}.{name}", value) for name, value in inner.left.items()}

    def done(self) -> None:
        if self.left:
            raise _Wrong(f"{self.where} has an unknown key: {sorted(self.left)[0]}")


def _lists(found: dict[str, Any]) -> list[PriceList]:
    whole = _Table("the file", found)
    given = whole.take("price_list")
    whole.done()
    if not isinstance(given, list) or not given:
        raise _Wrong("it holds no [[price_list]]")
    entries = enumerate(cast("list[Any]", given), 1)
    lists = [_list(_Table(f"price_list {number}", value)) for number, value in entries]
    for of, values in (
        ("version", [each.version for each in lists]),
        ("valid_from", [each.valid_from for each in lists]),
    ):
        if len(set(values)) < len(values):
            raise _Wrong(f"two price lists have the same {of}")
    return lists


def _list(table: _Table) -> PriceList:
    version = table.need("version")
    if not isinstance(version, str) or not 1 <= len(version) <= 64:
        raise _Wrong(f"{table.where}.version must be a text of 1 to 64 characters")
    table.where = f"price_list {version!r}"
    valid_from = _moment(table)
    minute = _Table(f"{table.where}.typical_minute", table.need("typical_minute"))
    typical = TypicalMinute(
        minute.count("characters"), minute.count("input_tokens"), minute.count("output_tokens")
    )
    minute.done()
    telephony: dict[str, Telephony] = {}
    engines: dict[Meter, dict[str, Price]] = {meter: {} for meter in METERS[1:]}
    sources: dict[tuple[Meter, str], Source] = {}
    for name, each in table.tables("telephony").items():
        sources["telephony", name] = each.source()
        telephony[name] = _telephony(each)
    for section, columns in _COLUMNS.items():
        for name, each in table.tables(section).items():
            source = each.source()
            for meter, key, per in columns:
                engines[meter][name] = Price(each.dollars(key), per)
                sources[meter, name] = source
            each.done()
    table.done()
    return PriceList(version, valid_from, typical, telephony, engines, sources)


_COLUMNS: dict[str, tuple[tuple[Meter, str, int], ...]] = {
    "transcription": (("transcription", "per_minute", 60),),
    "voice": (("voice", "per_million_characters", MILLION),),
    "model": (
        ("model_input", "per_million_input_tokens", MILLION),
        ("model_output", "per_million_output_tokens", MILLION),
    ),
}
_STEPS = {"minute": 60, "second": 1}


def _telephony(table: _Table) -> Telephony:
    outbound = table.dollars("per_minute")
    differs = "inbound_per_minute" in table.left
    inbound = table.dollars("inbound_per_minute") if differs else outbound
    billed = table.take("billed", "minute")
    if billed not in _STEPS:
        raise _Wrong(f"{table.where}.billed must be minute or second, not {billed!r}")
    table.done()
    return Telephony(Price(outbound, 60), Price(inbound, 60), _STEPS[billed])


def _moment(table: _Table) -> datetime:
    value = table.need("valid_from")
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        raise _Wrong(f"{table.where}.valid_from must be a date such as 2025-01-31, without quotes")
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
