"""One suite for every storage: a folder, a server that speaks S3, and one that speaks as OCI's Object Storage does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from catalog_service.config import CatalogConfig
from catalog_service.storage import FileMissing, Storage, StorageUnavailable, open_storage, stored_bytes
from catalog_service.storage.place import AwsSettings, OciSettings, Place
from common.config import ConfigError
from tests.support import object_storage
from tests.support.database import environment

LARGE = os.urandom(1024) * 1500
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def s3() -> Iterator[Place]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    aws = AwsSettings(endpoint_url=f"http://{host}:{port}", access_key_id="tests", secret_access_key="only-in-tests")
    place = Place(url="s3://files/shop", aws=aws)
    client = boto3.client(
        "s3",
        endpoint_url=aws.endpoint_url,
        region_name=aws.region,
        aws_access_key_id=aws.access_key_id,
        aws_secret_access_key=aws.secret_access_key,
    )
    client.create_bucket(Bucket="files")
    yield place
    server.stop()


@pytest.fixture(scope="module")
def oci() -> Iterator[Place]:
    with object_storage.object_storage() as server:
        yield oci_place(server.url, server.pem)


def oci_place(url: str, key: str, bucket: str = "files@tests") -> Place:
    ours = OciSettings(
        endpoint_url=url,
        region=object_storage.REGION,
        tenancy=object_storage.TENANCY,
        user=object_storage.USER,
        fingerprint=object_storage.FINGERPRINT,
        key=key,
    )
    return Place(url=f"oci://{bucket}/shop", oci=ours)


@pytest.fixture(params=["folder", "s3", "oci"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return open_storage(Place(url=f"file://{tmp_path}/made/when needed"))
    return open_storage(request.getfixturevalue(request.param))


def put(storage: Storage, name: str, content: bytes) -> None:
    opened = BytesIO(content)
    opened.read(1)  # wherever it was read to, all of it is put
    storage.put(name, opened, content_type="text/plain")


@pytest.mark.parametrize("content", [b"", b"x", LARGE], ids=["empty", "small", "large"])
def test_what_is_put_is_read_again(storage: Storage, content: bytes) -> None:
    put(storage, "uploads/1/content", content)
    assert storage.exists("uploads/1/content")
    blocks = list(storage.open("uploads/1/content"))
    assert b"".join(blocks) == content
    assert all(len(block) <= 64 * 1024 for block in blocks)


def test_putting_again_replaces(storage: Storage) -> None:
    put(storage, "covers/a-1/cover.webp", LARGE)
    put(storage, "covers/a-1/cover.webp", b"new")
    assert stored_bytes(storage, "covers/a-1/cover.webp") == b"new"


def test_what_is_deleted_is_gone_and_may_be_deleted_again(storage: Storage) -> None:
    put(storage, "images/1/full", b"x")
    put(storage, "images/1/160.webp", b"y")
    storage.delete("images/1/full")
    storage.delete("images/1/full")
    assert not storage.exists("images/1/full")
    with pytest.raises(FileMissing):
        storage.open("images/1/full")
    assert stored_bytes(storage, "images/1/160.webp") == b"y"


def test_an_answer_that_nobody_reads_to_its_end_does_no_harm(storage: Storage) -> None:
    put(storage, "a/b", LARGE)
    for _ in range(15):
        blocks = storage.open("a/b")
        next(blocks)
        blocks.close()  # type: ignore[attr-defined]
    assert stored_bytes(storage, "a/b") == LARGE


@pytest.mark.parametrize("kind", ["folder", "s3", "oci"])
def test_a_storage_that_is_away_says_so(tmp_path: Path, kind: str, oci: Place) -> None:
    (tmp_path / "file").touch()
    aws = AwsSettings(endpoint_url=NOBODY, access_key_id="x", secret_access_key="x")
    places = {
        "folder": Place(url=f"file://{tmp_path}/file/within"),
        "s3": Place(url="s3://files", aws=aws),
        "oci": oci_place(NOBODY, oci.oci.key),
    }
    storage = open_storage(places[kind])
    with pytest.raises(StorageUnavailable):
        put(storage, "a/b", b"x")
    with pytest.raises(StorageUnavailable):
        storage.open("a/b")


def test_a_namespace_that_is_not_named_is_asked_for(oci: Place) -> None:
    storage = open_storage(oci_place(oci.oci.endpoint_url, oci.oci.key, bucket="files"))
    put(storage, "a/b", b"x")
    assert stored_bytes(storage, "a/b") == b"x"


def test_a_bucket_or_key_that_is_wrong_is_no_missing_file(oci: Place, s3: Place) -> None:
    for place in (
        oci_place(oci.oci.endpoint_url, oci.oci.key, bucket="other@tests"),
        Place(url="s3://other", aws=s3.aws),
    ):
        with pytest.raises(StorageUnavailable):
            open_storage(place).open("a/b")


def test_the_folder_holds_nothing_half_written_and_nothing_outside(tmp_path: Path) -> None:
    class Broken(BytesIO):
        def read(self, *_: Any) -> bytes:
            raise OSError("gone")

    storage = open_storage(Place(url=f"file://{tmp_path}/files"))
    with pytest.raises(StorageUnavailable):
        storage.put("a/b", Broken(), content_type="text/plain")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    for name in ("../x", "a/../../x", "/etc/passwd"):
        with pytest.raises(ValueError, match=r"x|passwd"):
            storage.exists(name)


def settings(**extra: str) -> CatalogConfig:
    return CatalogConfig.from_env(environment("postgresql://nobody@127.0.0.1:1/bookstore_x", "catalog", **extra))


def test_the_environment_chooses(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("-----PEM-----\n")
    place = settings(
        STORAGE_URL="oci://shop@ns/files",
        OCI_CLI_USER="u",
        OCI_CLI_KEY_FILE=str(tmp_path / "key"),
        AWS_SECRET_ACCESS_KEY="hidden",
    ).storage
    assert (place.bucket, place.namespace, place.key("a/b")) == ("shop", "ns", "files/a/b")
    assert (place.oci.user, place.oci.key) == ("u", "-----PEM-----")
    assert "hidden" not in repr(place)
    assert "PEM" not in repr(place)


@pytest.mark.parametrize("url", ["ftp://x/y", "files", "file://", "file://host/x", "s3://", "s3:///x", "oci://@ns/x"])
def test_an_address_that_makes_no_sense_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ConfigError, match="STORAGE_URL"):
        settings(STORAGE_URL=url)
