"""The last steps of every sign-in, however somebody proved who they are: verified mail, second factor, session."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from urllib.parse import urlencode

from flask import Response, request
from sqlalchemy.orm import Session

from auth_service.api import browser, devices
from auth_service.api.authority import authority, client_address, user_agent
from auth_service.domain import accounts, letters, second_factor, sessions, tickets
from auth_service.models import SignInSession, Ticket, User
from common.db import session
from common.errors import Forbidden

SECOND_FACTOR_LIFE = timedelta(minutes=10)


class EmailUnverified(Forbidden):
    """Sign-in waits for the link in the mail, which was sent again."""

    code = "email_not_verified"
    keeps_changes = True


def require_verified(on: Session, user: User) -> None:
    """Raises EmailUnverified, where the store is set up so (REQUIRE_VERIFIED_EMAIL)."""
    if authority.config.require_verified_email and not user.email_verified:
        letters.ask_to_verify(on, user, authority.config.public_url)
        raise EmailUnverified("Confirm your mail address first: we have sent you a link.")


def enter(on: Session, user: User, return_to: str, amr: Collection[str]) -> Response:
    """Let the person in, or ask for the second factor first. Raises EmailUnverified."""
    require_verified(on, user)
    if "mfa" not in amr and second_factor.is_enrolled(on, user.id):
        return ask_for_second_factor(on, user, return_to, amr)
    return let_in(on, user, return_to, amr)


def ask_for_second_factor(on: Session, user: User, return_to: str, amr: Collection[str]) -> Response:
    ticket = tickets.issue(on, tickets.SECOND_FACTOR, life=SECOND_FACTOR_LIFE, user_id=user.id, amr=list(amr))
    response = browser.see_other(f"/account/second-factor?{urlencode({'return_to': return_to})}")
    browser.keep(response, "second_factor", ticket, SECOND_FACTOR_LIFE)
    return response


def waiting() -> tuple[Ticket, User] | None:
    """Who has shown the first factor in this browser, and still has to show the second."""
    ticket = _second_factor_ticket()
    user = session.get(User, ticket.user_id) if ticket else None
    return (ticket, user) if ticket and user and user.is_active else None


def may_still_enter(user: User) -> bool:
    """Whether the person still waits, now that nobody can deactivate them or change their password meanwhile."""
    return accounts.active(session, user.id) is not None and _second_factor_ticket() is not None


def _second_factor_ticket() -> Ticket | None:
    return tickets.look(session, tickets.SECOND_FACTOR, request.cookies.get(browser.cookie_name("second_factor")))


def let_in(on: Session, user: User, return_to: str, amr: Collection[str]) -> Response:
    """Signed in: a new cookie, whatever the browser held before."""
    current = browser.signed_in(on)
    _, cookie = sessions.start_in_browser(
        on,
        user,
        life=authority.config.sign_in_life,
        user_agent=user_agent(),
        address=client_address(),
        replaces=current[0] if current else None,
        amr=amr,
    )
    response = browser.see_other(return_to)
    browser.remember(response, cookie)
    devices.remember(response, user.id)
    return response


def start_program(user: User, amr: Collection[str], life: timedelta) -> SignInSession:
    """The same for a program, which holds tokens and no cookie. Raises EmailUnverified."""
    require_verified(session, user)
    return sessions.start(session, user, life=life, user_agent=user_agent(), address=client_address(), amr=amr)
