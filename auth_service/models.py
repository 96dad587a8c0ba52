"""The tables of the auth service. Whatever would let somebody in is kept as a hash, or encrypted."""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Any
from uuid import UUID

from authlib.oauth2.rfc6749 import ClientMixin
from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    FetchedValue,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    false,
    text,
)
from sqlalchemy import Identity as GeneratedIdentity
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from auth_service.domain.secrecy import digest
from common.db import model_registry, utcnow
from common.ids import new_id

ROLES = ("customer", "admin")
_SHOWING_A_SECRET = frozenset({"client_secret_basic", "client_secret_post"})


class Base(DeclarativeBase):
    registry = model_registry()


class User(Base):
    """An account. The keys are what names are compared by: normalised and case-folded."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("role IN ('customer', 'admin')", name="role"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    username: Mapped[str] = mapped_column(Text)
    username_key: Mapped[str] = mapped_column(Text, unique=True)
    username_skeleton: Mapped[str] = mapped_column(Text, index=True, server_default="")
    email: Mapped[str] = mapped_column(Text)
    email_key: Mapped[str] = mapped_column(Text, unique=True)
    password_hash: Mapped[str | None] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text, default="customer")
    is_active: Mapped[bool] = mapped_column(default=True)
    email_verified: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)


class SignInSession(Base):
    """One sign-in on one device: in a browser, then known by its cookie, or of a program through the JSON API.

    `ended_at` ends all that came from it. `expires_at` only says how long the cookie is good for. `amr` names the
    ways in which the person proved themselves (RFC 8176).
    """

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    cookie_hash: Mapped[bytes | None] = mapped_column(LargeBinary, unique=True)
    user_agent: Mapped[str] = mapped_column(Text, default="")
    address: Mapped[str] = mapped_column(Text, default="")
    amr: Mapped[list[str]] = mapped_column(ARRAY(Text), default=lambda: ["pwd"])
    authenticated_at: Mapped[datetime] = mapped_column(default=utcnow)
    last_seen_at: Mapped[datetime] = mapped_column(default=utcnow)
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    @property
    def is_live(self) -> bool:
        return self.ended_at is None


class Client(ClientMixin, Base):
    """An OAuth client; the members are named as in RFC 7591 section 2."""

    __tablename__ = "clients"

    client_id: Mapped[str] = mapped_column(Text, primary_key=True)
    secret_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    client_name: Mapped[str] = mapped_column(Text)
    redirect_uris: Mapped[list[str]] = mapped_column(ARRAY(Text))
    post_logout_redirect_uris: Mapped[list[str]] = mapped_column(ARRAY(Text))
    grant_types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    scope: Mapped[str] = mapped_column(Text)
    token_endpoint_auth_method: Mapped[str] = mapped_column(Text)
    trusted: Mapped[bool] = mapped_column(default=False)
    is_provisioned: Mapped[bool] = mapped_column(default=False, server_default=false())
    jwks: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    dpop_bound_access_tokens: Mapped[bool] = mapped_column(default=False)
    require_pushed_authorization_requests: Mapped[bool] = mapped_column(default=False)
    id_token_signed_response_alg: Mapped[str | None] = mapped_column(Text)
    backchannel_logout_uri: Mapped[str | None] = mapped_column(Text)
    backchannel_logout_session_required: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)

    @property
    def is_public(self) -> bool:
        return self.token_endpoint_auth_method == "none"  # noqa: S105 - the name of a method

    @property
    def has_secret(self) -> bool:
        return self.token_endpoint_auth_method in _SHOWING_A_SECRET

    @property
    def scopes(self) -> list[str]:
        return self.scope.split()

    def check_client_secret(self, client_secret: str) -> bool:
        return self.secret_hash is not None and hmac.compare_digest(bytes(self.secret_hash), digest(client_secret))

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """The registered way at the token endpoint. Elsewhere nothing was registered: any way to show the secret."""
        if endpoint == "token" or not {method, self.token_endpoint_auth_method} <= _SHOWING_A_SECRET:
            return method == self.token_endpoint_auth_method
        return True

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grant_types


class SigningKey(Base):
    """A key pair that tokens are signed with. Every key here is published until it is deleted."""

    __tablename__ = "signing_keys"
    __table_args__ = (
        CheckConstraint("state IN ('next', 'active', 'retired')", name="state"),
        Index("uq_signing_keys_active", "algorithm", unique=True, postgresql_where=text("state = 'active'")),
    )

    kid: Mapped[str] = mapped_column(Text, primary_key=True)
    algorithm: Mapped[str] = mapped_column(Text)
    public_jwk: Mapped[dict[str, Any]] = mapped_column(JSONB)
    private_key: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    state_since: Mapped[datetime] = mapped_column(default=utcnow)


class Consent(Base):
    """What a person has allowed a client."""

    __tablename__ = "consents"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id", ondelete="CASCADE"), primary_key=True)
    scope: Mapped[str] = mapped_column(Text)
    granted_at: Mapped[datetime] = mapped_column(default=utcnow)


class TokenFamily(Base):
    """All tokens that came from one sign-in of one client, and their common end.

    `client_id` refers to no row: the JSON sign-in is a client of its own that needs no registration. `resources`
    are what the client may get tokens for (RFC 8707; none means the store's API), `dpop_jkt` is the key that the
    refresh tokens are bound to (RFC 9449 section 5), `claims` what was asked for beside the scope.
    """

    __tablename__ = "token_families"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    client_id: Mapped[str] = mapped_column(Text, index=True)
    scope: Mapped[str] = mapped_column(Text)
    resources: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    dpop_jkt: Mapped[str | None] = mapped_column(Text)
    claims: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    amr: Mapped[list[str]] = mapped_column(ARRAY(Text), default=lambda: ["pwd"])
    authenticated_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_because: Mapped[str | None] = mapped_column(Text)

    @property
    def is_live(self) -> bool:
        return self.revoked_at is None and self.expires_at > utcnow()


class RefreshToken(Base):
    """`retries` is how often its answer was lost: it says which of its possible successors is the valid one."""

    __tablename__ = "refresh_tokens"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    family_id: Mapped[UUID] = mapped_column(ForeignKey("token_families.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    retries: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    used_at: Mapped[datetime | None]


class AuthorizationCode(Base):
    """`redirect_uri` is as the client sent it, or empty when it left it out."""

    __tablename__ = "authorization_codes"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    code_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id", ondelete="CASCADE"), index=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), index=True)
    redirect_uri: Mapped[str] = mapped_column(Text)
    scope: Mapped[str] = mapped_column(Text)
    nonce: Mapped[str | None] = mapped_column(Text)
    resources: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    dpop_jkt: Mapped[str | None] = mapped_column(Text)
    claims: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    code_challenge: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    family_id: Mapped[UUID | None] = mapped_column(ForeignKey("token_families.id", ondelete="SET NULL"), index=True)


class FailedSignIns(Base):
    """How often sign-in failed, or something was asked for, lately: see domain/throttle.py."""

    __tablename__ = "failed_sign_ins"

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    failures: Mapped[int]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class PushedRequest(Base):
    """An authorization request that a client left with us (RFC 9126). `parameters` are its name-value pairs."""

    __tablename__ = "pushed_requests"

    uri_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id", ondelete="CASCADE"), index=True)
    parameters: Mapped[list[list[str]]] = mapped_column(JSONB)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    opened_at: Mapped[datetime | None]


class DeviceCode(Base):
    """A device that waits for somebody to allow it, elsewhere (RFC 8628). `session_id` is who did."""

    __tablename__ = "device_codes"
    __table_args__ = (CheckConstraint("state IN ('pending', 'allowed', 'denied', 'used')", name="state"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    device_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    user_code_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id", ondelete="CASCADE"), index=True)
    scope: Mapped[str] = mapped_column(Text)
    resources: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    state: Mapped[str] = mapped_column(Text, default="pending")
    session_id: Mapped[UUID | None] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"), index=True)
    interval: Mapped[int]
    polled_at: Mapped[datetime | None]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class SpentProof(Base):
    """What counts once, such as a client assertion or a DPoP proof, until it would be refused for its age anyway."""

    __tablename__ = "spent_proofs"

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class LogoutNotice(Base):
    """What a client is to be told about the end of a session (OpenID Connect Back-Channel Logout).

    The session and the person may be gone by the time it is sent.
    """

    __tablename__ = "logout_notices"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id", ondelete="CASCADE"), index=True)
    subject: Mapped[UUID]
    session_id: Mapped[UUID]
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)


class Ticket(Base):
    """A random secret that we handed out: good for one purpose, once, for a while. See domain/tickets.py."""

    __tablename__ = "tickets"

    secret_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    purpose: Mapped[str] = mapped_column(Text)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    data: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Totp(Base):
    """The authenticator app of a person. `last_step` is the latest time step whose code was used (RFC 6238)."""

    __tablename__ = "totp"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    last_step: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    confirmed_at: Mapped[datetime | None]


class RecoveryCode(Base):
    __tablename__ = "recovery_codes"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    code_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)


class Passkey(Base):
    """A public key of a person's authenticator (WebAuthn)."""

    __tablename__ = "passkeys"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    credential_id: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    last_used_at: Mapped[datetime | None]


class Identity(Base):
    """An account at another provider that signs a person in here. Its subject never changes; its address may."""

    __tablename__ = "identities"

    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    label: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Revocation(Base):
    """Something whose tokens are refused before they expire. Written by triggers, but for single tokens: see
    domain.revocations."""

    __tablename__ = "revocations"

    id: Mapped[int] = mapped_column(BigInteger, GeneratedIdentity(always=True), primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    revoked: Mapped[str] = mapped_column(Text, index=True)
    at: Mapped[datetime] = mapped_column(server_default=FetchedValue(), index=True)
    transaction: Mapped[int] = mapped_column(BigInteger, server_default=FetchedValue(), index=True)


class AuditEntry(Base):
    """Who of the staff changed what, in any service. `before` and `after` hold what changed, where it applies."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_at_id", "at", "id"),
        Index("ix_audit_actor_id_at_id", "actor_id", "at", "id"),
        Index("ix_audit_resource_resource_id_at_id", "resource", "resource_id", "at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    at: Mapped[datetime] = mapped_column(default=utcnow)
    service: Mapped[str] = mapped_column(Text)
    actor_id: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    resource: Mapped[str] = mapped_column(Text)
    resource_id: Mapped[str] = mapped_column(Text)
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    reason: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
