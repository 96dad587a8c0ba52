"""What a file is, by what is in it: never by its name, nor by what its sender calls it."""

from __future__ import annotations

import codecs
import re
import struct
import warnings
from typing import Any, BinaryIO

from PIL import Image

from common.errors import Invalid, TooLarge, UnsupportedMediaType

HEAD_BYTES = 1024
BLOCK = 64 * 1024
LONGEST_SIDE = 16_000
PICTURES = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
"""By the names of Pillow, to which a JPEG with a second picture in it is an MPO."""
PDF = "application/pdf"
TEXT = "text/plain"
ALLOWED = (*dict.fromkeys(PICTURES.values()), PDF, TEXT)
BROKEN = (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError, struct.error)
"""What Pillow raises for files that are not as they should be."""

# What a browser would take for markup (WHATWG MIME Sniffing, section 7.1), and drawings that may hold scripts.
_MARKUP = re.compile(
    rb"<(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|svg)[ \t\r\n\f>/]"
    rb"|<!--|<\?xml|<!doctype",
    re.IGNORECASE,
)
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


def content_type(content: BinaryIO, *, pixels: int) -> str:
    """Of a JPEG, PNG, WebP, PDF or plain text. Raises UnsupportedMediaType, Invalid or TooLarge."""
    head = _head(content)
    if is_picture(head):
        return PICTURES[str(open_picture(content, pixels=pixels).format)]
    if head.startswith(b"%PDF-"):
        return PDF
    if _is_text(content, head):
        return TEXT
    raise UnsupportedMediaType("Only JPEG, PNG, WebP, PDF and plain text in UTF-8 are taken.")


def open_picture(content: BinaryIO, *, pixels: int) -> Any:
    """A Pillow image of which only the header was read; its size is within bounds. Raises as `content_type` does."""
    if not is_picture(_head(content)):
        raise UnsupportedMediaType("Only JPEG, PNG and WebP pictures are taken.")
    content.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # what is too large is for us to say
            picture = Image.open(content, formats=("JPEG", "PNG", "WEBP"))
    except Image.DecompressionBombError:
        raise _too_large(pixels) from None
    except BROKEN as error:
        raise damaged() from error
    if max(picture.size) > LONGEST_SIDE or picture.width * picture.height > pixels:
        raise _too_large(pixels)
    return picture


def is_picture(head: bytes) -> bool:
    return head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) or (
        head.startswith(b"RIFF") and head[8:12] == b"WEBP"
    )


def damaged() -> Invalid:
    return Invalid("The picture is damaged or incomplete.")


def _too_large(pixels: int) -> TooLarge:
    return TooLarge(f"A picture may have {pixels} pixels, and {LONGEST_SIDE} on a side.")


def _head(content: BinaryIO) -> bytes:
    content.seek(0)
    return content.read(HEAD_BYTES)


def _is_text(content: BinaryIO, head: bytes) -> bool:
    """UTF-8 throughout, without control characters, and nothing that a browser would run."""
    if _MARKUP.match(head.removeprefix(codecs.BOM_UTF8).lstrip()):
        return False
    decoder = codecs.getincrementaldecoder("utf-8")()
    content.seek(0)
    try:
        while block := content.read(BLOCK):
            if _CONTROLS.search(decoder.decode(block)):
                return False
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
