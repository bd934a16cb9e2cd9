"""What a call used, and what that costs: arithmetic alone.

`Used` is what was measured, `charges` prices it by a list. The time of a call is counted in
seconds, a started one as a whole, then in the carrier's steps; characters and tokens are summed
for each engine, those of discarded drafts apart. The rounding happens once for each charge, to
the nearest micro-dollar, a half upwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chorus.billing.prices import METERS, Meter, Price, PriceList
from chorus.llm.sound import AUDIO

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """What is counted in one sum. `discarded`: of drafts that nobody heard, and of engines that
    were overtaken."""

    meter: Meter
    engine: str
    discarded: bool = False


@dataclass(frozen=True, slots=True)
class Used:
    """What one call used. `talked_ms` is from the answer to the end, 0 if it was not answered;
    `transcriber` None where nothing was transcribed; `spoken` are the characters and tokens.
    `carried_ms` is the carrier's part where it went on after Chorus had left (a transfer), else 0.
    `others`: which transcribers took over, and from when on, in milliseconds of the call; an empty
    name is none."""

    provider: str
    direction: str
    talked_ms: int
    transcriber: str | None
    spoken: Mapping[Item, int]
    others: tuple[tuple[str, int], ...] = ()
    carried_ms: int = 0

    @property
    def heard_ms(self) -> dict[str, int]:
        """How much of the call each transcriber heard."""
        if self.transcriber is None:
            return {}
        found: dict[str, int] = {}
        turns = ((self.transcriber, 0), *self.others)
        ends = [*(begin for _, begin in turns[1:]), self.talked_ms]
        for (name, begin), end in zip(turns, ends, strict=True):
            ms = max(0, min(end, self.talked_ms) - min(begin, self.talked_ms))
            if name:
                found[name] = found.get(name, 0) + ms
        return found


@dataclass(frozen=True, slots=True)
class Charge:
    """`price` None: the list does not know this engine, so it costs nothing that is known."""

    item: Item
    quantity: int
    price: Price | None

    @property
    def micros(self) -> int:
        return self.price.amount(self.quantity) if self.price else 0


_COUNTS: tuple[tuple[Meter, str, str], ...] = (
    ("voice", "voice", "characters"),
    ("model_input", "model", "inputTokens"),
    ("model_output", "model", "outputTokens"),
)


def tally(usages: Iterable[Mapping[str, Any]]) -> Counter[Item]:
    """The sums of a call's `usage` happenings."""
    sums = Counter[Item]()
    for usage in usages:
        discarded = bool(usage.get("discarded"))
        for meter, engine, count in _COUNTS:
            quantity = int(usage.get(count) or 0)
            name = str(usage.get(engine) or "unknown")
            if meter == "model_input" and (sound := int(usage.get("audioTokens") or 0)) > 0:
                sound = min(sound, quantity)
                sums[Item(meter, f"{name}{AUDIO}", discarded)] += sound
                quantity -= sound
            if quantity > 0:
                sums[Item(meter, name, discarded)] += quantity
    return sums


def charges(used: Used, prices: PriceList) -> list[Charge]:
    """One for each item of which anything was used, in a fixed order."""
    found = [*_of_time(used, prices)]
    for item, quantity in used.spoken.items():
        found.append(Charge(item, quantity, prices.price(item.meter, item.engine)))
    order = {meter: place for place, meter in enumerate(METERS)}
    return sorted(
        (charge for charge in found if charge.quantity > 0),
        key=lambda charge: (order[charge.item.meter], charge.item),
    )


def _of_time(used: Used, prices: PriceList) -> Iterable[Charge]:
    call = prices.call(used.provider)
    carried_ms = max(used.talked_ms, used.carried_ms)
    seconds = call.billed_s(carried_ms) if call else _seconds(carried_ms)
    price = call and (call.inbound if used.direction == "inbound" else call.outbound)
    yield Charge(Item("telephony", used.provider), seconds, price)
    for name, ms in used.heard_ms.items():
        price = prices.price("transcription", name)
        yield Charge(Item("transcription", name), _seconds(ms), price)


def cost(used: Used, prices: PriceList) -> int:
    """In micro-dollars."""
    return sum(charge.micros for charge in charges(used, prices))


def typical_minute(voice: str, model: str, prices: PriceList) -> Counter[Item]:
    """What a minute of conversation is expected to say and to think."""
    minute = prices.typical_minute
    return tally(
        [
            {
                "voice": voice,
                "model": model,
                "characters": minute.characters,
                "inputTokens": minute.input_tokens,
                "outputTokens": minute.output_tokens,
            }
        ]
    )


def _seconds(ms: int) -> int:
    return -(-ms // 1000)
