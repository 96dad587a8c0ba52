"""A person's browser: a cookie jar, redirects followed one by one, and the forms of the sign-in pages filled in."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import requests
from requests.cookies import RequestsCookieJar

from devstack.accounts import Account
from devstack.sign_in import Form

TIMEOUT_SECONDS = 30
MOST_STEPS = 12


class _Jar(dict[str, str]):
    def __init__(self, cookies: RequestsCookieJar) -> None:
        super().__init__({each.name: each.value or "" for each in cookies})
        self._cookies = cookies

    def __setitem__(self, name: str, value: str) -> None:
        (kept,) = [each for each in self._cookies if each.name == name]
        kept.value = value


class Browser:
    """At one origin, in one portal, whose pages are at `home`."""

    def __init__(self, origin: str, home: str = "/") -> None:
        self.origin = origin
        self.home = home
        self.http = requests.Session()
        self.csrf = ""

    @property
    def cookie(self) -> str:
        """The name of the session's cookie."""
        return "admin_session" if self.home.startswith("/admin") else "shop_session"

    @property
    def jar(self) -> dict[str, str]:
        """The cookies by name, to be looked at and changed."""
        return _Jar(self.http.cookies)

    def at(self, origin: str) -> Browser:
        """The same browser, which reaches the store by another of its gateways."""
        other = Browser(origin, self.home)
        other.http, other.csrf = self.http, self.csrf
        return other

    def twin(self) -> Browser:
        """Another one with the same cookies: a second tab that has not heard of what the first was told."""
        other = Browser(self.origin, self.home)
        other.http.cookies.update(self.http.cookies)
        other.csrf = self.csrf
        return other

    def go(self, path: str) -> requests.Response:
        """One step of a navigation, redirects not followed."""
        return self.http.get(urljoin(self.origin, path), allow_redirects=False, timeout=TIMEOUT_SECONDS)

    def sign_in(self, account: Account, return_to: str | None = None) -> requests.Response:
        """The answer that ended it: that of the callback."""
        answer = self.go(self.callback(account, return_to))
        self.csrf = self.session().get("csrf", "")
        return answer

    def callback(self, account: Account, return_to: str | None = None) -> str:
        """Where the provider sends the browser in the end, which has not gone there yet."""
        answer = self.go(f"/bff/login?return_to={quote(return_to or self.home, safe='')}")
        for _ in range(MOST_STEPS):
            target = urljoin(answer.url, answer.headers.get("Location", ""))
            if urlsplit(target).path == "/bff/callback":
                return target
            answer = self.go(target) if "Location" in answer.headers else self._submit(answer, account)
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
