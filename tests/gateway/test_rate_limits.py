"""How often somebody may ask, in memory and in Redis, and what is told about it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from common.addresses import network_of
from common.errors import TooManyRequests
from devstack.tcp_proxy import TcpProxy
from gateway.ratelimit import RateLimits, parsed_limits
from gateway.routes import Limit, RouteTable
from tests.gateway.conftest import RunningGateway, running_gateway, stand_ins
from tests.gateway.standin import closed_port
from tests.support.tokens import bearer
from tests.support.waiting import eventually

FEW = {"RATE_LIMITS_ENABLED": "true", "RATE_LIMITS": "reads=4/hour,writes=2/hour,sign-in=3/hour"}
TRUSTED = {"TRUSTED_NETWORKS": "127.0.0.0/8"}


@pytest.fixture(scope="module")
def limited() -> Iterator[RunningGateway]:
    with running_gateway(stand_ins(), **FEW, **TRUSTED) as gateway:
        yield gateway


def ask(gateway: RunningGateway, address: str, target: str = "/api/v1/genres", *fields: str, method: str = "GET"):
    return gateway.ask(method, target, f"X-Forwarded-For: {address}", "Content-Length: 0", *fields)


def test_what_is_left_is_told_and_then_it_is_enough(limited: RunningGateway) -> None:
    replies = [ask(limited, "192.0.2.1") for _ in range(6)]
    assert [reply.status for reply in replies] == [200] * 4 + [429] * 2
    assert {reply.fields["RateLimit-Policy"] for reply in replies} == {'"reads";q=4;w=3600'}
    left = [reply.fields["RateLimit"].split(";") for reply in replies]
    assert [each[:2] for each in left] == [['"reads"', f"r={n}"] for n in (3, 2, 1, 0, 0, 0)]
    seconds = [int(each[2].removeprefix("t=")) for each in left]
    assert all(0 < after <= before <= 3600 for before, after in pairwise(seconds))
    refused = replies[-1]
    assert refused.json()["code"] == "too_many_requests"
    assert 0 < int(refused.fields["Retry-After"]) <= 3600
    assert refused.fields["X-Content-Type-Options"] == "nosniff"
    assert len(limited.services["catalog"].seen) == 4


def test_classes_and_people_are_counted_apart(limited: RunningGateway) -> None:
    alice, bob = (f"Authorization: {bearer()['Authorization']}" for _ in range(2))
    path = "/api/v1/orders"
    assert [ask(limited, "192.0.2.2", path, alice).status for _ in range(5)] == [200] * 4 + [429]
    assert ask(limited, "192.0.2.3", path, alice).status == 429, "wherever she asks from"
    assert ask(limited, "192.0.2.2", path, bob).status == 200
    assert [ask(limited, "192.0.2.2", path, alice, method="POST").status for _ in range(3)] == [200, 200, 429]
    assert ask(limited, "192.0.2.2").status == 200


def test_bad_tokens_are_counted_by_address(limited: RunningGateway) -> None:
    statuses = [ask(limited, "192.0.2.4", "/api/v1/orders", "Authorization: Bearer x").status for _ in range(5)]
    assert statuses == [401] * 4 + [429]


def test_bad_cookies_are_counted_by_address(limited: RunningGateway) -> None:
    replies = [ask(limited, "192.0.2.6", "/api/v1/orders", "Cookie: shop_session=x") for _ in range(5)]
    assert [reply.json()["code"] for reply in replies] == ["session_ended"] * 4 + ["too_many_requests"]


def test_a_network_of_ipv6_is_one_address(limited: RunningGateway) -> None:
    assert [ask(limited, f"2001:db8::{n}").status for n in range(1, 6)] == [200] * 4 + [429]
    assert ask(limited, "2001:db8:0:1::1").status == 200
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1")


def test_an_address_is_believed_from_trusted_proxies_only() -> None:
    with running_gateway(stand_ins(), **FEW) as gateway:
        assert [ask(gateway, f"192.0.2.{n}").status for n in range(5)] == [200] * 4 + [429]


def test_the_gateways_own_pages_are_counted_too(limited: RunningGateway) -> None:
    answers = [ask(limited, "192.0.2.5", "/bff/login?return_to=//x").status for _ in range(4)]
    assert answers == [400] * 3 + [429]
    assert [ask(limited, "192.0.2.5", "/livez").status for _ in range(9)] == [200] * 9


def test_one_persons_requests_under_way_have_a_bound() -> None:
    services, goes_on = stand_ins(), threading.Event()
    services["order"].on("/api/v1/cart", lambda exchange: (goes_on.wait(10), exchange.answer()))
    one, other = (f"Authorization: {bearer()['Authorization']}" for _ in range(2))
    usual = {"RATE_LIMITS_ENABLED": "true", "UPSTREAM_ANSWER_SECONDS": "20"}
    with running_gateway(services, **usual, REQUESTS_PER_PERSON="3") as gateway, ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(gateway.ask, "GET", "/api/v1/cart", one) for _ in range(3)]
        eventually(lambda: len(services["order"].seen) == 3)
        refused = gateway.ask("GET", "/api/v1/orders", one)
        assert (refused.status, refused.json()["code"], refused.fields["Retry-After"]) == (
            429,
            "too_many_requests",
            "1",
        )
        assert gateway.ask("GET", "/api/v1/orders", other).status == 200
        assert gateway.ask("GET", "/api/v1/books").status == 200
        goes_on.set()
        assert [each.result().status for each in slow] == [200] * 3
        assert gateway.ask("GET", "/api/v1/orders", one).status == 200


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("GET", "/api/v1/books", Limit.SEARCH),
        ("GET", "/api/v1/books/suggest", Limit.SEARCH),
        ("GET", "/api/v1/books/1", Limit.READS),
        ("GET", "/api/v1/books/1/similar", Limit.READS),
        ("PUT", "/api/v1/books/1", Limit.WRITES),
        ("POST", "/api/v1/books/1/images", Limit.UPLOADS),
        ("POST", "/api/v1/auth/login", Limit.SIGN_IN),
        ("POST", "/api/v1/auth/password-reset", Limit.SIGN_IN),
        ("POST", "/account/sign-in", Limit.SIGN_IN),
        ("GET", "/account/sign-in", Limit.READS),
        ("GET", "/api/v1/orders/events", Limit.STREAMS),
        ("POST", "/api/v1/payments/webhook/stripe", Limit.WEBHOOKS),
    ],
)
def test_a_request_has_its_class(method: str, path: str, limit: Limit) -> None:
    route = RouteTable().find(path)
    assert route is not None
    assert route.limit(method) is limit


def test_a_storage_that_is_away_limits_nobody_and_costs_no_time() -> None:
    with closed_port() as port:
        url = f"redis://127.0.0.1:{port}"
        limits = RateLimits(parsed_limits({"reads": "1/hour"}), url)
        began = time.monotonic()
        for _ in range(500):
            limits.count(Limit.READS, "somebody", told := [])
        assert not told
        assert time.monotonic() - began < 2.0


def counts(limits: RateLimits, who: str) -> bool:
    """Whether the request was counted."""
    limits.count(Limit.READS, who, told := [])
    return bool(told)


@pytest.mark.redis
def test_replicas_count_together() -> None:
    who = f"test-{uuid4()}"
    one, other = (RateLimits(parsed_limits({"reads": "3/hour"}), os.environ["TEST_REDIS_URL"]) for _ in range(2))
    assert [counts(each, who) for each in (one, other, one)] == [True] * 3
    with pytest.raises(TooManyRequests):
        counts(other, who)


@pytest.mark.redis
@pytest.mark.parametrize("fault", ["cut", "swallow"])
def test_requests_pass_while_redis_is_away_and_are_counted_again_when_it_is_back(fault: str) -> None:
    address = urlsplit(os.environ["TEST_REDIS_URL"])
    proxy = TcpProxy(address.hostname or "127.0.0.1", address.port or 6379)
    limits = RateLimits(parsed_limits({}), urlunsplit(address._replace(netloc=f"127.0.0.1:{proxy.port}")))
    who = f"test-{uuid4()}"
    try:
        assert counts(limits, who)
        getattr(proxy, fault)()
        began = time.monotonic()
        assert not any(counts(limits, who) for _ in range(100))
        assert time.monotonic() - began < 1.0
        assert REGISTRY.get_sample_value("rate_limit_storage_up") == 0
        proxy.cut()
        proxy.restore()
        assert eventually(lambda: counts(limits, who), within=10)
        assert REGISTRY.get_sample_value("rate_limit_storage_up") == 1
    finally:
        proxy.cut()


def test_a_window_passes() -> None:
    limits = RateLimits(parsed_limits({"reads": "1/second"}))
    limits.count(Limit.READS, "somebody", [])

    def is_let_in() -> bool:
        try:
            limits.count(Limit.READS, "somebody", [])
        except TooManyRequests:
            return False
        return True

    assert eventually(is_let_in, within=3)
