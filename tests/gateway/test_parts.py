"""The parts that can be looked at without a process: the table, targets, heads, settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config import ConfigError
from common.errors import BadRequest
from gateway.config import GatewayConfig
from gateway.http1 import Garbled, parse_head
from gateway.paths import routable, split_target
from gateway.proxy import Gateway
from gateway.routes import ROUTES, Access, RouteTable
from gateway.security import SecurityHeaders
from tests.gateway.conftest import GATEWAY_SECRETS

BOOK = "/api/v1/books/01a1fca7-56b0-7024-a1c5-5813000ebd3a"


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/api/v1/books", "catalog"),
        (BOOK, "catalog"),
        (f"{BOOK}/similar", "catalog"),
        (f"{BOOK}/reviews", "review"),
        ("/api/v1/reviews/1/helpful", "review"),
        ("/api/v1/admin/reviews", "review"),
        ("/api/v1/books/suggest", "catalog"),
        ("/api/v1/admin/suggestions", "catalog"),
        ("/api/v1/auth/me", "auth"),
        ("/api/v1/users/me", "auth"),
        ("/api/v1/admin/clients/x/rotate-secret", "auth"),
        ("/authorize", "auth"),
        ("/account/sign-in", "auth"),
        ("/.well-known/openid-configuration", "auth"),
        ("/api/v1/orders/1/pay", "order"),
        ("/api/v1/payments/webhook/stripe", "order"),
        ("/api/v1/admin/analytics/sales/summary", "order"),
        ("/api/v1/cart/", "order"),
    ],
)
def test_a_path_has_its_service(path: str, service: str) -> None:
    route = RouteTable().find(path)
    assert route is not None
    assert route.service == service


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1", "/api/v1/admin", "/internal", "/internal/books"])
@pytest.mark.parametrize("suffix", ["", "/"])
def test_no_prefix_of_a_prefix_is_routed(path: str, suffix: str) -> None:
    assert RouteTable().find(path + suffix) is None


@pytest.mark.parametrize("path", ["/api/v1/bookshop", "/.well-known", "/tokens", "/readyz", "/Api/v1/books"])
def test_other_paths_have_none(path: str) -> None:
    assert RouteTable().find(path) is None


def test_everything_for_staff_needs_a_token() -> None:
    for route in ROUTES:
        if route.prefix.startswith("/api/v1/admin"):
            assert route.access is Access.PROTECTED, route


def test_no_prefix_is_there_twice() -> None:
    assert len({route.prefix for route in ROUTES}) == len(ROUTES)


@given(st.text(alphabet="ab./%25;\\cfF0eE?#", max_size=30))
def test_what_is_routable_means_the_same_to_everybody(text: str) -> None:
    """Whatever gets through, a reader that decodes and normalises the path has what we looked up."""
    try:
        path, _ = split_target(f"/{text}")
        decoded = routable(path)
    except BadRequest:
        return
    segments = decoded.split("/")[1:]
    assert not {".", ".."} & set(segments)
    assert "" not in segments[:-1]
    assert path.count("/") == decoded.count("/")
    assert not set("\\;\0") & set(decoded) - set("\\;\0" if "%25" in path else "")


@given(st.text(alphabet="HTP/1. 20OK:\r\nabC-\x00é", max_size=60))
def test_a_head_is_understood_or_refused(text: str) -> None:
    try:
        head = parse_head(f"HTTP/1.1 200 OK\r\n{text}\r\n\r\n".encode("latin-1"), "GET")
    except Garbled:
        return
    assert all("\n" not in value and "\r" not in value and "\0" not in value for _, value in head.fields)


def test_every_mistake_in_the_settings_is_named() -> None:
    wrong = {"CATALOG_URL": "https://x/y", "BODY_LIMIT": "0", "CORS_ORIGINS": "shop.example", "TRUSTED_NETWORKS": "x"}
    wrong |= {"UPSTREAM_ANSWER_SECONDS": "never", "ORDER_WORKER_URL": "ftp://x", "METRICS_PORT": "70000"}
    wrong |= {"FILES_LIMIT": "x"}
    with pytest.raises(ConfigError) as error:
        GatewayConfig.from_env(wrong)
    assert [name for name in wrong if name not in str(error.value)] == []


def test_the_defaults_fit_a_store_on_one_machine() -> None:
    config = GatewayConfig.from_env(GATEWAY_SECRETS)
    assert config.service_urls == {
        "auth": "http://127.0.0.1:8101",
        "catalog": "http://127.0.0.1:8102",
        "order": "http://127.0.0.1:8103",
        "review": "http://127.0.0.1:8104",
        "order-stream": "http://127.0.0.1:8105",
    }
    assert config.cors_origins == frozenset()


def test_https_is_made_to_stay() -> None:
    fields: list[tuple[str, str]] = []
    SecurityHeaders("https://shop.example").add(fields)
    assert "max-age=31536000" in dict(fields)["Strict-Transport-Security"]


@pytest.mark.parametrize(
    ("networks", "peer", "forwarded", "expected"),
    [
        ("", "10.0.0.1", "6.6.6.6", "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("10.0.0.0/8", "10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        ("10.0.0.0/8", "1.2.3.4", "6.6.6.6", "1.2.3.4"),
        ("10.0.0.0/8", "10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1", "1.2.3.4, nonsense", "10.0.0.1"),
    ],
)
def test_only_a_trusted_proxy_names_the_client(networks: str, peer: str, forwarded: str, expected: str) -> None:
    config = GatewayConfig.from_env(GATEWAY_SECRETS | ({"TRUSTED_NETWORKS": networks} if networks else {}))
    gateway = Gateway(config, None, None, {}, None)  # type: ignore[arg-type]
    assert gateway._client_address({"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}) == expected
