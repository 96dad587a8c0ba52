"""The edge of a service: a request becomes a typed value here or is refused, and OpenAPI is read off the same types."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

import orjson
from flask import request
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from werkzeug.exceptions import UnsupportedMediaType as WerkzeugUnsupportedMediaType

from common.errors import BadRequest, Invalid, UnsupportedMediaType

View = TypeVar("View", bound=Callable[..., Any])
T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)

MAX_MONEY = Decimal("9999999.99")
MOST_DEEP = 32
MOST_VALUES = 20_000
MOST_ERRORS = 100
"""What a document may cost before it is understood: how deep it may be nested, its values, and the errors shown."""


class Request(BaseModel):
    """Base of bodies and queries: unknown members are refused, text is trimmed. Parsed by this module's functions."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, frozen=True)


class Response(BaseModel):
    """Base of answers, which are documented by it."""


class PageQuery(Request):
    """The paging parameters of every list."""

    limit: int = Field(20, ge=1, le=100)
    cursor: str | None = Field(None, max_length=2000)
    total: bool = False


class Page(Response, Generic[T]):
    items: list[T]
    next_cursor: str | None
    total: int | None = None


def digits_only(value: Any) -> Any:
    """A number as people write it: Decimal itself also takes 1e2, 1_000 and the digits of other scripts."""
    if isinstance(value, str) and not _AMOUNT.fullmatch(value.strip()):
        raise ValueError("must be an amount such as 12.99")
    return Decimal(str(value)) if isinstance(value, str | int | float) and not isinstance(value, bool) else value


def _two_places(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"))


def _writable(value: dict[str, Any]) -> dict[str, Any]:
    try:
        orjson.dumps(value)
    except TypeError:
        raise ValueError("must not hold numbers of more than 64 bits, or be nested deeply") from None
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_writable)]
"""An object whose members are somebody else's affair, in which our own answers can give it back."""

_AMOUNT = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
_MONEY_WRITTEN = {"type": "string", "pattern": r"^[0-9]{1,7}\.[0-9]{2}$", "examples": ["12.99"]}
_MONEY_TAKEN = {
    "anyOf": [
        {"type": "string", "pattern": r"^[0-9]{1,7}(\.[0-9]{1,2})?$", "examples": ["12.99"]},
        {"type": "number", "minimum": 0, "maximum": float(MAX_MONEY), "multipleOf": 0.01},
    ]
}

Money = Annotated[
    Decimal,
    Field(ge=0, le=MAX_MONEY, decimal_places=2),
    BeforeValidator(digits_only),
    AfterValidator(_two_places),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema(_MONEY_WRITTEN, mode="serialization"),
    WithJsonSchema(_MONEY_TAKEN, mode="validation"),
]
"""An amount of money, written with two decimals; its currency stands beside it."""


def _from_calendar(*, days: bool) -> BeforeValidator:
    """No number, not in a text either: pydantic would take it for the seconds since 1970, and midnight for a date."""

    def parse(value: Any) -> Any:
        if not (isinstance(value, str) and _DATE.match(value.strip())):
            raise ValueError("must be a date or a time such as 2026-01-31T12:00:00Z")
        is_day = days and _DATE.fullmatch(value.strip())
        try:
            return _DAY.validate_python(value) if is_day else _MOMENT.validate_python(value).astimezone(UTC)
        except ValidationError as error:
            raise ValueError(error.errors()[-1]["msg"]) from None
        except OverflowError:  # kept, it would be of a year that cannot be read again
            raise ValueError("must be in the years 1 to 9999 in UTC") from None

    return BeforeValidator(parse)


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAY: TypeAdapter[Any] = TypeAdapter(date)
_MOMENT: TypeAdapter[Any] = TypeAdapter(AwareDatetime)

Moment = Annotated[AwareDatetime, _from_calendar(days=False)]
"""A time with its offset, as it is sent to us; in UTC from here on."""
Day = Annotated[date | AwareDatetime, _from_calendar(days=True)]
"""A date, or a time with its offset, as it is sent to us; a time is in UTC from here on."""


def _flag(value: Any) -> Any:
    return _FLAGS.get(value, value) if isinstance(value, str) else value


_FLAGS = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}
FormFlag = Annotated[
    bool,
    Strict(),
    BeforeValidator(_flag),
    WithJsonSchema({"enum": [True, False, 1, 0, *_FLAGS]}),
]
"""Yes or no, as the fields of a form say it."""


@dataclass(frozen=True, slots=True)
class FormFields:
    """A multipart/form-data body: its text fields, and the field that holds a file, or `several`."""

    texts: type[BaseModel]
    files: str
    several: bool = False


@dataclass(frozen=True, slots=True)
class FileContent:
    """A body or an answer that is no JSON: a file of one of these media types."""

    media_types: tuple[str, ...]


@dataclass(slots=True)
class Operation:
    """What a view declares of itself; read by OpenAPI and by the tests of the architecture."""

    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    body_required: bool = True
    form: FormFields | None = None
    file: FileContent | None = None
    responses: dict[int, tuple[Any, str]] = field(default_factory=dict)
    scopes: tuple[str, ...] | None = None
    any_scope: bool = False
    is_public: bool = False
    is_polled: bool = False
    name: str | None = None
    """Its operationId, where the name of the view says too little outside of its module."""

    @property
    def declares_access(self) -> bool:
        return self.is_public or self.scopes is not None


def operation(view: Callable[..., Any]) -> Operation:
    """The declaration of a view, made empty at first sight."""
    if not hasattr(view, "operation"):
        view.operation = Operation()  # type: ignore[attr-defined]
    return view.operation  # type: ignore[attr-defined]


def known_as(name: str) -> Callable[[View], View]:
    """What clients call the operation, which is by this name among those of all services: `createClient`."""

    def decorate(view: View) -> View:
        operation(view).name = name
        return view

    return decorate


def polled(view: View) -> View:
    """Asked by machines again and again, and so not logged."""
    operation(view).is_polled = True
    return view


def accepts(
    *, body: type[Request] | None = None, query: type[Request] | None = None, body_required: bool = True
) -> Callable[[View], View]:
    """Parse the JSON body and the query string into these types and hand them to the view by name."""

    def decorate(view: View) -> View:
        declared = operation(view)
        declared.body, declared.query, declared.body_required = body, query, body_required

        @functools.wraps(view)
        def parse(*args: Any, **kwargs: Any) -> Any:
            if query:
                kwargs["query"] = parse_query(query)
            if body:
                kwargs["body"] = parse_body(body) if body_required or request.get_data() else validate(body, {})
            return view(*args, **kwargs)

        return parse  # type: ignore[return-value]

    return decorate


def returns(model: Any, status: int = 200, description: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Document an answer. The first one declared also gives the status of a view that returns only a value."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        declared = operation(view)
        declared.responses = {status: (model, description), **declared.responses}

        @functools.wraps(view)
        def answer(*args: Any, **kwargs: Any) -> Any:
            value = view(*args, **kwargs)
            if isinstance(value, dict | list | BaseModel) or value is None:
                return ("" if value is None else value), status
            return value

        return answer

    return decorate


def parse_body(model: type[Model]) -> Model:
    """The request's JSON as `model`, by JSON's own types: no text is a number. Raises BadRequest and the like.

    A document is never worked on in proportion to what a sender chose: it is short (BODY_LIMIT), not nested deeply, and
    unknown members are refused before anything is validated.
    """
    if not request.is_json:
        raise UnsupportedMediaType("Send the body as application/json.")
    try:
        document = orjson.loads(request.get_data())
    except (orjson.JSONDecodeError, WerkzeugUnsupportedMediaType):
        raise BadRequest("The body is not valid JSON.", headers={}) from None
    _require_storable(document)
    _refuse_unknown(model, document)
    return _checked(model.model_validate_json, request.get_data(), strict=True)


def _refuse_unknown(model: type[BaseModel], document: Any) -> None:
    if not isinstance(document, dict) or model.model_config.get("extra") != "forbid":
        return
    known = {field.alias or name for name, field in model.model_fields.items()} | set(model.model_fields)
    unknown = [name for name in document if name not in known]
    if unknown:
        errors = [{"field": name[:100], "message": "Extra inputs are not permitted"} for name in unknown[:MOST_ERRORS]]
        raise Invalid("The request has invalid fields.", errors=errors)


def parse_query(model: type[Model]) -> Model:
    """The query string as `model`: a repeated parameter is a list where the model has one, else refused."""
    fields = model.model_fields
    raw: dict[str, Any] = {}
    for name, values in request.args.lists():
        takes_list = name in fields and "list" in str(fields[name].annotation)
        if len(values) > 1 and not takes_list:
            raise Invalid.field(name, "is given more than once")
        raw[name] = values if takes_list else values[0]
    return validate(model, raw)


def validate(model: type[Model], document: Any) -> Model:
    """`document` as `model`; raises Invalid with a message for every field in error."""
    _require_storable(document)
    return _checked(model.model_validate, document)


def _checked(parse: Callable[..., Model], document: Any, **options: Any) -> Model:
    try:
        return parse(document, **options)
    except ValidationError as error:
        raise Invalid("The request has invalid fields.", errors=_field_errors(error)) from None


def _require_storable(document: Any) -> None:
    # Postgres' text cannot hold U+0000, nor UTF-8 a lone surrogate: found here, it is the caller's mistake.
    for text in _texts(document):
        if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise Invalid.field("", "must not contain NUL or unpaired surrogates")


def _field_errors(error: ValidationError) -> list[dict[str, str]]:
    found = error.errors(include_url=False, include_input=False, include_context=False)[:MOST_ERRORS]
    return [{"field": ".".join(map(str, each["loc"]))[:200], "message": each["msg"]} for each in found]


def _texts(document: Any) -> Iterator[str]:
    """Level by level, for recursion would be exhausted. Raises BadRequest for too many values or levels."""
    level, count = [document], 0
    for _ in range(MOST_DEEP):
        count += len(level)
        if count > MOST_VALUES:
            raise BadRequest(f"A document may have {MOST_VALUES} values.")
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                yield value
            elif isinstance(value, dict):
                yield from value
                below += value.values()
            elif isinstance(value, list):
                below += value
        if not below:
            return
        level = below
    raise BadRequest(f"A document may be nested {MOST_DEEP} deep.")
