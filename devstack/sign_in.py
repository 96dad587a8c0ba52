"""Signing in as any OAuth client does: authorization code with PKCE (RFC 7636), on the real sign-in page."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import requests

from devstack.accounts import DEMO_CLIENT, DEMO_SCOPE, Account

REDIRECT = "http://127.0.0.1:49152/callback"
"""Nobody listens there: the answer is read off the redirect. The port is free to choose (RFC 8252 section 7.3)."""
TIMEOUT_SECONDS = 30
MOST_PAGES = 10


class SignInFailed(Exception):
    """The provider did not do what it should have."""


@dataclass
class Form(HTMLParser):
    """The first form of a page that is sent by POST, and what it has filled in already."""

    action: str | None = None
    fields: dict[str, str] = field(default_factory=dict)
    _inside: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None and given.get("method", "").lower() == "post":
            self.action, self._inside = given.get("action", ""), True
        elif tag == "input" and self._inside and "name" in given:
            self.fields[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "form"


def sign_in(origin: str, account: Account) -> str:
    """The access token that `account` grants the demo. Raises SignInFailed."""
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    with requests.Session() as browser:
        code = _authorise(browser, origin, account, _challenge(verifier), state)
        answer = browser.post(
            f"{origin}/token",
            data={
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": REDIRECT,
                "client_id": DEMO_CLIENT,
                "code_verifier": verifier,
            },
            timeout=TIMEOUT_SECONDS,
        )
    if answer.status_code != 200:
        raise SignInFailed(f"POST /token answered {answer.status_code}: {answer.text[:200]}")
    token: str = answer.json()["access_token"]
    return token


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _authorise(browser: requests.Session, origin: str, account: Account, challenge: str, state: str) -> str:
    """The authorization code, after as many pages as the provider shows."""
    parameters = {
        "response_type": "code",
        "client_id": DEMO_CLIENT,
        "redirect_uri": REDIRECT,
        "scope": DEMO_SCOPE,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    answer = browser.get(f"{origin}/authorize", params=parameters, allow_redirects=False, timeout=TIMEOUT_SECONDS)
    for _ in range(MOST_PAGES):
        location = answer.headers.get("Location", "")
        if location.startswith(REDIRECT):
            return _code(location, state)
        if location:
            target = urljoin(answer.url, location)
            answer = browser.get(target, allow_redirects=False, timeout=TIMEOUT_SECONDS)
        else:
            answer = _submit(browser, answer, account)
    raise SignInFailed("the provider redirects without an end")


def _submit(browser: requests.Session, page: requests.Response, account: Account) -> requests.Response:
    """Fill in the page's form as a person would, and send it with all that it hides."""
    form = Form()
    form.feed(page.text)
    if page.status_code != 200 or form.action is None or "password" not in form.fields:
        raise SignInFailed(f"{urlsplit(page.url).path} answered {page.status_code} without a sign-in form")
    filled = form.fields | {"identifier": account.email, "password": account.password}
    answer = browser.post(
        urljoin(page.url, form.action),
        data=filled,
        headers={"Origin": f"{urlsplit(page.url).scheme}://{urlsplit(page.url).netloc}"},
        allow_redirects=False,
        timeout=TIMEOUT_SECONDS,
    )
    if answer.status_code == 200:
        raise SignInFailed(f"{account.email} was not let in")
    return answer


def _code(location: str, state: str) -> str:
    answered = parse_qs(urlsplit(location).query)
    if answered.get("state") != [state] or "code" not in answered:
        raise SignInFailed(f"the provider sent back {sorted(answered)} in place of a code")
    return answered["code"][0]
