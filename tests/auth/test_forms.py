"""What a password manager and a hostile frame find on the pages where passwords are typed."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient


@pytest.mark.parametrize(
    ("path", "purpose"), [("/account/sign-in", "current-password"), ("/account/register", "new-password")]
)
def test_password_fields_are_masked_and_can_be_filled(client: FlaskClient, path: str, purpose: str) -> None:
    page = client.get(path).text
    (field,) = re.findall(r'<input[^>]*name="password"[^>]*>', page)
    assert 'type="password"' in field
    assert f'autocomplete="{purpose}"' in field
    assert "onpaste" not in page


def test_pages_cannot_be_framed(client: FlaskClient) -> None:
    assert "frame-ancestors 'none'" in client.get("/account/sign-in").headers["Content-Security-Policy"]
