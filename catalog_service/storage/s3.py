"""Files in a bucket of a store that speaks S3: Amazon's, MinIO, Ceph, R2 and their like."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from catalog_service.storage import BLOCK, FileMissing, StorageUnavailable
from catalog_service.storage.place import Place
from common.telemetry import get_logger

ABSENT = ("404", "NoSuchKey", "NotFound")
log = get_logger(__name__)


class S3Storage:
    def __init__(self, place: Place) -> None:
        aws = place.aws
        self._place = place
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=aws.endpoint_url or None,
            region_name=aws.region,
            aws_access_key_id=aws.access_key_id or None,
            aws_secret_access_key=aws.secret_access_key or None,
            config=Config(
                connect_timeout=2,
                read_timeout=15,
                retries={"max_attempts": 3, "mode": "standard"},
                s3={"addressing_style": "path" if aws.endpoint_url else "auto"},
                # Not every store that speaks S3 knows Amazon's newer checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def put(self, name: str, content: BinaryIO, *, content_type: str) -> None:
        content.seek(0)
        with _available():
            self._client.put_object(**self._object(name), Body=content, ContentType=content_type)

    def open(self, name: str) -> Iterator[bytes]:
        with _available():
            try:
                answer = self._client.get_object(**self._object(name))
            except ClientError as error:
                if error.response["Error"]["Code"] in ABSENT:
                    raise FileMissing(name) from None
                raise
        return _blocks(answer["Body"])

    def delete(self, name: str) -> None:
        with _available():
            self._client.delete_object(**self._object(name))

    def exists(self, name: str) -> bool:
        with _available():
            try:
                self._client.head_object(**self._object(name))
            except ClientError as error:
                if error.response["Error"]["Code"] in ABSENT:
                    return False
                raise
        return True

    def _object(self, name: str) -> dict[str, str]:
        return {"Bucket": self._place.bucket, "Key": self._place.key(name)}


def _blocks(body: Any) -> Iterator[bytes]:
    with _available(), body:
        yield from body.iter_chunks(BLOCK)


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        log.error("storage_failed", error=repr(error))
        raise StorageUnavailable("Files cannot be stored or read at the moment.", retry_after=5) from error
