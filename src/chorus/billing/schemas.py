"""Money at the HTTP edge: dollars as JSON numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from chorus.billing.prices import MILLION, Meter
from chorus.wire import In, ListQuery, Number, Out, Text, Time, TimeIn

GroupBy = Literal["day", "agent", "phoneNumber", "meter"]
MOST_DOLLARS = 1_000_000
_NOISE = Decimal("0.001")


def micros(dollars: float | str) -> int:
    """Whole micro-dollars. Raises `ValueError` for more than six decimals, but not for what
    programs make of them: 0.1 + 0.2 is 0.30000000000000004 in JSON."""
    given = Decimal(str(dollars)) * MILLION
    whole = given.to_integral_value()
    if abs(given - whole) > _NOISE:
        raise ValueError("must have at most six decimals")
    return int(whole)


def _exact(dollars: float) -> float:
    micros(dollars)
    return dollars


class TopUp(In):
    amount: Annotated[
        Number,
        Field(gt=0, le=MOST_DOLLARS, description="Dollars, with at most six decimals."),
        AfterValidator(_exact),
    ]
    note: Annotated[Text, Field(max_length=500)] | None = None


class BalanceOut(Out):
    """Dollars. `available` is `balance` less what calls under way hold."""

    enabled: Annotated[bool, Field(description="Whether calls are paid for from the balance.")]
    balance: float
    held: float
    available: float


class LedgerLineOut(Out):
    """One movement: what a call used of one engine, a top-up, or what vectors of a document cost
    that a vendor made with the operator's key."""

    id: UUID
    kind: Literal["charge", "top_up", "embedding"]
    call_id: UUID | None
    document_id: Annotated[
        UUID | None, Field(description="Of an `embedding`; the document may be gone since.")
    ]
    meter: Meter | None
    sequence: int | None
    engine: str | None
    discarded: Annotated[bool, Field(description="Of drafts that were thrown away unheard.")]
    quantity: int | None
    unit: Annotated[str | None, Field(description="Of the quantity: second, character, token.")]
    unit_price: Annotated[
        float | None, Field(description="Dollars for `pricePer` units; null where none was known.")
    ]
    price_per: int | None
    price_version: str | None
    amount: Annotated[float, Field(description="Dollars: what was charged, or topped up.")]
    charged: Annotated[bool, Field(description="Whether it moved the balance.")]
    agent_id: UUID | None
    phone_number_id: UUID | None
    note: str | None
    called_at: Annotated[Time | None, Field(description="When the call was answered.")]
    created_at: Time


class LedgerQuery(ListQuery):
    """Which lines to list; all that is given must hold."""

    call_id: UUID | None = None
    meter: Meter | None = None
    kind: Literal["charge", "top_up", "embedding"] | None = None
    from_: Annotated[
        TimeIn | None, Field(alias="from", description="Written at this time or later.")
    ] = None
    to: Annotated[TimeIn | None, Field(description="Written before this time.")] = None


class PriceOut(Out):
    """What one engine or carrier costs."""

    meter: Meter
    engine: Annotated[
        str,
        Field(
            description="A carrier, an engine such as `openai/gpt-4.1-mini`, a vendor for all of "
            "its engines that have no price of their own, or `*` for everything else."
        ),
    ]
    direction: Annotated[
        Literal["outbound", "inbound"] | None, Field(description="Of telephony alone.")
    ]
    price: Annotated[float, Field(description="Dollars for `per` units.")]
    per: int
    unit: Annotated[str, Field(description="second, character, token.")]
    step_seconds: Annotated[
        int | None,
        Field(description="Of telephony: a started step of so many seconds counts as a whole."),
    ]
    source: Annotated[
        str | None, Field(description="Where the price was read, if the price file says so.")
    ]
    read_on: Annotated[
        str | None, Field(description="On which day, or in which month: 2026-11-28, 2026-11.")
    ]


class PricesOut(Out):
    """The price list that is valid now."""

    version: Annotated[str, Field(description="As in `priceVersion` of the ledger's lines.")]
    valid_from: Time
    examples: Annotated[
        bool,
        Field(
            description="The list is the one that comes with Chorus: public prices for "
            "orientation. Else it is the operator's own (CHORUS_PRICES_FILE)."
        ),
    ]
    prices: list[PriceOut]


class UsageQuery(BaseModel):
    """Which calls to sum up."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    from_: Annotated[
        TimeIn | None,
        Field(alias="from", description="Answered at this time or later; else 30 days before to."),
    ] = None
    to: Annotated[TimeIn | None, Field(description="Answered before this time; else now.")] = None
    group_by: GroupBy = "day"


class UsageSums(Out):
    """`cost` holds `discardedCost`, that of drafts that nobody heard. Only calls that used
    something are counted."""

    calls: int
    telephony_seconds: Annotated[int, Field(description="As billed: in the carrier's steps.")]
    transcription_seconds: int
    characters: int
    input_tokens: int
    output_tokens: int
    cost: Annotated[float, Field(description="Dollars.")]
    discarded_cost: float


class UsageGroup(UsageSums):
    key: Annotated[
        str | None, Field(description="The day in UTC, the id, or the meter; null: no number.")
    ]


class UsageOut(Out):
    from_: Annotated[Time, Field(alias="from")]
    to: Time
    group_by: GroupBy
    total: UsageSums
    groups: list[UsageGroup]
