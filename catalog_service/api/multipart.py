"""Forms with files (RFC 7578), taken in piece by piece: a file too large is refused before the rest of it came."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Generic, TypeVar, cast

from flask import request
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from common.api import FileContent, FormFields, Request, operation, validate
from common.errors import BadRequest, Invalid, TooLarge, UnsupportedMediaType

BLOCK = 64 * 1024
IN_MEMORY = 512 * 1024
TEXT_LIMIT = 4096
MOST_TEXTS = 40
FRAMING = 256 * 1024
"""What boundaries, part headers and texts may have around the files."""

View = TypeVar("View", bound=Callable[..., Any])
Texts = TypeVar("Texts", bound=Request)


@dataclass(slots=True)
class Received:
    """A file as it came, in memory or in a temporary file that ends with the request."""

    filename: str
    content: BinaryIO
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    @property
    def sha256(self) -> str:
        return str(self.digest.hexdigest())

    @property
    def is_empty_choice(self) -> bool:
        """What a browser sends for a file input in which nothing was chosen."""
        return not self.filename and not self.size


@dataclass(frozen=True, slots=True)
class Form(Generic[Texts]):
    files: list[Received]
    texts: Texts


def accepts_form(fields: FormFields, *, or_file: FileContent | None = None) -> Callable[[View], View]:
    """Document the form that a view receives, and the file that it takes as well for the whole body."""

    def decorate(view: View) -> View:
        operation(view).form, operation(view).file = fields, or_file
        return view

    return decorate


@contextmanager
def received(texts: type[Texts], files: str, *, limit: int, most: int = 1) -> Iterator[Form[Texts]]:
    """The request's form, with at most so many files of at most `limit` bytes each.

    Raises UnsupportedMediaType, BadRequest, TooLarge, or Invalid for fields that are not known.
    """
    request.max_content_length = limit * most + FRAMING
    with ExitStack() as opened:
        reader = _Reader(files, limit, most, opened)
        reader.read()
        yield Form([file for file in reader.files if not file.is_empty_choice], validate(texts, reader.given(texts)))


class _Reader:
    def __init__(self, field: str, limit: int, most: int, opened: ExitStack) -> None:
        self.files: list[Received] = []
        self._field, self._limit, self._most, self._opened = field, limit, most, opened
        self._texts: list[tuple[str, bytearray]] = []
        self._write: Callable[[bytes], None] = lambda _: None

    def read(self) -> None:
        decoder = MultipartDecoder(_boundary(), FRAMING)
        while not decoder.complete:
            block = request.stream.read(BLOCK)
            try:
                decoder.receive_data(block or None)
                self._take_all(decoder)
            except ValueError:
                raise BadRequest("The form is not properly made of parts.") from None

    def given(self, texts: type[Request]) -> dict[str, Any]:
        """Field by field; one that was sent more than once is a list, if the form has one there."""
        values: dict[str, Any] = {}
        for name, content in self._texts:
            value = _decoded(name, content)
            if name in texts.model_fields and "list" in str(texts.model_fields[name].annotation):
                values.setdefault(name, []).append(value)
            elif name in values:
                raise Invalid.field(name, "is given more than once")
            else:
                values[name] = value
        return values

    def _take_all(self, decoder: MultipartDecoder) -> None:
        while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
            if isinstance(event, File):
                self._begin_file(event)
            elif isinstance(event, Field):
                self._begin_text(event)
            elif isinstance(event, Data):
                self._write(event.data)

    def _begin_file(self, part: File) -> None:
        if part.name != self._field:
            raise Invalid.field(part.name[:100], "no file is expected here")
        if len(self.files) == self._most:
            raise Invalid.field(part.name, f"takes {self._most} at most")
        content = self._opened.enter_context(tempfile.SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115
        file = Received(part.filename, cast(BinaryIO, content))
        self.files.append(file)
        self._write = lambda data: self._add_to_file(file, data)

    def _add_to_file(self, file: Received, data: bytes) -> None:
        file.size += len(data)
        if file.size > self._limit:
            raise TooLarge(f"A file may have {self._limit} bytes.")
        file.content.write(data)
        file.digest.update(data)

    def _begin_text(self, part: Field) -> None:
        if part.name == self._field:
            raise Invalid.field(part.name, "must be a file, with a filename")
        if len(self._texts) == MOST_TEXTS:
            raise Invalid.field(part.name[:100], "too many fields")
        content = bytearray()
        self._texts.append((part.name, content))
        self._write = lambda data: self._add_to_text(part.name, content, data)

    def _add_to_text(self, name: str, content: bytearray, data: bytes) -> None:
        content += data
        if len(content) > TEXT_LIMIT:
            raise Invalid.field(name[:100], "is too long")


def _boundary() -> bytes:
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("Send a form as multipart/form-data.")
    boundary = request.mimetype_params.get("boundary", "").encode("utf-8", "replace")
    if not 0 < len(boundary) <= 200:
        raise BadRequest("The form's Content-Type names no boundary.")
    return boundary


def _decoded(name: str, content: bytearray) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid.field(name[:100], "must be text in UTF-8") from None
