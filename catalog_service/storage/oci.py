"""Files in a bucket of Oracle Cloud Infrastructure's Object Storage, by its own SDK."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from io import SEEK_END
from typing import Any, BinaryIO

from oci.auth.signers import InstancePrincipalsSecurityTokenSigner
from oci.exceptions import ClientError, ServiceError
from oci.object_storage import ObjectStorageClient
from oci.retry import RetryStrategyBuilder

from catalog_service.storage import BLOCK, FileMissing, StorageUnavailable
from catalog_service.storage.place import OciSettings, Place
from common.telemetry import get_logger

TIMEOUT_SECONDS = (2, 15)
ATTEMPTS = 3
log = get_logger(__name__)


class OciStorage:
    def __init__(self, place: Place) -> None:
        self._place = place

    @cached_property
    def _client(self) -> Any:
        """Made when it is first used: an instance's own signer asks the network for its certificate."""
        oci = self._place.oci
        signing = {"config": _key(oci)} if oci.user else {"config": {}, "signer": _instance_signer()}
        endpoint = {"service_endpoint": oci.endpoint_url} if oci.endpoint_url else {}
        retry = RetryStrategyBuilder(max_attempts=ATTEMPTS, retry_max_wait_between_calls_seconds=1)
        return ObjectStorageClient(
            **signing, **endpoint, timeout=TIMEOUT_SECONDS, retry_strategy=retry.get_retry_strategy()
        )

    @cached_property
    def _namespace(self) -> str:
        return self._place.namespace or str(self._client.get_namespace().data)

    def put(self, name: str, content: BinaryIO, *, content_type: str) -> None:
        size = content.seek(0, SEEK_END)
        content.seek(0)
        with _available():
            # A file without content would be sent in chunks that the SDK does not end.
            body = content if size else b""
            self._client.put_object(*self._object(name), body, content_length=size, content_type=content_type)

    def open(self, name: str) -> Iterator[bytes]:
        with _available():
            try:
                answer = self._client.get_object(*self._object(name))
            except ServiceError as error:
                if error.status == 404 and error.code == "ObjectNotFound":
                    raise FileMissing(name) from None
                raise
        return _blocks(answer.data)

    def delete(self, name: str) -> None:
        with _available():
            try:
                self._client.delete_object(*self._object(name))
            except ServiceError as error:
                if error.status != 404 or error.code != "ObjectNotFound":
                    raise

    def exists(self, name: str) -> bool:
        with _available():
            try:
                self._client.head_object(*self._object(name))
            except ServiceError as error:
                if error.status == 404:  # an answer to HEAD has no body that could tell more
                    return False
                raise
        return True

    def _object(self, name: str) -> tuple[str, str, str]:
        return self._namespace, self._place.bucket, self._place.key(name)


def _key(oci: OciSettings) -> dict[str, Any]:
    return {
        "region": oci.region,
        "tenancy": oci.tenancy,
        "user": oci.user,
        "fingerprint": oci.fingerprint,
        "key_content": oci.key,
        "pass_phrase": oci.passphrase or None,
    }


def _instance_signer() -> Any:
    return InstancePrincipalsSecurityTokenSigner()


def _blocks(response: Any) -> Iterator[bytes]:
    """The SDK's answers are those of `requests`; closing gives the connection back."""
    with _available(), response:
        yield from response.iter_content(BLOCK)


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except (ServiceError, ClientError, OSError) as error:  # the last are those of the connection
        log.error("storage_failed", error=repr(error)[:300])
        raise StorageUnavailable("Files cannot be stored or read at the moment.", retry_after=5) from error
