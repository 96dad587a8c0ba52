"""What each process is told, and that it is enough for it."""

from __future__ import annotations

import importlib
import inspect
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from common.config import Config, ServiceConfig
from devstack.settings import Settings
from devstack.state import Recorded, State
from devstack.topology import BY_NAME, PROCESSES, SERVICES

ADMIN_URL = "postgresql://postgres:administrators@127.0.0.1:5432/bookstore"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path)


def config_of(package: str) -> type[Config]:
    module = importlib.import_module(f"{package}.config")
    return next(
        each
        for each in vars(module).values()
        if inspect.isclass(each) and issubclass(each, Config) and each not in (Config, ServiceConfig)
    )


@pytest.mark.parametrize("name", BY_NAME)
def test_a_process_is_told_all_that_it_reads(settings: Settings, name: str) -> None:
    process = BY_NAME[name]
    config = config_of(process.package).from_env(settings.environment(process, ADMIN_URL))
    assert config.public_url == settings.public_url
    assert config.host == "127.0.0.1"
    assert process.port in (config.port, getattr(config, "health_port", None))


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_a_role_of_its_own_and_nobody_elses_secrets(settings: Settings, service: object) -> None:
    environments = {each.name: settings.environment(BY_NAME[f"{each.name}-web"], ADMIN_URL) for each in SERVICES}
    name = service.name  # type: ignore[attr-defined]
    mine = environments.pop(name)
    assert mine["DATABASE_URL"].startswith(f"postgresql://{service.schema}:")  # type: ignore[attr-defined]
    for other in environments.values():
        assert mine["DATABASE_URL"] != other["DATABASE_URL"]
        assert mine["SERVICE_CLIENT_SECRET"] != other["SERVICE_CLIENT_SECRET"]
    assert "administrators" not in json.dumps(mine)
    assert ("KEY_ENCRYPTION_KEY" in mine) == (name == "auth")


def test_the_gateway_is_told_no_secret_but_its_own(settings: Settings) -> None:
    environment = settings.environment(BY_NAME["gateway"], ADMIN_URL)
    assert not {"DATABASE_URL", "EVENT_BUS_URL", "KEY_ENCRYPTION_KEY"} & set(environment)
    others = [settings.environment(BY_NAME[f"{each.name}-web"], ADMIN_URL) for each in SERVICES]
    assert environment["SERVICE_CLIENT_SECRET"] not in [each["SERVICE_CLIENT_SECRET"] for each in others]


def test_secrets_stay_and_only_their_owner_may_read_them(settings: Settings) -> None:
    first = settings.environment(BY_NAME["auth-web"], ADMIN_URL)
    again = Settings(data=settings.data).environment(BY_NAME["auth-web"], ADMIN_URL)
    assert first == again
    assert (settings.data / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_passwords_are_well_known_only_beside_a_database_of_ones_own(settings: Settings) -> None:
    assert settings.accounts["admin"].password == "admin-demo-password"
    shared = replace(settings, given_database=ADMIN_URL)
    assert len(shared.accounts["admin"].password) > 40
    assert shared.accounts["admin"].password != shared.accounts["alice"].password


def test_the_shells_own_database_and_bus_reach_no_process(tmp_path: Path) -> None:
    shell = {"DATABASE_URL": ADMIN_URL, "EVENT_BUS_URL": "amqp://broker", "PORT": "1", "RATE_LIMITS_ENABLED": "false"}
    settings = Settings.from_env({**shell, "DEVSTACK_DIR": str(tmp_path)})
    gateway = settings.environment(BY_NAME["gateway"], ADMIN_URL)
    assert gateway["PORT"] == "8000"
    assert "DATABASE_URL" not in gateway
    assert gateway["RATE_LIMITS_ENABLED"] == "false"
    assert settings.environment(BY_NAME["order-worker"], ADMIN_URL)["EVENT_BUS_URL"] == "amqp://broker"


def test_all_ports_move_together(settings: Settings) -> None:
    moved = replace(settings, first_port=9000)
    for process in PROCESSES:
        assert moved.port(process) == settings.port(process) + 1000
    assert moved.postgres_port == settings.postgres_port + 1000
    assert len({settings.port(each) for each in PROCESSES} | {settings.postgres_port}) == len(PROCESSES) + 1


@pytest.mark.parametrize("port", ["", "x", "0", "60000"])
def test_a_first_port_that_leaves_no_room_is_refused(port: str) -> None:
    if not port:
        assert Settings.from_env({"DEVSTACK_PORT": port}).first_port == 8000
        return
    with pytest.raises(ValueError, match="DEVSTACK_PORT"):
        Settings.from_env({"DEVSTACK_PORT": port})


def test_a_pid_that_was_given_to_another_process_is_not_taken_for_ours() -> None:
    ourselves = Recorded.of("devstack", os.getpid())
    assert ourselves.find()
    assert replace(ourselves, created=ourselves.created - 100).find() is None


def test_a_command_uses_the_running_stores_own_settings(settings: Settings) -> None:
    state = State(settings.data)
    state.write(replace(settings, first_port=9000, given_database=ADMIN_URL), [], ready=True)
    assert state.as_running(settings).first_port == 9000
    assert not state.as_running(settings).is_embedded
    assert (settings.data / "devstack.json").stat().st_mode & 0o777 == 0o600
