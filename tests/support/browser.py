"""A person's browser: a cookie jar, redirects followed one by one, and the forms of the sign-in pages filled in."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from devstack.accounts import Account
from devstack.sign_in import Form

TIMEOUT_SECONDS = 30
MOST_STEPS = 12


class Browser:
    """At one origin, in one portal, whose pages are at `home`."""

    def __init__(self, origin: str, home: str = "/") -> None:
        self.origin = origin
        self.home = home
        self.http = requests.Session()
        self.csrf = ""

    def go(self, path: str) -> requests.Response:
        """One step of a navigation, redirects not followed."""
        return self.http.get(urljoin(self.origin, path), allow_redirects=False, timeout=TIMEOUT_SECONDS)

    def sign_in(self, account: Account, return_to: str | None = None) -> requests.Response:
        """The answer that ended it: the first page outside of the sign-in."""
        answer = self.go(f"/bff/login?return_to={return_to or self.home}")
        for _ in range(MOST_STEPS):
            if location := answer.headers.get("Location"):
                target = urljoin(answer.url, location)
                if urlsplit(answer.url).path == "/bff/callback":
                    self.csrf = self.session().get("csrf", "")
                    return answer
                answer = self.go(target)
            elif answer.status_code == 200:
                answer = self._submit(answer, account)
            else:
                return answer
        raise AssertionError("the sign-in has no end")

    def _submit(self, page: requests.Response, account: Account) -> requests.Response:
        form = Form()
        form.feed(page.text)
        assert form.action is not None, page.text[:500]
        filled = form.fields | {"identifier": account.email, "password": account.password}
        origin = {"Origin": self.origin}
        target = urljoin(page.url, form.action)
        return self.http.post(target, data=filled, headers=origin, allow_redirects=False, timeout=TIMEOUT_SECONDS)

    def session(self) -> dict[str, Any]:
        answer = self.ask("GET", "/bff/session")
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        """As a page of the portal does it."""
        sent = {"Referer": self.origin + self.home, "Sec-Fetch-Site": "same-origin"}
        if method not in ("GET", "HEAD"):
            sent |= {"Origin": self.origin, "X-CSRF-Token": self.csrf}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        given = {name: value for name, value in sent.items() if value}
        url = self.origin + path
        return self.http.request(method, url, json=body, headers=given, timeout=TIMEOUT_SECONDS, allow_redirects=False)
