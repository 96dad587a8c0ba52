"""What ends a token ends the session of a browser within a second, and its open streams."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import requests

from tests.support.browser import Browser
from tests.support.event_source import EventSource
from tests.support.live_client import LiveClient
from tests.support.shopper import Staff
from tests.support.stack import Stack
from tests.support.waiting import eventually

WITHIN_SECONDS = 2.0
"""A second, by the contract, and some for a busy machine."""
EVENTS = "/api/v1/orders/events"


def sign_out_by_the_api(reader: Browser, _admin: Staff) -> requests.Response:
    return reader.ask("POST", "/api/v1/auth/logout-all")


def end_the_device(reader: Browser, _admin: Staff) -> requests.Response:
    (device, *_) = reader.ask("GET", "/api/v1/auth/sessions").json()["items"]
    return reader.ask("DELETE", f"/api/v1/auth/sessions/{device['id']}")


def deactivate(reader: Browser, admin: Staff) -> requests.Response:
    return admin.send("PATCH", f"/admin/users/{reader.session()['user']['id']}/deactivate")


def change_the_role(reader: Browser, admin: Staff) -> requests.Response:
    user = admin.get(f"/admin/users/{reader.session()['user']['id']}")
    changed = {"username": user["username"], "email": user["email"], "role": "admin"}
    return admin.send("PUT", f"/admin/users/{user['id']}", changed)


def erase(reader: Browser, admin: Staff) -> requests.Response:
    return admin.send("DELETE", f"/admin/users/{reader.session()['user']['id']}")


def sign_out_at_the_gateway(reader: Browser, _admin: Staff) -> requests.Response:
    return reader.twin().ask("POST", "/bff/logout")


ENDS = [sign_out_by_the_api, end_the_device, deactivate, change_the_role, erase, sign_out_at_the_gateway]
End = Callable[[Browser, Staff], requests.Response]


@pytest.mark.parametrize("end", ENDS)
def test_it_ends_within_a_second_and_its_streams_with_it(store: Stack, reader: Browser, admin: Staff, end: End) -> None:
    tab = reader.twin()
    cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in reader.jar.items())}
    url = store.settings.public_url
    with EventSource(url + EVENTS, cookies) as source, LiveClient(url, {}, headers=cookies) as live:
        assert source.answer.status_code == 200
        end(reader, admin).raise_for_status()
        since = time.monotonic()
        while (answer := reader.ask("GET", "/api/v1/orders")).status_code == 200:
            assert time.monotonic() - since < WITHIN_SECONDS
        assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")
        assert "shop_session" not in reader.jar
        for _ in source:
            assert time.monotonic() - since < WITHIN_SECONDS
        assert live.has_ended(within=WITHIN_SECONDS)
    eventually(lambda: tab.session() == {"authenticated": False}, within=WITHIN_SECONDS)
    assert "shop_session" not in tab.jar


def test_a_family_that_ended_while_its_token_was_good_ends_the_session_at_the_next_exchange(
    store: Stack, reader: Browser, aged: Callable[..., None]
) -> None:
    copy = reader.twin()
    assert copy.ask("POST", "/bff/logout").status_code == 200
    aged(reader)
    answer = reader.ask("GET", "/api/v1/orders")
    assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")
    assert answer.headers["Set-Cookie"].startswith("shop_session=; Max-Age=0")
    assert reader.ask("GET", "/api/v1/orders").json()["code"] == "unauthorized"
