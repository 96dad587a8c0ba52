"""Where files are kept, as the environment says it."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

SCHEMES = ("file", "s3", "oci")


@dataclass(frozen=True, kw_only=True)
class AwsSettings:
    """Of an S3-compatible store. Without a key, boto3 looks for one where it usually does (an instance's role, say)."""

    endpoint_url: str = ""
    region: str = "us-east-1"
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class OciSettings:
    """Of OCI Object Storage. Without a user, the instance speaks for itself (instance principals)."""

    endpoint_url: str = ""
    region: str = ""
    tenancy: str = ""
    user: str = ""
    fingerprint: str = ""
    key: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class Place:
    """`file:///folder`, `s3://bucket/prefix` or `oci://bucket@namespace/prefix`; a prefix may be left out."""

    url: str
    aws: AwsSettings = AwsSettings()
    oci: OciSettings = OciSettings()

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def bucket(self) -> str:
        return self.parts.netloc.partition("@")[0]

    @property
    def namespace(self) -> str:
        """Of an OCI tenancy; empty is to ask for it."""
        return self.parts.netloc.partition("@")[2]

    @property
    def path(self) -> str:
        return unquote(self.parts.path)

    def key(self, name: str) -> str:
        """The object's key of a file's name."""
        prefix = self.path.strip("/")
        return f"{prefix}/{name}" if prefix else name

    def require_sense(self) -> None:
        """Raises ValueError."""
        if self.parts.scheme not in SCHEMES:
            raise ValueError(f"Begins with none of {', '.join(f'{each}://' for each in SCHEMES)}.")
        if self.parts.scheme == "file" and (self.parts.netloc or len(self.path) < 2):
            raise ValueError("Not a folder like file:///var/lib/bookstore/files.")
        if self.parts.scheme != "file" and not self.bucket:
            raise ValueError("Names no bucket.")
