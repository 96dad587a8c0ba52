"""The environment of each process of a store on one machine, all of it worked out in one place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self
from urllib.parse import quote, urlsplit, urlunsplit

from devstack.accounts import Account, accounts, client_secret, clients, demo_users
from devstack.topology import BY_NAME, GATEWAY, HOST, METRICS_PORT, POSTGRES_PORT, SERVICES, STREAM, Process, Service
from devstack.vault import Vault

ROOT = Path(__file__).resolve().parent.parent
BUS_ROLE = "bus"
DATABASE = "bookstore"
LAST_PORT = 65535
# What a process must not inherit from the shell: it is ours to say, or for other processes only.
NOT_INHERITED = ("DATABASE_URL", "EVENT_BUS_URL", "PORT", "HOST", "HEALTH_PORT", "PUBLIC_URL", "AUTH_URL")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`given_database` and `given_bus` are the URLs of real servers; without them the store brings its own.

    `role_suffix` tells apart the database roles of stores that share a server.
    """

    data: Path
    first_port: int = GATEWAY.port
    given_database: str | None = None
    given_bus: str | None = None
    role_suffix: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    inherited: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """DEVSTACK_DIR, DEVSTACK_PORT, DATABASE_URL and EVENT_BUS_URL; the rest is passed on to the processes.

        Raises ValueError for a port with which another would be out of range.
        """
        return cls(
            data=Path(environ.get("DEVSTACK_DIR") or ROOT / ".devstack").resolve(),
            first_port=_first_port(environ.get("DEVSTACK_PORT") or str(GATEWAY.port)),
            given_database=environ.get("DATABASE_URL") or None,
            given_bus=environ.get("EVENT_BUS_URL") or None,
            inherited={name: value for name, value in environ.items() if name not in NOT_INHERITED},
        )

    @cached_property
    def vault(self) -> Vault:
        self.data.mkdir(parents=True, exist_ok=True)
        return Vault(self.data / "secrets.json")

    @cached_property
    def accounts(self) -> dict[str, Account]:
        known = accounts(self.vault, well_known=self.is_embedded)
        admin = known["admin"]
        email = self.inherited.get("ADMIN_EMAIL", admin.email)
        password = self.inherited.get("ADMIN_PASSWORD", admin.password)
        return known | {"admin": replace(admin, email=email, password=password)}

    @property
    def is_embedded(self) -> bool:
        """Whether the database is the store's own, which only this machine can reach."""
        return self.given_database is None

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def mail(self) -> Path:
        """Where the mails of a store without a mail server are, as .eml files."""
        return self.data / "mail"

    @property
    def files(self) -> Path:
        """Where images and uploads are, when they are nowhere else."""
        return self.data / "files"

    @property
    def postgres_port(self) -> int:
        return self.ports.get("postgres", self._shifted(POSTGRES_PORT))

    @property
    def public_url(self) -> str:
        return f"http://localhost:{self.port(GATEWAY)}"

    @property
    def database_address(self) -> str:
        """Where the database is; of no use without a role's password."""
        return self.given_database or f"postgresql://{HOST}:{self.postgres_port}/{DATABASE}"

    def port(self, process: Process) -> int:
        return self.ports.get(process.name, self._shifted(process.port))

    def _shifted(self, port: int) -> int:
        """All ports move together with the first one."""
        return port + self.first_port - GATEWAY.port

    def environment(self, process: Process, admin_url: str) -> dict[str, str]:
        """All that `process` reads; `admin_url` is the database's, as its administrator."""
        port = {"PORT" if process.command in ("web", "stream") else "HEALTH_PORT": str(self.port(process))}
        service = next((each for each in SERVICES if each.package == process.package), None)
        own = self._of_service(service, admin_url) if service else self._of_gateway()
        return self._shared() | own | port

    def _shared(self) -> dict[str, str]:
        addresses = {f"{each.name.upper()}_URL": self.address(f"{each.name}-web") for each in SERVICES}
        return {
            "LOG_FORMAT": "console",
            **self.inherited,
            "ENVIRONMENT": "development",
            "PYTHONUNBUFFERED": "1",
            "HOST": HOST,
            "PUBLIC_URL": self.public_url,
            **addresses,
            "ORDER_STREAM_URL": self.address(STREAM.name),
        }

    def address(self, name: str) -> str:
        return f"http://{HOST}:{self.port(BY_NAME[name])}"

    def _of_gateway(self) -> dict[str, str]:
        workers = {f"{each.name.upper()}_WORKER_URL": self.address(f"{each.name}-worker") for each in SERVICES}
        metrics_port = self.ports.get("metrics", self._shifted(METRICS_PORT))
        secret = client_secret(self.vault, GATEWAY.name)
        return {
            **workers,
            "METRICS_HOST": HOST,
            "METRICS_PORT": str(metrics_port),
            "SERVICE_CLIENT_SECRET": secret,
            "SESSION_KEYS": self.inherited.get("SESSION_KEYS", self.vault["session_key"]),
            "SHOP_CLIENT_SECRET": client_secret(self.vault, "shop"),
            "ADMINISTRATION_CLIENT_SECRET": client_secret(self.vault, "administration"),
        }

    def _of_service(self, service: Service, admin_url: str) -> dict[str, str]:
        given = {
            "DATABASE_URL": self._role_url(admin_url, service.schema),
            "EVENT_BUS_URL": self.given_bus or self._role_url(admin_url, BUS_ROLE),
            "SERVICE_CLIENT_SECRET": client_secret(self.vault, service.name),
            "MAIL_URL": self.inherited.get("MAIL_URL", f"file://{self.mail}"),
        }
        own = {"auth": self._of_auth, "catalog": self._of_catalog}
        return given | own.get(service.name, dict)()

    def _of_catalog(self) -> dict[str, str]:
        return {"STORAGE_URL": self.inherited.get("STORAGE_URL", f"file://{quote(str(self.files))}")}

    def _of_auth(self) -> dict[str, str]:
        admin = self.accounts["admin"]
        return {
            "KEY_ENCRYPTION_KEY": self.vault["key_encryption_key"],
            "ADMIN_EMAIL": admin.email,
            "ADMIN_PASSWORD": admin.password,
            "DEMO_USERS": demo_users(self.accounts),
            "BOOTSTRAP_CLIENTS": clients(self.vault),
            "CLIENT_NETWORKS": self.inherited.get("CLIENT_NETWORKS", "127.0.0.0/8,::1/128"),
        }

    def _role_url(self, admin_url: str, role: str) -> str:
        """The administrator's URL with the name and password of another role."""
        parts = urlsplit(admin_url)
        credentials = f"{role}{self.role_suffix}:{quote(self.vault[f'database.{role}'])}"
        address = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(scheme="postgresql", netloc=f"{credentials}@{address}"))


def _first_port(text: str) -> int:
    most = LAST_PORT - (POSTGRES_PORT - GATEWAY.port)
    if not text.isdecimal() or not 0 < int(text) <= most:
        raise ValueError(f"DEVSTACK_PORT is {text!r}: it must be a number, at most {most}")
    return int(text)
