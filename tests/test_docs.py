"""What the documents promise exists: every setting, every command, every file they point to."""

from __future__ import annotations

import importlib
import inspect
import os
import re
from pathlib import Path

import pytest
from environs import Env

from common.config import Config

ROOT = Path(__file__).parents[1]
PACKAGES = ("auth_service", "catalog_service", "order_service", "review_service", "gateway")
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def config_of(package: str) -> type[Config]:
    module = importlib.import_module(f"{package}.config")
    own = [each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__]
    return next(each for each in own if issubclass(each, Config))


def variables_read(package: str) -> set[str]:
    env = Env(eager=False)
    config_of(package).read(env)
    return set(env._fields)


def test_every_setting_is_documented_and_every_documented_one_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.endswith("_FILE"):
            monkeypatch.delenv(name)
    text = (ROOT / "docs/configuration.md").read_text()
    first_cells = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    documented = {name for cell in first_cells for name in re.findall(r"`([A-Z_]+)`", cell)}
    read = set().union(*map(variables_read, PACKAGES)) | {"PROVISION_DATABASE_URL", "FAIL_POINT"}
    assert read - documented == set(), "not documented"
    assert documented - read == set(), "documented, but nobody reads it"


def test_every_make_target_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        for target in re.findall(r"(?:^ {4}|`)make ([a-z]+)", document.read_text(), re.MULTILINE):
            assert target in targets, f"{document.name}: make {target}"


def test_every_service_command_in_the_documents_exists() -> None:
    for document in DOCUMENTS:
        for package, command in re.findall(r"python -m ([a-z]+_service) ([a-z-]+)", document.read_text()):
            main = importlib.import_module(f"{package}.__main__")
            source = inspect.getsource(main)
            shared = {
                "web",
                "worker",
                "provision",
                "migrate",
                "await-schema",
                "seed",
                "dead-letters",
                "outbox",
                "unbind",
            }
            assert command in shared or command.replace("-", "_") in source, f"{document.name}: {package} {command}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_between_documents_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target
