"""Settings: read from the environment once, typed, with every mistake reported together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Self

from environs import Env, EnvValidationError, ValidationError, validate


class ConfigError(Exception):
    """One or more environment variables are missing or wrong; the message names each of them."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the gateway and every service read."""

    service: ClassVar[str]
    worker_class: ClassVar[str] = "gthread"
    usual_threads: ClassVar[int] = 4

    environment: str
    public_url: str
    api_audience: str
    auth_url: str
    host: str
    port: int
    web_workers: int
    web_threads: int
    drain_seconds: float
    log_level: str
    log_format: str
    step_up_scopes: frozenset[str]
    service_client_secret: str = field(repr=False)

    @property
    def service_client_id(self) -> str:
        return f"{self.service}-service"

    @property
    def issuer(self) -> str:
        """The OAuth issuer identifier (RFC 8414 section 2): the public origin itself."""
        return self.public_url

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read all settings; raises ConfigError that lists every variable in error."""
        env = Env(eager=False, expand_vars=False)
        with _environment(environ):
            values = cls.read(env)
            try:
                env.seal()
            except EnvValidationError as error:
                raise ConfigError(_describe(cls, error)) from None
        return cls(**values)

    @classmethod
    def read(cls, env: Env) -> dict[str, Any]:
        """The constructor's arguments; a subclass adds its own to its parent's."""
        return {
            "environment": env.str(
                "ENVIRONMENT", "development", validate=validate.OneOf(["development", "production"])
            ),
            "public_url": str(env.str("PUBLIC_URL", "http://localhost:8000")).rstrip("/"),
            "api_audience": env.str("API_AUDIENCE", "bookstore-api"),
            "auth_url": str(env.str("AUTH_URL", "http://127.0.0.1:8101")).rstrip("/"),
            "host": env.str("HOST", "127.0.0.1"),
            "port": env.int("PORT", 0),
            "web_workers": env.int("WEB_WORKERS", 1, validate=validate.Range(min=1)),
            "web_threads": env.int("WEB_THREADS", cls.usual_threads, validate=validate.Range(min=1)),
            "drain_seconds": env.float("DRAIN_SECONDS", 0.0, validate=validate.Range(min=0, max=60)),
            "log_level": env.str("LOG_LEVEL", "INFO"),
            "log_format": env.str("LOG_FORMAT", "json", validate=validate.OneOf(["json", "console"])),
            "step_up_scopes": frozenset(env.list("STEP_UP_SCOPES", [])),
            "service_client_secret": secret(env, "SERVICE_CLIENT_SECRET"),
        }


@dataclass(frozen=True, kw_only=True)
class ServiceConfig(Config):
    """What each of the services with a database reads as well."""

    schema: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]] = ()
    """Extensions of Postgres that make the service better, but that it can do without."""

    database_url: str = field(repr=False)
    database_direct_url: str = field(repr=False)
    """The same database without a pooler between; empty where DATABASE_URL has none."""
    event_bus_url: str = field(repr=False)
    health_port: int
    body_limit: int
    mail_url: str = field(repr=False)
    mail_sender: str
    mail_retention: timedelta

    @property
    def web_connections(self) -> int:
        """How many connections to the database a web process keeps: one for each thread, which all work at once."""
        return self.web_threads

    @property
    def queue(self) -> str:
        return self.service

    @classmethod
    def read(cls, env: Env) -> dict[str, Any]:
        return super().read(env) | {
            "database_url": secret(env, "DATABASE_URL"),
            "database_direct_url": secret(env, "DATABASE_DIRECT_URL", ""),
            "event_bus_url": secret(env, "EVENT_BUS_URL"),
            "health_port": env.int("HEALTH_PORT", 0),
            "body_limit": env.int("BODY_LIMIT", 256 * 1024, validate=validate.Range(min=1024)),
            "mail_url": secret(env, "MAIL_URL", "smtp://127.0.0.1:1025"),
            "mail_sender": env.str("MAIL_SENDER", "Bookstore <shop@bookstore.example>"),
            "mail_retention": timedelta(days=env.int("MAIL_RETENTION_DAYS", 90, validate=validate.Range(min=1)) or 0),
        }


def secret(env: Env, name: str, default: str | None = None) -> str:
    """A secret from NAME, or from the file that NAME_FILE names (as Docker and Kubernetes mount them).

    A file that cannot be read is a wrong setting, and so is one that is needed and empty.
    """
    path, unreadable = os.environ.get(f"{name}_FILE"), ""
    if path and name not in os.environ:
        os.environ[name], unreadable = _content(Path(path))

    def check(value: str) -> None:
        if unreadable:
            raise ValidationError(f"{name}_FILE: {unreadable}")
        if default is None and not value:
            raise ValidationError("Must not be empty.")

    return env.str(name, validate=check) if default is None else env.str(name, default, validate=check)


def _content(path: Path) -> tuple[str, str]:
    """What is in the file, or else why it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip(), ""
    except OSError as error:
        return "", f"{path}: {error.strerror}."
    except UnicodeDecodeError:
        return "", f"{path} is no text in UTF-8."


@contextmanager
def _environment(environ: Mapping[str, str] | None) -> Iterator[None]:
    """Let environs, which reads only os.environ, see another mapping for a moment."""
    before = dict(os.environ)
    if environ is not None:
        os.environ.clear()
        os.environ.update(environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _describe(config: type[Config], error: EnvValidationError) -> str:
    messages = error.error_messages if isinstance(error.error_messages, dict) else {"": error.error_messages}
    lines = [f"  {name}: {'; '.join(map(str, reasons))}" for name, reasons in messages.items()]
    return "\n".join([f"{config.service}: wrong settings in the environment:", *lines])
