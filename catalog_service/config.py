"""Every environment variable that the catalog service reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

from environs import Env, ValidationError, validate

from catalog_service.storage.place import AwsSettings, OciSettings, Place
from common.config import ServiceConfig, secret

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class CatalogConfig(ServiceConfig):
    service: ClassVar[str] = "catalog"
    schema: ClassVar[str] = "catalog"
    extensions: ClassVar[tuple[str, ...]] = ("pg_trgm",)

    currency: str
    storage: Place = field(repr=False)
    upload_limit: int
    uploads_per_user: int
    upload_bytes_per_user: int
    image_pixels: int
    antivirus_url: str
    import_limit: int
    import_rejected_limit: int
    import_retention_days: int
    order_url: str
    review_url: str
    reservation_check_after: int
    similar_training: bool
    similar_sample: int
    summary_provider: str
    summary_api_key: str = field(repr=False)
    summary_base_url: str | None
    summary_model: str
    summary_timeout: float
    summary_calls_per_minute: int

    @classmethod
    def read(cls, env: Env) -> dict[str, Any]:
        """`CURRENCY` is the one currency (ISO 4217) that the shop's prices are in; limits are in bytes. After
        `RESERVATION_CHECK_AFTER` seconds of holding stock the order service is asked how an order stands."""
        own = {
            "currency": env.str("CURRENCY", "USD", validate=validate.Regexp(r"^[A-Z]{3}$")),
            "order_url": str(env.str("ORDER_URL", "http://127.0.0.1:8103")).rstrip("/"),
            "review_url": str(env.str("REVIEW_URL", "http://127.0.0.1:8104")).rstrip("/"),
            "reservation_check_after": env.int("RESERVATION_CHECK_AFTER", 7200, validate=validate.Range(min=60)),
        }
        return super().read(env) | own | _files(env) | _similar(env) | _summaries(env)


def _files(env: Env) -> dict[str, Any]:
    return {
        "storage": _storage(env),
        "upload_limit": env.int("UPLOAD_LIMIT", 10 * MEBIBYTE, validate=validate.Range(min=1024)),
        "uploads_per_user": env.int("UPLOADS_PER_USER", 200, validate=validate.Range(min=1)),
        "upload_bytes_per_user": env.int("UPLOAD_BYTES_PER_USER", 500 * MEBIBYTE, validate=validate.Range(min=1024)),
        "image_pixels": env.int("IMAGE_PIXELS", 25_000_000, validate=validate.Range(min=10_000)),
        "antivirus_url": env.str("ANTIVIRUS_URL", "", validate=_check_antivirus),
        "import_limit": env.int("IMPORT_LIMIT", 256 * MEBIBYTE, validate=validate.Range(min=1024)),
        "import_rejected_limit": env.int("IMPORT_REJECTED_LIMIT", 10_000, validate=validate.Range(min=1)),
        "import_retention_days": env.int("IMPORT_RETENTION_DAYS", 30, validate=validate.Range(min=1, max=3650)),
    }


def _similar(env: Env) -> dict[str, Any]:
    """`SIMILAR_SAMPLE` is in books: the most from which words and their weights are learnt."""
    return {
        "similar_training": env.bool("SIMILAR_TRAINING", True),
        "similar_sample": env.int("SIMILAR_SAMPLE", 200_000, validate=validate.Range(min=100, max=1_000_000)),
    }


def _summaries(env: Env) -> dict[str, Any]:
    """`SUMMARY_TIMEOUT` is in seconds; without a key, summaries are extracts of the description."""
    providers = validate.OneOf(["extractive", "openai", "cohere"])
    return {
        "summary_provider": env.str("SUMMARY_PROVIDER", "extractive", validate=providers),
        "summary_api_key": secret(env, "SUMMARY_API_KEY", ""),
        "summary_base_url": env.str("SUMMARY_BASE_URL", "") or None,
        "summary_model": env.str("SUMMARY_MODEL", ""),
        "summary_timeout": env.float("SUMMARY_TIMEOUT", 10.0, validate=validate.Range(min=0.1, max=25)),
        "summary_calls_per_minute": env.int("SUMMARY_CALLS_PER_MINUTE", 20, validate=validate.Range(min=0)),
    }


def _storage(env: Env) -> Place:
    """Where files are: `STORAGE_URL`, with the variables that the AWS and OCI tools read as well."""
    return Place(
        url=env.str("STORAGE_URL", "file:///var/lib/bookstore/files", validate=_check_storage),
        aws=AwsSettings(
            endpoint_url=env.str("AWS_ENDPOINT_URL", ""),
            region=env.str("AWS_REGION", "us-east-1"),
            access_key_id=env.str("AWS_ACCESS_KEY_ID", ""),
            secret_access_key=secret(env, "AWS_SECRET_ACCESS_KEY", ""),
        ),
        oci=OciSettings(
            endpoint_url=env.str("OCI_ENDPOINT_URL", ""),
            region=env.str("OCI_CLI_REGION", ""),
            tenancy=env.str("OCI_CLI_TENANCY", ""),
            user=env.str("OCI_CLI_USER", ""),
            fingerprint=env.str("OCI_CLI_FINGERPRINT", ""),
            key=secret(env, "OCI_CLI_KEY", ""),
            passphrase=secret(env, "OCI_CLI_PASSPHRASE", ""),
        ),
    )


def _check_storage(url: str) -> None:
    try:
        Place(url=url).require_sense()
    except ValueError as error:
        raise ValidationError(str(error)) from None


def _check_antivirus(url: str) -> None:
    parts = urlsplit(url)
    is_tcp = parts.scheme == "tcp" and parts.hostname and parts.port
    if url and not is_tcp and not (parts.scheme == "unix" and parts.path):
        raise ValidationError("Not an address like tcp://host:3310 or unix:///path.")
