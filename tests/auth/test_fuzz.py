"""Whatever is sent to the OAuth endpoints: no 5xx, and no redirect to an address that is not registered."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auth_service.domain.clients import DEVICE_CODE, TOKEN_EXCHANGE
from tests.auth.support import CALLBACK, ISSUER, SCOPE, Pkce
from tests.support.proofs import ASSERTION_TYPE, Key

ODD = ["", "\x00", "'", '"', "\\", "%", "%00", "\r\n", "é", "🐘", " ", "null", "[]", "../", "a" * 3000, "openid"]
texts = st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda each: st.lists(each) | st.dictionaries(texts, each),
    max_leaves=5,
)
PATHS = [
    *("/token", "/revoke", "/par", "/introspect", "/device_authorization", "/authorize", "/logout"),
    *("/account/sign-in", "/account/consent", "/account/device", "/account/sign-out", "/api/v1/auth/login"),
]
KINDS = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""]
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "120"))
quick = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=EXAMPLES <= 120,
    database=None,
)
"""FUZZ_EXAMPLES=5000 looks further, each time elsewhere."""


def form(names: dict[str, Any]) -> st.SearchStrategy[dict[str, list[str]]]:
    """Some of these parameters, each good, odd or repeated."""
    return st.fixed_dictionaries(
        {},
        optional={
            name: st.lists(st.one_of(st.sampled_from(good), texts), min_size=1, max_size=2)
            if name == "any"
            else st.one_of(
                st.sampled_from(good).map(lambda value: [value]),
                st.lists(st.one_of(st.sampled_from(good), texts), min_size=1, max_size=2),
            )
            for name, good in names.items()
        },
    )


AUTHORIZE = {
    "response_type": ["code", "token"],
    "client_id": ["CLIENT"],
    "redirect_uri": [CALLBACK, "http://127.0.0.1:5/callback", "https://evil.example/", "//x"],
    "scope": [SCOPE, "openid"],
    "state": ["s"],
    "nonce": ["n"],
    "code_challenge": [Pkce().challenge],
    "code_challenge_method": ["S256", "plain"],
    "prompt": ["none", "login", "consent"],
    "max_age": ["0", "60"],
    "login_hint": ["reader"],
    "demanded": ["1.x"],
    "claims": ['{"id_token": {"email": null}}', "{}"],
    "acr_values": ["urn:bookstore:acr:2fa"],
    "resource": ["http://localhost:8000", "order-service"],
    "dpop_jkt": [Key().jkt],
    "id_token_hint": ["a.b.c"],
    "request": ["a.b.c"],
    "request_uri": ["https://evil.example/", "urn:ietf:params:oauth:request_uri:x"],
    "any": ["x"],
}
TOKEN = {
    "grant_type": ["authorization_code", "refresh_token", "client_credentials", DEVICE_CODE, TOKEN_EXCHANGE],
    "client_id": ["CLIENT"],
    "client_secret": ["s"],
    "code": ["c"],
    "code_verifier": ["v" * 43],
    "redirect_uri": [CALLBACK],
    "refresh_token": ["r"],
    "scope": ["openid"],
    "token": ["t", "a.b.c"],
    "device_code": ["d"],
    "subject_token": ["a.b.c"],
    "subject_token_type": ["urn:ietf:params:oauth:token-type:access_token"],
    "client_assertion_type": [ASSERTION_TYPE],
    "client_assertion": ["a.b.c", Key().assertion("CLIENT", "x")],
    "resource": ["http://localhost:8000", "order-service"],
    "any": ["x"],
}


LOGOUT = {
    "client_id": ["CLIENT"],
    "id_token_hint": ["a.b.c"],
    "post_logout_redirect_uri": [CALLBACK, "https://evil.example/", "//x"],
    "state": ["s"],
    "any": ["x"],
}
PROOFS = [
    Key().proof("POST", f"{ISSUER}/token"),
    Key().proof("POST", f"{ISSUER}/token", iat=10**30),
    Key().proof("POST", f"{ISSUER}/token", header={"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": 7}}),
    Key().proof("POST", f"{ISSUER}/token", header={"jwk": {"kty": "RSA", "e": "", "n": []}}),
    Key().proof("POST", f"{ISSUER}/token", header={"jwk": {"kty": {}}}),
    Key().proof("POST", f"{ISSUER}/token", htu={}),
    Key().proof("POST", f"{ISSUER}/token", nonce="é"),
]


def filled(fields: dict[str, list[str]], client_id: str) -> dict[str, list[str]]:
    return {name: [value.replace("CLIENT", client_id) for value in values] for name, values in fields.items()}


@quick
@given(fields=form(AUTHORIZE), post=st.booleans())
def test_authorize(app: Flask, public_client: str, fields: dict[str, list[str]], post: bool) -> None:
    client, sent = app.test_client(), filled(fields, public_client)
    answer = client.post("/authorize", data=sent) if post else client.get("/authorize", query_string=sent)
    assert answer.status_code in (303, 400)
    if answer.location:
        to = urlsplit(answer.location)
        ours = (to.scheme, to.netloc) == ("", "") and to.path in ("/authorize", "/account/sign-in")
        theirs = to.scheme == "http" and to.hostname == "127.0.0.1" and to.path == "/callback"
        assert ours or theirs
        if ours:
            assert client.get(answer.location).status_code in (200, 303, 400)


@quick
@given(
    fields=form(TOKEN),
    path=st.sampled_from(["/token", "/revoke", "/introspect", "/device_authorization"]),
    authorization=st.one_of(st.none(), st.sampled_from(["Basic Og==", "Basic gICA", "Basic x", "Bearer x", "Basic"])),
    proof=st.one_of(st.none(), st.sampled_from(PROOFS), st.text(st.characters(codec="latin-1", min_codepoint=32))),
)
def test_what_clients_call(
    app: Flask,
    public_client: str,
    fields: dict[str, list[str]],
    path: str,
    authorization: str | None,
    proof: str | None,
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    headers |= {"DPoP": proof} if proof is not None else {}
    answer = app.test_client().post(path, data=filled(fields, public_client), headers=headers)
    assert answer.status_code in (200, 400, 401)
    if answer.status_code != 200:
        assert answer.json.keys() == {"error", "error_description"}


@quick
@given(fields=form(AUTHORIZE))
def test_par(app: Flask, public_client: str, fields: dict[str, list[str]]) -> None:
    """What can be pushed can be opened, and leads nowhere else either."""
    client, sent = app.test_client(), filled(fields, public_client)
    answer = client.post("/par", data=sent)
    assert answer.status_code in (201, 400, 401)
    if answer.status_code == 201:
        opened = {"client_id": public_client, "request_uri": answer.json["request_uri"]}
        onward = client.get("/authorize", query_string=opened)
        assert onward.status_code == 303
        assert onward.location.startswith(("/account/sign-in?", "http://127.0.0.1"))


@quick
@given(fields=form(LOGOUT), post=st.booleans())
def test_logout(app: Flask, public_client: str, fields: dict[str, list[str]], post: bool) -> None:
    client, sent = app.test_client(), filled(fields, public_client)
    answer = client.post("/logout", data=sent) if post else client.get("/logout", query_string=sent)
    assert answer.status_code in (200, 303, 400)
    assert urlsplit(answer.location or "/logout")[:3] == ("", "", "/logout")


@quick
@given(body=documents)
def test_json(app: Flask, body: Any) -> None:
    for path in ("register", "login", "refresh"):
        answer = app.test_client().post(f"/api/v1/auth/{path}", data=json.dumps(body), content_type="application/json")
        assert answer.status_code == 422
        assert answer.content_type == "application/problem+json"


@quick
@given(raw=st.binary(max_size=200), kind=st.sampled_from(KINDS))
def test_bodies(app: Flask, raw: bytes, kind: str) -> None:
    for path in PATHS:
        assert app.test_client().post(path, data=raw, content_type=kind).status_code < 500
