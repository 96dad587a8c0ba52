"""Files in a folder of this machine, or of one that several machines mount."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from catalog_service.storage import BLOCK, FileMissing, StorageUnavailable
from catalog_service.storage.place import Place
from common.telemetry import get_logger

log = get_logger(__name__)


class FolderStorage:
    def __init__(self, place: Place) -> None:
        self._root = Path(place.path)

    def put(self, name: str, content: BinaryIO, *, content_type: str) -> None:
        """Written beside and moved into place, so that nobody ever reads half of it; the type is not kept."""
        path = self._path(name)
        with _available():
            path.parent.mkdir(parents=True, exist_ok=True)
            content.seek(0)
            written = tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False)  # noqa: SIM115
            try:
                with written:
                    shutil.copyfileobj(content, written, BLOCK)
                    written.flush()
                    os.fsync(written.fileno())
                os.replace(written.name, path)
            except BaseException:
                Path(written.name).unlink(missing_ok=True)
                raise

    def open(self, name: str) -> Iterator[bytes]:
        with _available():
            try:
                opened = self._path(name).open("rb")
            except FileNotFoundError:
                raise FileMissing(name) from None
        return _blocks(opened)

    def delete(self, name: str) -> None:
        path = self._path(name)
        with _available():
            path.unlink(missing_ok=True)
            with suppress(OSError):  # others are in it
                path.parent.rmdir()

    def exists(self, name: str) -> bool:
        with _available():
            return self._path(name).is_file()

    def _path(self, name: str) -> Path:
        path = self._root / name
        if not path.is_relative_to(self._root) or ".." in path.parts:
            raise ValueError(name)
        return path


def _blocks(opened: BinaryIO) -> Iterator[bytes]:
    with opened:
        while block := opened.read(BLOCK):
            yield block


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        log.error("storage_failed", error=repr(error))
        raise StorageUnavailable("Files cannot be stored or read at the moment.", retry_after=5) from error
