"""Secrets stay out of logs and addresses."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask.testing import FlaskClient

from common import telemetry
from tests.auth.conftest import PASSWORD
from tests.auth.support import Browser, Pkce, authorization


def test_logs_hold_no_password_token_code_or_address(
    browser: Browser,
    public_client: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telemetry, "_write_request", telemetry._request_writer("auth", "INFO", "json"))
    caplog.set_level(logging.DEBUG)
    logging.getLogger("authlib").setLevel(logging.DEBUG)
    pkce = Pkce()
    code = browser.code_for(**authorization(public_client, pkce))["code"]
    tokens = browser.redeem(code, public_client, pkce).json
    renewed = browser.refresh(tokens["refresh_token"], public_client).json
    new = {"username": "newcomer", "email": "newcomer@example.com", "password": PASSWORD}
    assert browser.http.post("/api/v1/auth/register", json=new).status_code == 201
    assert browser.http.post("/api/v1/auth/register", json=new).status_code == 409
    captured = capfd.readouterr()
    written = caplog.text + captured.out + captured.err
    assert "/token" in written
    secrets = [PASSWORD, code, pkce.verifier, *tokens.values(), *renewed.values(), browser.person["email"]]
    kept = [each for each in secrets if isinstance(each, str) and len(each) > 12 and each not in tokens["scope"]]
    assert [each for each in [*kept, new["email"]] if each in written] == []


@pytest.mark.parametrize("path", ["/userinfo", "/api/v1/auth/me"])
def test_a_token_in_an_address_is_not_read(client: FlaskClient, user: Any, sign_in: Any, path: str) -> None:
    token = sign_in(user)["access_token"]
    assert client.get(f"{path}?access_token={token}").status_code == 401
