"""Settings are read once, and all that is wrong with them is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.config import ConfigError
from tests.common.toy import ToyConfig

GOOD = {
    "DATABASE_URL": "postgresql://toy:hush@localhost/toy",
    "EVENT_BUS_URL": "amqp://localhost",
    "SERVICE_CLIENT_SECRET": "hush",
}


def test_every_mistake_is_named_together() -> None:
    with pytest.raises(ConfigError) as refused:
        ToyConfig.from_env({"PORT": "eighty", "ENVIRONMENT": "staging"})
    for name in ("PORT", "ENVIRONMENT", *GOOD):
        assert name in str(refused.value)


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    environ = {name: value for name, value in GOOD.items() if name != "SERVICE_CLIENT_SECRET"}
    config = ToyConfig.from_env({**environ, "SERVICE_CLIENT_SECRET_FILE": str(tmp_path / "secret")})
    assert config.service_client_secret == "from a file"


def test_a_secret_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    wrong = {name: value for name, value in GOOD.items() if name not in ("DATABASE_URL", "SERVICE_CLIENT_SECRET")}
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    wrong |= {"SERVICE_CLIENT_SECRET_FILE": str(tmp_path / "empty"), "MAIL_URL_FILE": str(tmp_path / "binary")}
    with pytest.raises(ConfigError) as told:
        ToyConfig.from_env(wrong | {"DATABASE_URL_FILE": str(tmp_path / "gone"), "EVENT_BUS_URL": ""})
    for name in ("DATABASE_URL_FILE", "gone", "SERVICE_CLIENT_SECRET", "MAIL_URL_FILE", "EVENT_BUS_URL"):
        assert name in str(told.value)


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(ToyConfig.from_env(GOOD))


def test_the_public_origin_is_the_issuer() -> None:
    assert ToyConfig.from_env({**GOOD, "PUBLIC_URL": "https://books.example/"}).issuer == "https://books.example"
