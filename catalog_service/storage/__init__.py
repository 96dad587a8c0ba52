"""Where the bytes of files are: a folder, an S3-compatible store, or OCI Object Storage.

A name is made by us, of letters, digits and `/`, `-`, `.`, never by a client. What is put under a name is whole or not
there at all; putting again replaces.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO, Protocol

from catalog_service.storage.place import Place
from common.errors import Unavailable

BLOCK = 64 * 1024


class StorageUnavailable(Unavailable):
    code = "storage_unavailable"


class FileMissing(LookupError):
    """Nothing is stored under this name."""


class Storage(Protocol):
    """All four raise StorageUnavailable when the storage cannot be reached or refuses us."""

    def put(self, name: str, content: BinaryIO, *, content_type: str) -> None:
        """Keep what `content`, which can be sought, holds from its beginning."""

    def open(self, name: str) -> Iterator[bytes]:
        """The content, block by block; opened at once. Raises FileMissing."""

    def delete(self, name: str) -> None:
        """Without effect when it is not there."""

    def exists(self, name: str) -> bool: ...


@lru_cache(maxsize=8)
def open_storage(place: Place) -> Storage:
    """The adapter for a place; only its own SDK is loaded."""
    if place.parts.scheme == "s3":
        from catalog_service.storage.s3 import S3Storage  # noqa: PLC0415 - boto3 is not everywhere

        return S3Storage(place)
    if place.parts.scheme == "oci":
        from catalog_service.storage.oci import OciStorage  # noqa: PLC0415 - nor is oci

        return OciStorage(place)
    from catalog_service.storage.folder import FolderStorage  # noqa: PLC0415 - alike

    return FolderStorage(place)


def stored_bytes(storage: Storage, name: str) -> bytes:
    """All of a small file. Raises FileMissing and StorageUnavailable."""
    return b"".join(storage.open(name))
