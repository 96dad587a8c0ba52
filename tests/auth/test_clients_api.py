"""/api/v1/admin/clients, as API.md has it, in the names of RFC 7591."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from auth_service.domain import clients
from auth_service.domain.clients import TOKEN_EXCHANGE as EXCHANGE
from common.db import Database
from tests.auth.support import Browser, Pkce, authorization
from tests.support.proofs import Key

JWK = Key().public_jwk
PATH = "/api/v1/admin/clients"
NEW = {
    "client_name": "Reading list",
    "redirect_uris": ["https://reading.example/callback"],
    "grant_types": ["authorization_code", "refresh_token"],
    "scope": "openid profile orders:read",
}
FIELDS = {
    *("client_id", "client_id_issued_at", "client_name", "redirect_uris", "post_logout_redirect_uris"),
    *("grant_types", "scope", "token_endpoint_auth_method", "trusted", "jwks", "dpop_bound_access_tokens"),
    "id_token_signed_response_alg",
    *("require_pushed_authorization_requests", "backchannel_logout_uri", "backchannel_logout_session_required"),
}


@pytest.fixture
def made(client: FlaskClient, admin: dict[str, str]) -> dict[str, Any]:
    answer = client.post(PATH, json=NEW, headers=admin)
    assert answer.status_code == 201, answer.json
    return answer.json


def test_a_secret_is_shown_once(client: FlaskClient, admin: dict[str, str], made: dict[str, Any]) -> None:
    assert made.keys() == FIELDS | {"client_secret", "client_secret_expires_at"}
    assert (made["client_secret_expires_at"], made["trusted"]) == (0, False)
    read = client.get(f"{PATH}/{made['client_id']}", headers=admin).json
    assert read.keys() == FIELDS
    assert read == {name: made[name] for name in FIELDS}
    assert "client_secret" not in client.get(PATH, headers=admin).json["items"][0]


def test_the_secret_works(client: FlaskClient, admin: dict[str, str]) -> None:
    body = {"client_name": "m", "grant_types": ["client_credentials"], "scope": "orders:read"}
    made = client.post(PATH, json=body, headers=admin).json
    form = {"grant_type": "client_credentials"}

    def try_secret(secret: str) -> int:
        return client.post("/token", data=form, auth=(made["client_id"], secret)).status_code

    assert try_secret(made["client_secret"]) == 200
    rotated = client.post(f"{PATH}/{made['client_id']}/rotate-secret", headers=admin).json["client_secret"]
    assert (try_secret(made["client_secret"]), try_secret(rotated)) == (401, 200)


def test_an_answer_with_a_secret_is_not_kept(client: FlaskClient, admin: dict[str, str], made: dict[str, Any]) -> None:
    path = f"{PATH}/{made['client_id']}"
    client.put(path, json=NEW | {"token_endpoint_auth_method": "none"}, headers=admin)
    for answer in (
        client.post(PATH, json=NEW, headers=admin),
        client.put(path, json=NEW, headers=admin),
        client.post(f"{path}/rotate-secret", headers=admin),
    ):
        assert answer.json["client_secret"]
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_public_client_has_no_secret(client: FlaskClient, admin: dict[str, str]) -> None:
    made = client.post(PATH, json=NEW | {"token_endpoint_auth_method": "none"}, headers=admin).json
    assert made.keys() == FIELDS
    rotated = client.post(f"{PATH}/{made['client_id']}/rotate-secret", headers=admin)
    assert (rotated.status_code, rotated.json["code"]) == (409, "public_client")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"redirect_uris": ["http://evil.example/cb"]}, "redirect_uris.0"),
        ({"redirect_uris": ["https://a.example/", "javascript:alert(1)"]}, "redirect_uris.1"),
        ({"redirect_uris": []}, "redirect_uris"),
        ({"post_logout_redirect_uris": ["https://a.example/#x"]}, "post_logout_redirect_uris.0"),
        ({"grant_types": ["password"]}, "grant_types"),
        ({"grant_types": []}, "grant_types"),
        ({"scope": "openid nonsense"}, "scope"),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "token_endpoint_auth_method"),
        ({"grant_types": [EXCHANGE], "token_endpoint_auth_method": "none"}, "token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "jwks"),
        ({"jwks": {"keys": []}}, "jwks"),
        ({"jwks": {"keys": "x"}}, "jwks"),
        ({"jwks": {"keys": [JWK], "more": 1}}, "jwks"),
        ({"jwks": {"keys": [JWK | {"d": "secret"}]}}, "jwks"),
        ({"jwks": {"keys": [JWK | {"x": "AA"}]}}, "jwks"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}}, "jwks"),
        ({"jwks": {"keys": [{"kty": "RSA", "e": "AQAB", "n": "AQAB"}]}}, "jwks"),
        ({"jwks": {"keys": [JWK | {"kid": 2**70}]}}, "jwks"),
        ({"jwks": {"keys": [JWK | {"x5c": [{"more": 2**70}]}]}}, "jwks"),
        ({"jwks_uri": "https://a.example/jwks"}, "jwks_uri"),
        ({"id_token_signed_response_alg": "none"}, "id_token_signed_response_alg"),
        ({"id_token_signed_response_alg": "HS256"}, "id_token_signed_response_alg"),
        ({"backchannel_logout_uri": "http://a.example/bye"}, "backchannel_logout_uri"),
        ({"backchannel_logout_uri": "com.example.app:/bye"}, "backchannel_logout_uri"),
        ({"grant_types": ["client_credentials"], "token_endpoint_auth_method": "none"}, "token_endpoint_auth_method"),
        ({"client_name": ""}, "client_name"),
        ({"client_name": "x" * 101}, "client_name"),
        ({"client_secret": "chosen"}, "client_secret"),
        ({"trusted": "perhaps"}, "trusted"),
    ],
)
def test_what_cannot_be_registered(
    client: FlaskClient, admin: dict[str, str], change: dict[str, Any], field: str
) -> None:
    body = json.dumps(NEW | change)  # also numbers that our own writer of JSON would refuse
    answer = client.post(PATH, data=body, content_type="application/json", headers=admin)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json["errors"]] == [field]


def test_what_the_protocol_knows_of_a_client_comes_back(client: FlaskClient, admin: dict[str, str]) -> None:
    given = {
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [JWK]},
        "dpop_bound_access_tokens": True,
        "require_pushed_authorization_requests": True,
        "backchannel_logout_uri": "https://reading.example/bye",
        "backchannel_logout_session_required": True,
    }
    made = client.post(PATH, json=NEW | given, headers=admin)
    assert made.status_code == 201
    assert "client_secret" not in made.json
    assert given.items() <= client.get(f"{PATH}/{made.json['client_id']}", headers=admin).json.items()
    rotated = client.post(f"{PATH}/{made.json['client_id']}/rotate-secret", headers=admin)
    assert rotated.status_code == 409


def test_only_staff_may(client: FlaskClient, user: Any, sign_in: Any) -> None:
    customer = {"Authorization": f"Bearer {sign_in(user)['access_token']}"}
    assert client.post(PATH, json=NEW, headers=customer).status_code == 403
    assert client.post(PATH, json=NEW).status_code == 401


def test_replacing(client: FlaskClient, admin: dict[str, str], made: dict[str, Any]) -> None:
    path = f"{PATH}/{made['client_id']}"
    changed = client.put(path, json=NEW | {"client_name": "New", "token_endpoint_auth_method": "none"}, headers=admin)
    assert (changed.status_code, changed.json["client_name"]) == (200, "New")
    back = client.put(path, json=NEW, headers=admin)
    assert back.json["client_secret"] != made["client_secret"]
    assert "client_secret" not in client.put(path, json=NEW, headers=admin).json


def test_deleting_takes_its_tokens(
    client: FlaskClient, admin: dict[str, str], browser: Browser, public_client: str
) -> None:
    token = browser.tokens(public_client)
    assert client.delete(f"{PATH}/{public_client}", headers=admin).status_code == 204
    assert browser.refresh(token["refresh_token"], public_client).json["error"] == "invalid_client"
    assert browser.authorize(**authorization(public_client, Pkce())).status_code == 400
    header = {"Authorization": f"Bearer {token['access_token']}"}
    assert client.get("/userinfo", headers=header).status_code == 401
    assert client.delete(f"{PATH}/{public_client}", headers=admin).status_code == 404


def test_the_list_is_paged(client: FlaskClient, admin: dict[str, str]) -> None:
    for number in range(3):
        client.post(PATH, json=NEW | {"client_name": f"App {number}"}, headers=admin)
    first = client.get(f"{PATH}?limit=2&total=true", headers=admin).json
    second = client.get(f"{PATH}?limit=2&cursor={first['next_cursor']}", headers=admin).json
    names = [each["client_name"] for each in first["items"] + second["items"]]
    assert (names, first["total"], second["next_cursor"]) == (["App 0", "App 1", "App 2"], 3, None)


@pytest.mark.parametrize("client_id", ["nobody", "%00", "a%20b", "x" * 500, "%F0%9F%90%98", "%ff"])
def test_an_unknown_client_is_not_found(client: FlaskClient, admin: dict[str, str], client_id: str) -> None:
    for method in (client.get, client.delete):
        assert method(f"{PATH}/{client_id}", headers=admin).status_code == 404


def test_internal_scopes_are_not_granted(client: FlaskClient, admin: dict[str, str], made: dict[str, Any]) -> None:
    machine = {"client_name": "m", "grant_types": ["client_credentials"], "scope": "orders:read replicas:read"}
    for answer in (
        client.post(PATH, json=machine, headers=admin),
        client.put(f"{PATH}/{made['client_id']}", json=machine, headers=admin),
    ):
        assert (answer.status_code, [each["field"] for each in answer.json["errors"]]) == (422, ["scope"])


@pytest.mark.parametrize(
    "uri",
    [
        "https://10.0.0.7/bye",
        "https://169.254.169.254/latest",
        "https://[::1]/bye",
        "https://[fd00::1]/bye",
        "https://[::ffff:10.0.0.7]/bye",
        "https://192.168.1.1:8443/bye",
    ],
)
def test_nobody_has_us_call_our_own_networks(client: FlaskClient, admin: dict[str, str], uri: str) -> None:
    answer = client.post(PATH, json=NEW | {"backchannel_logout_uri": uri}, headers=admin)
    assert (answer.status_code, [each["field"] for each in answer.json["errors"]]) == (422, ["backchannel_logout_uri"])


def test_a_client_of_the_deployment_is_not_the_staffs_to_change(
    client: FlaskClient, admin: dict[str, str], database: Database
) -> None:
    with database.transaction() as session:
        clients.ensure(session, "their-own", "a secret", clients.Metadata("Own", ["https://x.example/"]), own_origin="")
    path = f"{PATH}/their-own"
    for answer in (
        client.delete(path, headers=admin),
        client.put(path, json=NEW, headers=admin),
        client.post(f"{path}/rotate-secret", headers=admin),
    ):
        assert (answer.status_code, answer.json["code"]) == (409, "client_provisioned")
    assert client.get(path, headers=admin).json["client_name"] == "Own"


@pytest.mark.parametrize("uri", ["https://a.example;sandbox/cb", "https://a_b$.example/cb", "https://a..example/cb"])
def test_an_address_names_a_host(client: FlaskClient, admin: dict[str, str], uri: str) -> None:
    assert client.post(PATH, json=NEW | {"redirect_uris": [uri]}, headers=admin).status_code == 422
