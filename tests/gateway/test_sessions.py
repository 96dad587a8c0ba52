"""What a cookie becomes on its way to a service, and what does not go there."""

from __future__ import annotations

import base64
import time
from dataclasses import replace
from urllib.parse import parse_qsl

import jwt
import orjson
import pytest

from common.assurance import TWO_FACTORS
from gateway.config import GatewayConfig
from gateway.session import portals
from gateway.session.cookies import Cookies
from gateway.session.sealing import Sealer
from gateway.session.sessions import Session, Sessions
from tests.gateway.client import head
from tests.gateway.conftest import GATEWAY_SECRETS, SHOP, RunningGateway
from tests.gateway.standin import Exchange, StandIn
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


def pushed(gateway: RunningGateway, target: str) -> dict[str, str]:
    """What the gateway leaves with the provider to have somebody signed in, and how it authenticates."""
    kept: dict[str, str] = {}

    def push(exchange: Exchange) -> None:
        kept.update(parse_qsl(exchange.body().decode()))
        kept["client"] = base64.b64decode(exchange.one("Authorization").removeprefix("Basic ")).decode()
        exchange.answer(b'{"request_uri": "urn:x", "expires_in": 90}', b"201 Created")

    gateway.services["auth"].on("/par", push)
    reply = gateway.ask("GET", target)
    assert (reply.status, reply.fields["Cache-Control"]) == (302, "no-store")
    assert reply.fields["Location"].endswith(f"client_id={kept['client'].partition(':')[0]}&request_uri=urn%3Ax")
    return kept


def test_each_portal_asks_as_its_own_client_with_all_that_guards_the_way_back(gateway: RunningGateway) -> None:
    shop, staff = pushed(gateway, "/bff/login?return_to=/orders"), pushed(gateway, "/bff/login?return_to=/admin/orders")
    assert (shop["client"], staff["client"]) == ("shop:only-in-tests", "administration:only-in-tests")
    assert shop["redirect_uri"] == f"{tokens.ISSUER}/bff/callback"
    assert (shop["response_type"], shop["code_challenge_method"]) == ("code", "S256")
    for name in ("state", "nonce", "code_challenge"):
        assert len(shop[name]) >= 32
        assert shop[name] != staff[name]
    assert "acr_values" not in shop


def test_a_second_factor_is_asked_for_where_it_is_demanded(gateway: RunningGateway) -> None:
    assert pushed(gateway, "/bff/login?return_to=/orders&step_up=true")["acr_values"] == TWO_FACTORS
    demanding = GatewayConfig.from_env(GATEWAY_SECRETS | {"STEP_UP_SCOPES": "users:manage"})
    assert portals.needs_second_factor(portals.ADMINISTRATION, demanding)
    assert not portals.needs_second_factor(portals.SHOP, demanding)
    assert not portals.needs_second_factor(portals.ADMINISTRATION, GatewayConfig.from_env(GATEWAY_SECRETS))


@pytest.mark.parametrize("answer", [b"{}", b"[]", b"no", b'{"request_uri": null', b'{"error": "invalid_client"}'])
@pytest.mark.parametrize("status", [b"201 Created", b"400 Bad Request", b"500 Internal Server Error"])
def test_a_provider_that_answers_nonsense_is_unavailable(gateway: RunningGateway, answer: bytes, status: bytes) -> None:
    gateway.services["auth"].on("/par", lambda exchange: exchange.answer(answer, status))
    reply = gateway.ask("GET", "/bff/login?return_to=/orders")
    assert (reply.status, reply.fields["Retry-After"]) == (503, "1")
    assert b"/bff/login?return_to=%2Forders" in reply.body or b"/bff/login?return_to=/orders" in reply.body


def test_over_https_the_cookies_are_bound_to_the_host() -> None:
    jar = Cookies(secure=True)
    assert jar.session("shop") == "__Host-shop_session"
    name, value = jar.set(jar.flow("abcdefghijk"), "x", 60)
    assert (name, value) == (
        "Set-Cookie",
        "__Host-login_abcdefgh=x; Max-Age=60; Path=/; HttpOnly; SameSite=Lax; Secure",
    )
    environ = {"HTTP_COOKIE": "shop_session=mine; __Host-shop_session=x; __Host-login_a=y"}
    jar.strip(environ)
    assert environ["HTTP_COOKIE"] == "shop_session=mine"


def test_what_does_not_fit_is_left_out_and_never_cut(gateway: RunningGateway) -> None:
    sealer = Sealer(["k" * 40])
    sessions = Sessions(sealer, Cookies(secure=False), None, None, "http://localhost")  # type: ignore[arg-type]
    later = time.time() + 60
    small = Session("shop", "a" * 1000, "r", "i" * 800, "e", CSRF, later, later, later)
    large = replace(small, id_token="i" * 2500)
    opened = [
        Session(*orjson.loads(sealer.open("shop_session", sessions.put(each)[1].split("=", 1)[1].partition(";")[0])))
        for each in (small, large)
    ]
    assert opened == [small, replace(large, id_token="")]
    with pytest.raises(ValueError, match="fit"):
        sessions.put(replace(small, access_token="a" * 4000))
