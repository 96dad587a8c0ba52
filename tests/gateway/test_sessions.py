"""What a cookie becomes on its way to a service, and what does not go there."""

from __future__ import annotations

import time

import jwt
import orjson
import pytest

from gateway.session.sealing import Sealer
from tests.gateway.client import head
from tests.gateway.conftest import GATEWAY_SECRETS, SHOP, RunningGateway
from tests.gateway.standin import StandIn
from tests.gateway.test_upgrades import AGREED, ASKING, TARGET
from tests.support import tokens

CSRF = "the-token-of-the-session"


def cookie(portal: str = "shop", **claims: object) -> str:
    """A session as the gateway seals it, whose token is the tests' own."""
    token, later = tokens.sign(tokens.claims(**claims)), time.time() + 3600
    held = [portal, token, "refresh", "", "reader@example.com", CSRF, later, later, later]
    name = f"{portal}_session"
    return f"{name}={Sealer([GATEWAY_SECRETS['SESSION_KEYS']]).seal(name, orjson.dumps(held))}"


def forwarded(gateway: RunningGateway, method: str, target: str, *fields: str) -> dict[str, str]:
    reply = gateway.ask(method, target, *fields)
    assert reply.status == 200, reply.body
    return {name.lower(): value for name, value in reply.json()["fields"]}


def test_a_service_gets_a_token_and_never_the_cookie(gateway: RunningGateway) -> None:
    seen = forwarded(gateway, "GET", "/api/v1/orders", f"Cookie: guest_cart=1; {cookie()}; login_abcdefgh=x; other=2")
    assert seen["authorization"].startswith("Bearer eyJ")
    assert seen["cookie"] == "guest_cart=1; other=2"
    assert "cookie" not in forwarded(gateway, "GET", "/api/v1/orders", f"Cookie: {cookie()}")


@pytest.mark.parametrize(
    "target", ["/token", "/authorize", "/account/sign-in", "/api/v1/auth/login", "/api/v1/payments/x"]
)
def test_elsewhere_the_cookie_counts_for_nothing(gateway: RunningGateway, target: str) -> None:
    seen = forwarded(gateway, "POST", target, f"Cookie: {cookie()}", "Content-Length: 0")
    assert not {"authorization", "cookie"} & seen.keys()


def test_a_read_of_something_public_is_made_as_oneself(gateway: RunningGateway) -> None:
    assert "authorization" in forwarded(gateway, "GET", "/api/v1/books", f"Cookie: {cookie()}")
    assert "authorization" not in forwarded(gateway, "GET", "/api/v1/books", f"Cookie: {cookie()}", f"Origin: {SHOP}")


@pytest.mark.parametrize(
    ("fields", "portal"),
    [
        ((), "shop"),
        (("X-Portal: admin",), "admin"),
        (("Referer: http://localhost/admin/orders?x=1",), "admin"),
        (("Referer: http://localhost/orders",), "shop"),
        (("Referer: http://localhost/administration",), "shop"),
        (("Referer: https://evil.example/admin",), "shop"),
        (("Referer: http://localhost/admin", "X-Portal: shop"), "shop"),
        (("Referer: http://[", "X-Portal: nonsense"), "shop"),
    ],
)
def test_the_page_decides_which_session_counts(gateway: RunningGateway, fields: tuple[str, ...], portal: str) -> None:
    both = f"Cookie: {cookie('shop', username='shop')}; {cookie('admin', username='admin')}"
    token = forwarded(gateway, "GET", "/api/v1/orders", both, *fields)["authorization"].partition(" ")[2]

    assert jwt.decode(token, options={"verify_signature": False})["preferred_username"] == portal


def test_a_second_cookie_of_the_same_name_does_no_harm(gateway: RunningGateway) -> None:
    assert "authorization" in forwarded(gateway, "GET", "/api/v1/orders", f"Cookie: shop_session=tossed; {cookie()}")


def test_a_websocket_takes_the_session_of_our_own_pages_only(gateway: RunningGateway, order: StandIn) -> None:
    order.on("/socket.io/", lambda exchange: exchange.send(AGREED))
    for origin in ("http://localhost", SHOP):
        with gateway.connect() as client:
            client.send(head("GET", TARGET, *ASKING, f"Origin: {origin}", f"Cookie: {cookie()}"))
            assert client.begin_reply().status == 101
    own, foreign = order.seen
    assert own.all("Authorization")
    assert not foreign.all("Authorization")


def test_what_a_service_says_of_the_token_ends_the_session(gateway: RunningGateway, order: StandIn) -> None:
    challenge = b'WWW-Authenticate: Bearer realm="bookstore", error="invalid_token"\r\n'
    order.on("/api/v1/orders", lambda exchange: exchange.answer(b"{}", b"401 Unauthorized", challenge))
    reply = gateway.ask("GET", "/api/v1/orders", f"Cookie: {cookie()}")
    assert (reply.status, reply.json()["code"]) == (401, "session_ended")
    assert reply.fields["Set-Cookie"].startswith("shop_session=; Max-Age=0; Path=/; HttpOnly")
    assert reply.fields.get_all("Cache-Control") == ["no-store"]
    weaker = challenge.replace(b"invalid_token", b"insufficient_user_authentication")
    order.on("/api/v1/orders", lambda exchange: exchange.answer(b"{}", b"401 Unauthorized", weaker))
    assert "Set-Cookie" not in gateway.ask("GET", "/api/v1/orders", f"Cookie: {cookie()}").fields


def test_an_answer_that_renews_a_cookie_is_kept_by_no_cache(gateway: RunningGateway, order: StandIn) -> None:
    public = b"Cache-Control: public, s-maxage=60\r\n"
    order.on("/api/v1/cart", lambda exchange: exchange.answer(b"{}", fields=public))
    reply = gateway.ask("GET", "/api/v1/cart", "Cookie: shop_session=old")
    assert (reply.status, reply.fields.get_all("Cache-Control")) == (401, ["no-store"])
    assert gateway.ask("GET", "/api/v1/cart", f"Cookie: {cookie()}").fields["Cache-Control"].startswith("public")
