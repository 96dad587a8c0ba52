"""Conditional requests (RFC 9110 section 13) over a row's version."""

from __future__ import annotations

from flask import request
from werkzeug.datastructures import ETags

from common.errors import PreconditionFailed


def etag(version: int | str) -> str:
    """The strong entity tag of a version, as the ETag header writes it."""
    return f'"{version}"'


def require_match(revision: int | str) -> None:
    """Raises PreconditionFailed when the request's If-Match names another revision than the current one.

    Of a tag only what is before its first dot counts: behind it stands what changes the answer, but nothing that is
    written here.
    """
    wanted: ETags = request.if_match
    if wanted and not wanted.star_tag and str(revision) not in {tag.split(".")[0] for tag in wanted.as_set()}:
        raise PreconditionFailed("It was changed by somebody else in the meantime; read it again.")


def not_modified(version: int | str) -> bool:
    """Whether If-None-Match says that the client has this version already."""
    return bool(request.if_none_match) and request.if_none_match.contains_weak(str(version))
