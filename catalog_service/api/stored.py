"""Answers whose body is a stored file."""

from __future__ import annotations

from typing import cast

from flask import Response, current_app, request
from werkzeug.local import LocalProxy

from catalog_service.storage import FileMissing, Storage, StorageUnavailable
from common.conditional import etag, not_modified
from common.telemetry import get_logger

FOREVER = "public, max-age=31536000, immutable"
# Should a browser take it for a page all the same, it can do nothing there.
HARMLESS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}
log = get_logger(__name__)

storage: Storage = cast(Storage, LocalProxy(lambda: current_app.extensions["storage"]))


def stored_response(name: str, content_type: str, tag: str, *, caching: str, **headers: str) -> Response:
    """The file, block by block, or 304. Raises StorageUnavailable, also for a file that should be there and is not."""
    headers = HARMLESS | {"ETag": etag(tag), "Cache-Control": caching} | headers
    if not_modified(tag):
        return Response(status=304, headers=headers)
    if request.method == "HEAD":
        return Response(headers=headers, content_type=content_type)
    try:
        return Response(storage.open(name), headers=headers, content_type=content_type)
    except FileMissing:
        log.error("stored_file_missing", name=name)
        raise StorageUnavailable("The file cannot be read at the moment.") from None
