"""Tokens bound to a key (RFC 9449) at the gateway, by its public address; and where its challenges point (RFC 9728)."""

from __future__ import annotations

import os

import pytest

from common.dpop import check_proof
from gateway.proofs import SharedProofs
from tests.gateway.conftest import RunningGateway
from tests.gateway.standin import Exchange, closed_port
from tests.support.proofs import Key
from tests.support.tokens import ISSUER, claims, sign

ORDERS = "/api/v1/orders"
METADATA = f'resource_metadata="{ISSUER}/.well-known/oauth-protected-resource"'


@pytest.fixture
def key() -> Key:
    return Key()


@pytest.fixture
def bound(key: Key) -> str:
    return sign(claims(cnf={"jkt": key.jkt}))


def lines(key: Key, method: str, url: str, token: str) -> list[str]:
    return [f"{name}: {value}" for name, value in key.headers(method, url, token).items()]


def test_the_holder_gets_through_and_the_service_sees_the_proof(gateway: RunningGateway, key: Key, bound: str) -> None:
    sent = lines(key, "GET", ISSUER + ORDERS, bound)
    reply = gateway.ask("GET", f"{ORDERS}?limit=1", *sent)
    assert reply.status == 200
    assert {name.lower() for name, _ in reply.json()["fields"]} >= {"authorization", "dpop"}


def test_a_proof_gets_through_once(gateway: RunningGateway, key: Key, bound: str) -> None:
    sent = lines(key, "GET", ISSUER + ORDERS, bound)
    assert [gateway.ask("GET", ORDERS, *sent).status for _ in range(2)] == [200, 401]


def test_a_stolen_token_does_not(gateway: RunningGateway, key: Key, bound: str) -> None:
    inside = f"http://127.0.0.1:{gateway.port}{ORDERS}"
    for sent in (
        [f"Authorization: Bearer {bound}"],
        [f"Authorization: DPoP {bound}"],
        lines(Key(), "GET", ISSUER + ORDERS, bound),
        lines(key, "POST", ISSUER + ORDERS, bound),
        lines(key, "GET", f"{ISSUER}/api/v1/cart", bound),
        lines(key, "GET", inside, bound),
        [*lines(key, "GET", ISSUER + ORDERS, bound), f"DPoP: {key.proof('GET', ISSUER + ORDERS, token=bound)}"],
    ):
        reply = gateway.ask("GET", ORDERS, *sent)
        assert reply.status == 401
        assert reply.fields["WWW-Authenticate"].startswith("DPoP ")
        assert METADATA in reply.fields["WWW-Authenticate"]
    assert not gateway.services["order"].targets()


def test_a_public_route_verifies_the_proof_too(gateway: RunningGateway, key: Key, bound: str) -> None:
    assert gateway.ask("GET", "/api/v1/books", f"Authorization: DPoP {bound}").status == 401
    assert gateway.ask("GET", "/api/v1/books", *lines(key, "GET", f"{ISSUER}/api/v1/books", bound)).status == 200


def test_a_token_for_one_service_is_not_for_the_gateway(gateway: RunningGateway) -> None:
    for audience, status in (("order-service", 401), (ISSUER, 200), ("bookstore-api", 200)):
        token = sign(claims(aud=audience))
        assert gateway.ask("GET", ORDERS, f"Authorization: Bearer {token}").status == status


def test_challenges_point_to_the_metadata(gateway: RunningGateway) -> None:
    own = gateway.ask("GET", ORDERS)
    assert own.fields["WWW-Authenticate"] == f'Bearer realm="bookstore", {METADATA}'

    def refuse(exchange: Exchange) -> None:
        exchange.answer(b"{}", b"403 Forbidden", b'WWW-Authenticate: Bearer error="insufficient_scope"\r\n')

    gateway.services["catalog"].on("/api/v1/books", refuse)
    assert METADATA in gateway.ask("GET", "/api/v1/books").fields["WWW-Authenticate"]


def test_client_authentication_is_no_matter_of_tokens(gateway: RunningGateway) -> None:
    def refuse(exchange: Exchange) -> None:
        exchange.answer(b"{}", b"401 Unauthorized", b'WWW-Authenticate: Basic realm="bookstore"\r\n')

    gateway.services["auth"].on("/token", refuse)
    reply = gateway.ask("POST", "/token", "Content-Length: 0")
    assert reply.fields["WWW-Authenticate"] == 'Basic realm="bookstore"'


@pytest.mark.redis
def test_a_proof_counts_once_over_all_replicas(key: Key) -> None:
    url = os.environ["TEST_REDIS_URL"]
    one, other = SharedProofs(url), SharedProofs(url)
    proof, later = (check_proof(key.proof("GET", ISSUER), method="GET", url=ISSUER) for _ in range(2))
    assert [one.is_new(proof), other.is_new(proof), one.is_new(proof), other.is_new(later)] == [
        True,
        False,
        False,
        True,
    ]


def test_proofs_are_remembered_while_the_redis_is_away(key: Key) -> None:
    with closed_port() as port:
        proofs = SharedProofs(f"redis://127.0.0.1:{port}")
        proof = check_proof(key.proof("GET", ISSUER), method="GET", url=ISSUER)
        assert [proofs.is_new(proof), proofs.is_new(proof)] == [True, False]
