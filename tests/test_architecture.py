"""The shape of the whole, kept by tests: who may import whom, who hears whom, and that nothing is left undeclared."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from common import failpoints
from common.api import operation
from common.config import ServiceConfig
from common.events import published
from devstack.topology import PROCESSES
from tests.support import tokens

ROOT = Path(__file__).parents[1]
SERVICES = {"auth": "auth", "catalog": "catalog", "order": "orders", "review": "reviews"}
PACKAGES = [f"{name}_service" for name in SERVICES]
OURS = {*PACKAGES, "gateway", "common", "devstack", "tests", "benchmarks"}
MAY_IMPORT = {
    **{package: {package, "common"} for package in PACKAGES},
    "gateway": {"gateway", "common"},
    "common": {"common"},
    "devstack": {"devstack", "common"},
}
ALIKE = {"__init__.py", "__main__.py", "app.py", "config.py", "events.py", "seed.py"}
FRAMEWORK = ("flask", "werkzeug", "common.app", "common.api", "common.auth", "gunicorn")


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_obey_the_map(package: str) -> None:
    strangers = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(package)
        for name in imports(path)
        if (top := name.partition(".")[0]) in OURS and top not in MAY_IMPORT[package]
    }
    assert not strangers


@pytest.mark.parametrize("package", PACKAGES)
def test_the_domain_knows_no_framework(package: str) -> None:
    guilty = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(f"{package}/domain")
        for name in imports(path)
        if name.startswith(FRAMEWORK)
    }
    assert not guilty


@pytest.mark.parametrize("package", PACKAGES)
def test_the_domain_never_commits(package: str) -> None:
    guilty = [path.name for path in modules(f"{package}/domain") if ".commit()" in path.read_text()]
    assert not guilty


@pytest.mark.parametrize("package", PACKAGES)
def test_services_are_alike(package: str) -> None:
    here = {path.name for path in (ROOT / package).iterdir()}
    assert here >= ALIKE | {"api", "domain", "migrations"}
    assert here & {"models.py", "models"}


def settings(name: str) -> ServiceConfig:
    """Settings that satisfy any service, without anything behind them."""
    module = importlib.import_module(f"{name}_service.config")
    config = next(
        each
        for each in vars(module).values()
        if inspect.isclass(each) and issubclass(each, ServiceConfig) and each is not ServiceConfig
    )
    url = "postgresql://nobody:x@127.0.0.1:1/nothing"
    environ = {"DATABASE_URL": url, "EVENT_BUS_URL": url, "SERVICE_CLIENT_SECRET": "x"}
    environ |= {"ADMIN_EMAIL": "admin@example.com", "ADMIN_PASSWORD": "x" * 16}
    environ |= {"KEY_ENCRYPTION_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}
    return config.from_env(environ)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", SERVICES)
def test_every_route_declares_its_scope_or_that_it_is_public(name: str) -> None:
    app = importlib.import_module(f"{name}_service.app").create_app(settings(name), keys=tokens.keys)
    for rule in app.url_map.iter_rules():
        if rule.endpoint.endswith("static"):
            continue
        declared = operation(app.view_functions[rule.endpoint])
        assert declared.is_public or declared.scopes is not None, rule.rule
        if rule.rule.startswith(("/internal", "/api/v1/admin")):
            assert declared.scopes, f"{rule.rule} demands no scope"


def handlers(name: str) -> dict[type, object]:
    return importlib.import_module(f"{name}_service.events").HANDLERS  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", SERVICES)
def test_every_consumed_event_is_published_by_somebody_else(name: str) -> None:
    for event in handlers(name):
        assert published()[event.name] is event  # type: ignore[attr-defined]
        assert event.name.partition(".")[0] != SERVICES[name]  # type: ignore[attr-defined]


def test_every_consumed_event_is_recorded_somewhere() -> None:
    sources = {
        schema: "".join(path.read_text() for path in modules(f"{name}_service")) for name, schema in SERVICES.items()
    }
    for name in SERVICES:
        for event in handlers(name):
            publisher = event.name.partition(".")[0]  # type: ignore[attr-defined]
            assert event.__name__ in sources[publisher], f"nobody in {publisher} records {event.__name__}"


def compose() -> dict[str, dict[str, object]]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]  # type: ignore[no-any-return]


def test_devstack_and_compose_run_the_same_processes() -> None:
    processes = {process.name for process in PROCESSES}
    assert {f"{name}-{kind}" for name in SERVICES for kind in ("web", "worker")} | {"gateway"} <= processes | {
        "gateway"
    }
    assert processes == {
        name for name in compose() if name.endswith(("-web", "-worker", "-stream")) or name == "gateway"
    }


def test_common_knows_no_noun_of_the_store() -> None:
    nouns = ("book", "order_", "cart", "review", "catalog", "genre")
    guilty = {
        f"{path.relative_to(ROOT)}: {word}"
        for path in modules("common")
        if "events" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name | ast.FunctionDef | ast.ClassDef)
        for word in [node.id if isinstance(node, ast.Name) else node.name]
        if word.lower().startswith(nouns)
    }
    assert not guilty


def test_fail_points_are_those_that_are_listed() -> None:
    reached = [
        node.args[0].value
        for package in (*PACKAGES, "gateway", "common")
        for path in modules(package)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reach"
        if isinstance(node.args[0], ast.Constant)
    ]
    assert set(reached) == set(failpoints.NAMES)
    assert len(set(failpoints.NAMES)) == len(failpoints.NAMES)
