"""What production is described by: compose, the secrets that it makes, the image recipe, the pinned requirements."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.config import Config
from devstack.accounts import clients
from devstack.topology import BY_NAME, SERVICES
from devstack.vault import Vault
from tests.devstack.test_settings import config_of

ROOT = Path(__file__).parents[2]
COMPOSE = Path(sys.executable).with_name("docker-compose")
FOLDERS = (*(each.name for each in SERVICES), "gateway", "postgres", "rabbitmq", "provision")
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))


def compose(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMPOSE, "--project-directory", ROOT, *arguments],
        env={"PATH": os.defpath, "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """Every service as compose itself understands the file."""
    done = compose("config", "--format", "json", ADMIN_EMAIL="admin@example.com")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["services"]


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders of secrets, as the container that makes them leaves them."""
    for folder in FOLDERS:
        (tmp_path / folder).mkdir()
    made = maker(tmp_path)
    monkeypatch.setenv("ADMIN_EMAIL", "admin@example.com")
    made.main()
    return tmp_path


def maker(root: Path) -> Any:
    spec = importlib.util.spec_from_file_location("make_secrets", ROOT / "deploy" / "make_secrets.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ROOT = root  # type: ignore[attr-defined]
    return module


def test_compose_needs_no_setting() -> None:
    assert compose("config", "--quiet").returncode == 0


def test_nothing_is_published_beyond_this_machine(services: dict[str, Any]) -> None:
    published = [port for each in services.values() for port in each.get("ports", [])]
    assert published
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_no_secret_is_in_the_file(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for variable, value in (service.get("environment") or {}).items():
            secret = re.search(r"PASSWORD|SECRET|KEY|DATABASE_URL|EVENT_BUS_URL", variable)
            assert not secret or variable.endswith("_FILE"), f"{name}: {variable}={value}"


def test_every_container_that_stays_is_watched(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if service.get("restart") == "unless-stopped":
            assert "build" in service or "healthcheck" in service, name


@pytest.mark.parametrize("name", BY_NAME)
def test_a_container_is_told_all_that_its_process_reads(services: dict[str, Any], secrets: Path, name: str) -> None:
    service = services[name]
    folder = next((each.name for each in SERVICES if each.package == BY_NAME[name].package), "gateway")
    environment = {
        variable: str(value).replace("/run/secrets", str(secrets / folder))
        for variable, value in service["environment"].items()
    }
    config: Config = config_of(BY_NAME[name].package).from_env(image_environment() | environment)
    assert config.environment == "production"
    assert getattr(config, "admin_email", "admin@example.com") == "admin@example.com"
    if BY_NAME[name].command == "worker":
        assert config.health_port == 8000  # type: ignore[attr-defined]
        assert service["command"] == ["worker"]


def image_environment() -> dict[str, str]:
    """The variables that the image recipe sets."""
    (line,) = re.findall(r"^ENV SERVICE=\S+ (.*)$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    return dict(pair.split("=", 1) for pair in line.split())


def test_secrets_are_made_once_and_told_once(secrets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_text() for path in secrets.rglob("*") if path.is_file()}
    capsys.readouterr()
    maker(secrets).main()
    assert {path: path.read_text() for path in secrets.rglob("*") if path.is_file()} == before
    assert (secrets / "auth" / "admin_password").read_text() not in capsys.readouterr().out
    assert len(set(before.values())) == len(before) - 3  # the broker's address is the same for all four


def test_a_store_of_before_the_portals_gets_their_secrets_too(secrets: Path) -> None:
    kept = (secrets / "auth" / "key_encryption_key").read_text()
    registered = secrets / "auth" / "bootstrap_clients"
    older = [each for each in json.loads(registered.read_text()) if not each.get("redirect_uris")]
    registered.chmod(0o644)
    registered.write_text(json.dumps(older))
    for name in ("session_keys", "shop_client_secret", "administration_client_secret"):
        (secrets / "gateway" / name).unlink()
    maker(secrets).main()
    by_id = {each["client_id"]: each for each in json.loads(registered.read_text())}
    assert by_id["shop"]["client_secret"] == (secrets / "gateway" / "shop_client_secret").read_text()
    assert "gateway-service" in by_id
    assert (secrets / "auth" / "key_encryption_key").read_text() == kept


def test_the_portals_scopes_follow_what_they_are_now_and_their_secrets_stay(secrets: Path) -> None:
    registered = secrets / "auth" / "bootstrap_clients"
    now = registered.read_text()
    older = [each | ({"scope": "openid"} if each["client_id"] == "shop" else {}) for each in json.loads(now)]
    registered.chmod(0o644)
    registered.write_text(json.dumps(older))
    maker(secrets).main()
    assert json.loads(registered.read_text()) == json.loads(now)


@pytest.mark.parametrize("client_id", ["shop", "administration"])
def test_a_portal_may_do_the_same_wherever_the_store_runs(secrets: Path, client_id: str) -> None:
    made = json.loads((secrets / "auth" / "bootstrap_clients").read_text())
    here = json.loads(clients(Vault(secrets / "vault.json")))
    one, other = (next(each for each in known if each["client_id"] == client_id) for known in (made, here))
    assert {name: one[name] for name in other if name != "client_secret"} == {
        name: value for name, value in other.items() if name != "client_secret"
    }


def test_the_image_runs_as_nobody_in_particular_and_holds_one_service() -> None:
    recipe = (ROOT / "deploy" / "Dockerfile").read_text()
    assert re.search(r"^USER 10001:10001$", recipe, re.MULTILINE)
    copied = re.findall(r"^COPY (\S+)", recipe, re.MULTILINE)
    assert copied == ["requirements/image.txt", "common", "${SERVICE}"]
    allowed = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
    assert {f"!{each.package}" for each in SERVICES} <= set(allowed)
    assert allowed[0] == "*"


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_requirements_are_pinned_by_hash_and_name_no_address(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*--(?!hash)", text, re.MULTILINE)
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[a-z0-9._-]+==\S+ \\\n", entry), entry[:80]
        assert "--hash=sha256:" in entry


def test_each_file_of_requirements_has_all_of_the_one_before_it() -> None:
    pins = {path.stem: set(re.findall(r"^(\S+==\S+)", path.read_text(), re.MULTILINE)) for path in REQUIREMENTS}
    assert pins["run"] < pins["devstack"] < pins["dev"]
