"""What all requests and responses are made of.

`In` and `Out` are the bases of the models at the HTTP edge: camelCase outside, snake_case
inside; an unknown field in a request is an error. `patch_of` makes the model of a PATCH from
that of the POST. The types are checks that more than one resource needs.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, Literal, TypeVar, cast, get_args, get_origin
from urllib.parse import urlsplit
from uuid import UUID

import orjson
import phonenumbers
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    create_model,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

T = TypeVar("T")
_ABSENT = object()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CURSOR = re.compile(r"[A-Za-z0-9_-]{32}")

ARRAY, OBJECT = "[array]", "[object]"
"""Tags of a field that may be either; they are in no path that an error names."""


class In(BaseModel):
    """A request's object. Types are strict: "5" is no number and 1 is no boolean."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", validate_by_name=False, validate_by_alias=True
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_null(cls, values: Any) -> Any:
        """An empty text where null may stand is null: forms send it so. So is null, where a list
        or an object may not be missing, the empty one."""
        if not isinstance(values, dict):
            return values
        given = cast("dict[str, Any]", values)
        changed: dict[str, Any] = {}
        for field in cls.model_fields.values():
            value = given.get(field.alias or "", _ABSENT)
            if value == "" and type(None) in get_args(field.annotation):
                changed[field.alias or ""] = None
            elif value is None and get_origin(field.annotation) in (list, dict):
                changed[field.alias or ""] = [] if get_origin(field.annotation) is list else {}
        return {**given, **changed} if changed else given

    def changes(self) -> dict[str, Any]:
        """What was sent, by the names inside: all that a PATCH is to change."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Out(BaseModel):
    """A response's object, made from a row, a mapping or keywords by the names inside."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        from_attributes=True,
        validate_by_name=True,
        validate_by_alias=True,  # else the OpenAPI document shows the names inside
        serialize_by_alias=True,
    )


class Data(Out, Generic[T]):
    data: T


class Pagination(Out):
    total: Annotated[
        int,
        Field(
            description="How many there are in all. Of more than 10,000 it may be a number that is "
            "greater than what was shown while there is more: see `totalIsExact`."
        ),
    ]
    limit: int
    offset: int
    total_is_exact: Annotated[
        bool, Field(description="Whether `total` is how many there are, and not a lower bound.")
    ] = True
    next_cursor: Annotated[
        str | None, Field(description="As `after` it leads to the next page; null behind the last.")
    ] = None


class Page(Out, Generic[T]):
    data: list[T]
    pagination: Pagination


class Deleted(Out):
    id: UUID
    deleted: bool = True


class FailureDetail(Out):
    field: Annotated[str, Field(description="Where: a path with dots, or the name of a header.")]
    message: Annotated[str, Field(description="What is wrong there, as a sentence.")]


class Failure(Out):
    """What every error looks like. `code` is stable and meant for programs."""

    error: Annotated[str, Field(description="What went wrong, as a sentence for people.")]
    code: Annotated[str, Field(description="The same for programs: it does not change.")]
    request_id: Annotated[str, Field(description="What the log knows the request by.")]
    details: Annotated[
        list[FailureDetail], Field(description="Each field that is wrong, where there are any.")
    ] = []
    retry_after: Annotated[
        int | SkipJsonSchema[None], Field(description="Seconds to wait, where that is known.")
    ] = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list that is ordered by (created_at, id): the page after it is asked for. As
    text it is 32 characters, and every such text is a place."""

    at: datetime
    id: UUID

    def text(self) -> str:
        micros = (self.at - _EPOCH) // timedelta(microseconds=1)
        return urlsafe_b64encode(micros.to_bytes(8, signed=True) + self.id.bytes).decode()

    @classmethod
    def of(cls, text: str) -> Cursor:
        """Raises `ValueError` for what is no such text."""
        if not CURSOR.fullmatch(text):
            raise ValueError("must be the nextCursor of a page")
        raw = urlsafe_b64decode(text)
        micros = int.from_bytes(raw[:8], signed=True)
        try:
            at = _EPOCH + timedelta(microseconds=micros)
        except OverflowError:
            at = (datetime.max if micros > 0 else datetime.min).replace(tzinfo=UTC)
        return cls(at, UUID(bytes=raw[8:]))


def _cursor(value: str | None) -> str | None:
    """Of one that could not be written otherwise."""
    return None if value is None else Cursor.of(value).text()


@dataclass(frozen=True, slots=True)
class Found:
    """How many there are in a list: exactly, or at least. `next_cursor` leads to the next page,
    null behind the last."""

    total: int
    exact: bool = True
    next_cursor: str | None = None


def page(kind: type[T], rows: Sequence[T], found: Found | int, query: PageQuery) -> Page[T]:
    """`found`: an exact number, or what a list of the database knows."""
    found = Found(found) if isinstance(found, int) else found
    pagination = Pagination(
        total=found.total,
        limit=query.limit,
        offset=query.offset,
        total_is_exact=found.exact,
        next_cursor=found.next_cursor,
    )
    # Of the exact type that the route promises: any other is validated all over again.
    return Page[kind](data=list(rows), pagination=pagination)


class PageQuery(BaseModel):
    """Which part of a list. Query parameters are text, so these are not strict."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100, description="How many results at most.")] = 50
    # The upper bound is the largest that JavaScript counts to.
    offset: Annotated[int, Field(ge=0, le=2**53 - 1, description="How many to skip.")] = 0


class ListQuery(PageQuery):
    """Which part of a list of the database (`lists.py`)."""

    after: Annotated[
        str | None,
        Field(
            description="`nextCursor` of the page before. Instead of offset, and as fast on the "
            "last page as on the first.",
            json_schema_extra={"pattern": f"^{CURSOR.pattern}$"},
        ),
        AfterValidator(_cursor),
    ] = None
    sort: Annotated[
        Literal["-createdAt", "createdAt"], Field(description="The newest first, or the oldest.")
    ] = "-createdAt"


class Searched(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    search: Annotated[
        str | None, Field(max_length=255, description="Only those whose name contains this.")
    ] = None

    @property
    def wanted(self) -> str | None:
        """Without spaces around it: one is also what a `+` in a URL means."""
        return (self.search or "").strip() or None


class NameQuery(Searched, PageQuery):
    """A list that is not in the database and can be searched."""


class SearchQuery(Searched, ListQuery):
    """A list of the database that can be searched."""


def patch_of(model: type[In], name: str) -> type[In]:
    """`model` with every field optional; what is not sent is not in `changes()`."""
    fields: dict[str, Any] = {}
    for field_name, info in model.model_fields.items():
        optional = copy(info)
        optional.default = None  # never validated, never read: only `changes()` is used
        optional.default_factory = None
        optional.json_schema_extra = _without_default(info.json_schema_extra)
        fields[field_name] = (info.annotation, optional)
    made: Any = create_model(name, __base__=In, __module__=model.__module__, **fields)
    return cast("type[In]", made)


def _without_default(extra: Any) -> Callable[[dict[str, Any]], None]:
    def change(schema: dict[str, Any]) -> None:
        if isinstance(extra, Mapping):
            schema.update(cast("Mapping[str, Any]", extra))
        schema.pop("default", None)

    return change


_WRITTEN = str.maketrans("", "", " ()-./\u00a0\u2010\u2011\u2012\u2013")
"""What people put between the digits of a number."""

_POSSIBLE = phonenumbers.ValidationResult.IS_POSSIBLE

_TIME = re.compile(r"\d{4}-\d\d-\d\dT", re.ASCII | re.IGNORECASE)
_BREAK = re.compile(r"[\t\n\r\u2028\u2029]")  # other controls: `json_body`

# --- types -------------------------------------------------------------------------------


def e164(value: str) -> str:
    """A number that could be dialled, as E.164. The way people write one, `+1 (555) 123-4567`, is
    taken where it is unambiguous: with its country code. Raises `ValueError` for all else."""
    digits = value.translate(_WRITTEN)
    if len(value) > 40 or not re.fullmatch(r"\+[0-9]{2,15}", digits):
        raise ValueError("must be in E.164 format, such as +14155551234")
    try:
        number = phonenumbers.parse(digits)
    except phonenumbers.NumberParseException:
        raise ValueError("is not a phone number, such as +14155551234") from None
    # Not `is_possible_number`: that takes one without its area code too, which nobody can dial.
    if phonenumbers.is_possible_number_with_reason(number) != _POSSIBLE:
        raise ValueError("is not a possible phone number of its country")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def dialled(value: str) -> str:
    """A number to call: E.164, or the figures of one without its country, which `at_home` reads.
    Raises `ValueError`."""
    figures = value.translate(_WRITTEN)
    if figures.startswith("+"):
        return e164(value)
    if len(value) > 40 or not re.fullmatch(r"[0-9]{3,18}", figures):
        raise ValueError("must be in E.164 format, such as +14155551234")
    return figures


def at_home(figures: str, own: str) -> str:
    """What `figures`, without a plus, mean in the country of the number `own`, as E.164: with or
    without its country code, its long-distance prefix or the one for calls abroad. Raises
    `ValueError` where that is nothing, or more than one number."""
    code = phonenumbers.parse(own).country_code or 0
    country = phonenumbers.region_code_for_country_code(code)
    found: set[str] = set()
    for text in (figures, f"+{figures}"):
        try:
            number = phonenumbers.parse(text, country)
        except phonenumbers.NumberParseException:
            continue
        abroad = text.startswith("+") and number.country_code != code
        if abroad or phonenumbers.is_possible_number_with_reason(number) != _POSSIBLE:
            continue
        found.add(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    if len(found) == 1:
        return found.pop()
    if not found:
        raise ValueError(f"is not a phone number of +{code}; write it as E.164, +14155551234")
    raise ValueError(f"may be {' or '.join(sorted(found))}; write the one that is meant")


def web_url(value: str) -> str:
    """Raises `ValueError` unless the text is an absolute http or https URL."""
    try:
        parts = urlsplit(value)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError("must be a valid URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fine:
        raise ValueError("must be a URL that begins with https:// or http://")
    if any(character.isspace() or ord(character) < 32 for character in value):
        raise ValueError("must not contain spaces")
    if parts.username or parts.password:
        raise ValueError("must not contain a user name or a password")
    return value


def is_plain_http(url: str) -> bool:
    return urlsplit(url).scheme == "http"


def _written_time(value: Any) -> Any:
    """Pydantic would also take seconds since 1970, as a number or as text."""
    if isinstance(value, datetime) or (isinstance(value, str) and _TIME.match(value)):
        return value
    raise ValueError("must be a time such as 2025-01-31T12:00:00Z")


def told(pattern: re.Pattern[str]) -> Any:
    """Tells `pattern` in the schema. What enforces it says better what is wrong."""
    return Field(json_schema_extra={"pattern": f"^{pattern.pattern}$"})


def _unique(values: list[T]) -> list[T]:
    if len(set(values)) < len(values):
        raise ValueError("must not name the same thing twice")
    return values


def _one_line(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    if _BREAK.search(value):
        raise ValueError("must be of one line, without tabs")
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:  # the first and the last day of the calendar
        raise ValueError("must be a time such as 2025-01-31T12:00:00Z") from None


def at_most(most_bytes: int) -> Any:
    """A check of how large an object is as JSON: lists hold a hundred of them."""

    def check(value: dict[str, Any]) -> dict[str, Any]:
        if len(orjson.dumps(value)) > most_bytes:
            raise ValueError(f"must have at most {most_bytes} bytes as JSON")
        return value

    return AfterValidator(check)


def _utc(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Text = StrictStr
OneLine = Annotated[StrictStr, AfterValidator(_one_line)]
Whole = StrictInt
Flag = StrictBool
Number = StrictFloat  # a whole number is one too
Name = Annotated[StrictStr, Field(min_length=1, max_length=255), AfterValidator(_one_line)]
Phone = Annotated[
    StrictStr,
    # Told, not enforced, by the schema: `e164` says better what is wrong.
    Field(json_schema_extra={"pattern": r"^\+[0-9 ()./-]{2,39}$", "example": "+14155551234"}),
    AfterValidator(e164),
]
Dialled = Annotated[
    StrictStr,
    Field(
        description="E.164, such as +14155551234. Without the plus it is read as in the country of "
        "the number that calls, where that is unambiguous.",
        json_schema_extra={"pattern": r"^\+?[0-9 ()./-]{3,39}$", "example": "+14155551234"},
    ),
    AfterValidator(dialled),
]
Url = Annotated[
    StrictStr,
    Field(max_length=2048, json_schema_extra={"format": "uri", "pattern": "^https?://[^ ]+$"}),
    AfterValidator(web_url),
]
UniqueIds = Annotated[
    list[UUID],
    Field(max_length=100, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_unique),
]
Metadata = Annotated[
    dict[str, Any],
    Field(
        max_length=200,
        description="Yours: stored and returned, and never shown to an agent. At most 16384 bytes "
        "as JSON.",
    ),
    at_most(16_384),
]
Variables = Annotated[
    dict[str, Any],
    Field(
        max_length=200,
        description="Fill the templates of the prompt and the greeting; at most 65536 bytes as "
        "JSON.",
    ),
    at_most(65_536),
]
Time = Annotated[datetime, PlainSerializer(_utc, return_type=str, when_used="json")]
TimeIn = Annotated[AwareDatetime, BeforeValidator(_written_time), AfterValidator(_in_utc)]
Anything = Mapping[str, Any]
SERVER_SENT_EVENT: dict[str, Any] = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("event", "id", "data")},
    "required": ["event", "data"],
}
"""The schema of each event of a stream. `data` is one line of JSON."""
