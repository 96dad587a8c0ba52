"""The gateway before the real auth service, and browsers that sign in through both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import orjson
import pytest

from gateway.session.sealing import Sealer
from gateway.session.sessions import Session
from tests.support.browser import Browser
from tests.support.shopper import Person, Staff
from tests.support.stack import Stack, fresh_stack

PROCESSES = ("auth-web", "order-web", "order-stream", "gateway")


@pytest.fixture(scope="session")
def store(postgres_url: str) -> Iterator[Stack]:
    with fresh_stack(postgres_url, names=PROCESSES) as stack:
        yield stack


@pytest.fixture
def alice(store: Stack) -> Browser:
    """Signed in at the shop."""
    browser = Browser(store.settings.public_url)
    browser.sign_in(store.accounts["alice"])
    return browser


@pytest.fixture
def staff(store: Stack) -> Browser:
    """The administrator, signed in at the administration."""
    browser = Browser(store.settings.public_url, "/admin")
    browser.sign_in(store.accounts["admin"])
    return browser


@pytest.fixture
def reader(store: Stack) -> Browser:
    """Somebody of their own, signed in at the shop, whom a test may do away with."""
    browser = Browser(store.settings.public_url)
    browser.sign_in(Person.new_account(store.gateway))
    return browser


@pytest.fixture(scope="session")
def admin(store: Stack) -> Staff:
    account = store.accounts["admin"]
    return Staff.sign_in(store.gateway, account.email, account.password)


Aged = Callable[..., None]


@pytest.fixture
def aged(store: Stack) -> Aged:
    """Change what a browser's cookie holds, as time would: by default, its access token has just expired."""
    sealer = Sealer([store.settings.vault["session_key"]])

    def change(browser: Browser, **changes: object) -> None:
        name = browser.cookie
        held = Session(*orjson.loads(sealer.open(name, browser.jar[name])))
        then = replace(held, **({"refresh_at": 0.0, "access_expires_at": 0.0} | changes))  # type: ignore[arg-type]
        browser.jar[name] = sealer.seal(name, orjson.dumps(list(_values(then))))

    return change


def _values(session: Session) -> Iterator[object]:
    return (getattr(session, name) for name in session.__dataclass_fields__)
