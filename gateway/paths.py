"""The request target (RFC 9112 section 3.2), refused where two readers could understand it differently."""

from __future__ import annotations

import re
from urllib.parse import unquote

from common.errors import BadRequest

_PLAIN = re.compile(r"(?:/[A-Za-z0-9_~!$&'()*+,=:@-]+(?:\.[A-Za-z0-9_~!$&'()*+,=:@-]+)*)+/?|/")
_ABSOLUTE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_WRONG_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HIDDEN_SEPARATOR = re.compile(r"%(?:2f|5c|00|3b)|[\\;\x00-\x20\x7f]", re.IGNORECASE)


def split_target(target: str) -> tuple[str, str]:
    """The target as path and `path?query` in origin form, both still percent-encoded."""
    absolute = _ABSOLUTE.match(target)
    if absolute:
        target = target[absolute.end() :]
        target = target if target.startswith("/") else f"/{target}"
    path = target.partition("?")[0]
    if not path.startswith("/") or "#" in target:
        raise BadRequest("The request target is not a path.")
    return path, target


def routable(path: str) -> str:
    """The decoded path to look up in the table.

    The service will decode the path once more for itself, so whatever could then mean something else (an encoded
    slash, a dot segment, an empty segment, a parameter) is refused with BadRequest instead of normalised.
    """
    if _PLAIN.fullmatch(path):
        return path
    if _WRONG_ESCAPE.search(path) or _HIDDEN_SEPARATOR.search(path):
        raise BadRequest("The path has characters that are not allowed in it.")
    decoded = unquote(path, encoding="latin-1")
    segments = decoded.split("/")[1:]
    if any(segment in (".", "..") for segment in segments) or "" in segments[:-1]:
        raise BadRequest("The path has empty or dot segments.")
    return decoded
