"""Header fields in both directions, identifiers, and what browsers are told."""

from __future__ import annotations

import pytest

from tests.gateway.conftest import SHOP, RunningGateway
from tests.gateway.standin import StandIn

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_fields_of_this_hop_stay_here(gateway: RunningGateway) -> None:
    sent = ("Connection: close, X-Hop", "X-Hop: 1", "Keep-Alive: 5", "TE: trailers", "Upgrade: h2c", "X-End: 1")
    names = {name for name, _ in gateway.ask("GET", "/api/v1/books", *sent).json()["fields"]}
    assert names.isdisjoint({"Connection", "X-Hop", "Keep-Alive", "Te", "TE", "Upgrade"})
    assert "X-End" in names


def test_fields_of_the_inner_hop_stay_there(gateway: RunningGateway, catalog: StandIn) -> None:
    fields = b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Powered-By: x\r\nX-End: 1\r\n"
    catalog.on("/api/v1/books/1", lambda exchange: exchange.answer(b"{}", fields=fields))
    got = gateway.ask("GET", "/api/v1/books/1").fields
    assert not {"X-Hop", "Keep-Alive", "X-Powered-By", "Server"} & set(got)
    assert (got["X-End"], len(got.get_all("Date", []))) == ("1", 1)


@pytest.mark.parametrize("target", ["/api/v1/books", "/livez", "/nowhere", "/api/v1/orders", "/a//b"])
def test_every_answer_has_one_request_id_and_the_security_fields(gateway: RunningGateway, target: str) -> None:
    fields = gateway.ask("GET", target).fields
    expected = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin"}
    assert {name: fields.get_all(name) for name in expected} == {name: [value] for name, value in expected.items()}
    assert "default-src 'none'" in fields["Content-Security-Policy"]
    assert len(fields.get_all("X-Request-ID", [])) == 1
    assert "Server" not in fields
    assert "Strict-Transport-Security" not in fields  # the public address is not https here


def test_a_policy_of_the_service_goes_before_ours(gateway: RunningGateway) -> None:
    policy = b"Content-Security-Policy: default-src 'self'\r\n"
    gateway.services["auth"].on("/account/sign-in", lambda exchange: exchange.answer(b"<html>", fields=policy))
    reply = gateway.ask("GET", "/account/sign-in")
    assert reply.fields.get_all("Content-Security-Policy") == ["default-src 'self'"]


def test_a_request_id_is_kept_and_passed_on(gateway: RunningGateway, catalog: StandIn) -> None:
    reply = gateway.ask("GET", "/api/v1/books", "X-Request-ID: my-id.1")
    assert (reply.fields["X-Request-ID"], catalog.seen[-1].one("X-Request-ID")) == ("my-id.1", "my-id.1")


@pytest.mark.parametrize("wild", ["a b", "x" * 200, '{"a":1}', "é", "-"])
def test_a_wild_request_id_is_replaced(gateway: RunningGateway, catalog: StandIn, wild: str) -> None:
    made = gateway.ask("GET", "/api/v1/books", f"X-Request-ID: {wild}").fields["X-Request-ID"]
    assert made != wild
    assert catalog.seen[-1].one("X-Request-ID") == made


def test_a_trace_is_continued(gateway: RunningGateway, catalog: StandIn) -> None:
    gateway.ask("GET", "/api/v1/books", f"traceparent: {TRACE}")
    version, trace, span, flags = catalog.seen[-1].one("traceparent").split("-")
    assert (version, trace, flags) == ("00", TRACE.split("-")[1], "01")
    assert span != TRACE.split("-")[2]


@pytest.mark.parametrize("given", [(), ("traceparent: nonsense",), (f"traceparent: {TRACE}", f"traceparent: {TRACE}")])
def test_a_trace_begins_here_when_there_is_none(
    gateway: RunningGateway, catalog: StandIn, given: tuple[str, ...]
) -> None:
    gateway.ask("GET", "/api/v1/books", *given)
    trace = catalog.seen[-1].one("traceparent").split("-")[1]
    assert len(trace) == 32
    assert trace != TRACE.split("-")[1]


def test_an_allowed_origin_may_read(gateway: RunningGateway, catalog: StandIn) -> None:
    fields = b"Vary: Accept\r\nAccess-Control-Allow-Origin: *\r\n"
    catalog.on("/api/v1/books/1", lambda exchange: exchange.answer(b"{}", fields=fields))
    got = gateway.ask("GET", "/api/v1/books/1", f"Origin: {SHOP}").fields
    assert got.get_all("Access-Control-Allow-Origin") == [SHOP]
    assert got["Access-Control-Allow-Credentials"] == "true"
    assert got["Vary"] == "Accept, Origin"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{SHOP}.evil.example", "http://shop.example"])
def test_another_origin_may_not(gateway: RunningGateway, catalog: StandIn, origin: str) -> None:
    catalog.on("/api/v1/books/1", lambda e: e.answer(b"{}", fields=b"Access-Control-Allow-Origin: *\r\n"))
    got = gateway.ask("GET", "/api/v1/books/1", f"Origin: {origin}").fields
    assert "Access-Control-Allow-Origin" not in got
    assert got["Vary"] == "Origin"


def test_errors_can_be_read_by_an_allowed_origin(gateway: RunningGateway) -> None:
    reply = gateway.ask("GET", "/api/v1/orders", f"Origin: {SHOP}")
    assert (reply.status, reply.fields["Access-Control-Allow-Origin"]) == (401, SHOP)


def test_a_preflight_is_answered_here(gateway: RunningGateway, order: StandIn) -> None:
    asked = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization")
    allowed = gateway.ask("OPTIONS", "/api/v1/orders", f"Origin: {SHOP}", *asked)
    refused = gateway.ask("OPTIONS", "/api/v1/orders", "Origin: https://evil.example", *asked)
    assert (allowed.status, allowed.fields["Access-Control-Allow-Origin"]) == (204, SHOP)
    assert "Authorization" in allowed.fields["Access-Control-Allow-Headers"]
    assert not [name for name in refused.fields if name.startswith("Access-Control")]
    assert not order.seen


PREFLIGHT = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type")
TOLD = b"Access-Control-Allow-Origin: https://app.example\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n"


@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
def test_at_oauth_endpoints_the_service_says_which_origins_may_read(gateway: RunningGateway, method: str) -> None:
    gateway.services["auth"].on("/token", lambda exchange: exchange.answer(b"{}", fields=TOLD))
    got = gateway.ask(method, "/token", "Origin: https://app.example", *PREFLIGHT, "Content-Length: 0").fields
    assert got.get_all("Access-Control-Allow-Origin") == ["https://app.example"]
    assert "Access-Control-Allow-Credentials" not in got
    gateway.services["auth"].on("/token", lambda exchange: exchange.answer(b"{}"))
    got = gateway.ask(method, "/token", f"Origin: {SHOP}", *PREFLIGHT, "Content-Length: 0").fields
    assert not [name for name in got if name.startswith("Access-Control")]


@pytest.mark.parametrize("target", ["/bff/session", "/health", "/authorize", "/par", "/", "/socket.io/"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_what_is_not_the_api_is_read_by_no_other_origin(gateway: RunningGateway, method: str, target: str) -> None:
    got = gateway.ask(method, target, f"Origin: {SHOP}", *PREFLIGHT).fields
    assert not [name for name in got if name.startswith("Access-Control")]
