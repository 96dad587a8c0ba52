"""Accounts and passwords, as rules."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher, extract_parameters
from sqlalchemy import text
from sqlalchemy.orm import Session

from auth_service.domain import accounts, passwords
from auth_service.models import User
from common.db import Database
from common.errors import Invalid, Unavailable
from tests.auth.conftest import PASSWORD
from tests.auth.support import authenticate


def register(session: Session, username: str = "reader", email: str = "reader@example.com", **extra: str) -> User:
    return accounts.register(session, username=username, email=email, **({"password": PASSWORD} | extra))


@pytest.mark.parametrize("email", ["READER@Example.com", "reader@EXAMPLE.COM", "reader@example.com"])
def test_one_mail_address_in_any_case_is_one_account(session: Session, email: str) -> None:
    register(session)
    with pytest.raises(accounts.EmailTaken):
        register(session, username="somebody", email=email)


def test_one_username_in_any_case_and_composition_is_one_account(session: Session) -> None:
    register(session, username="Zoë")
    with pytest.raises(accounts.UsernameTaken):
        register(session, username="ZOE\u0308", email="other@example.com")


def test_two_who_register_one_name_at_once_get_one_account(database: Database) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(4)

    def attempt() -> None:
        start.wait()
        try:
            with database.transaction() as own:
                register(own, username="racer", email="racer@example.com")
                outcomes.append("made")
        except (accounts.UsernameTaken, accounts.EmailTaken):
            outcomes.append("taken")

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.transaction() as own:
        own.execute(text("TRUNCATE users, outbox CASCADE"))
    assert sorted(outcomes) == ["made", "taken", "taken", "taken"]


def test_all_wrong_fields_are_named_at_once(session: Session) -> None:
    with pytest.raises(Invalid) as caught:
        register(session, username="a@b", email="nobody", password="short")
    assert [each["field"] for each in caught.value.extra["errors"]] == ["username", "email", "password"]


@pytest.mark.parametrize("password", ["password", "PassWord1", "qwerty123", "iloveyou!", "12345678", "\uff50assword"])
def test_common_passwords_are_refused(password: str) -> None:
    assert "common" in (passwords.weakness(password) or "")


@pytest.mark.parametrize("password", ["Bookstore1!", "myBookStore", "book-shop-1", "Margaret.Hale", "hale@example.com"])
def test_what_is_tried_here_first_is_refused(password: str) -> None:
    assert "guessed" in (passwords.weakness(password, "margaret.hale", "Hale@example.com") or "")
    assert passwords.weakness(f"{password} and some more") is None


def test_ones_own_name_is_no_password(session: Session) -> None:
    with pytest.raises(Invalid) as caught:
        register(session, username="margaret", email="margaret.hale@example.com", password="Margaret.Hale")
    assert [each["field"] for each in caught.value.extra["errors"]] == ["password"]


@pytest.mark.parametrize(
    ("password", "fine"), [("a" * 7, False), ("xkcd 936", True), ("🐘" * 128, True), ("b" * 129, False)]
)
def test_length_is_the_only_other_rule(password: str, fine: bool) -> None:
    assert (passwords.weakness(password) is None) is fine


def test_the_list_of_common_passwords_is_worth_its_name() -> None:
    known = passwords._common()
    assert len(known) > 3000
    assert {"einstein", "qweasdzxc", "swordfish1", "password!"} & known == {"einstein", "qweasdzxc", "password!"}
    assert all(len(each) >= 8 and each == each.casefold() for each in known)


def test_hashes_are_argon2id_as_owasp_asks() -> None:
    parameters = extract_parameters(passwords.hash_password(PASSWORD))
    assert (parameters.type.name, parameters.memory_cost) == ("ID", 19456)
    assert (parameters.time_cost, parameters.parallelism) == (2, 1)


def test_an_old_hash_is_renewed_at_sign_in(session: Session) -> None:
    user = register(session)
    user.password_hash = old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    assert authenticate(session, "reader", PASSWORD) is user
    assert user.password_hash != old
    assert passwords.verify(user.password_hash, PASSWORD)


def test_nobody_costs_as_much_as_somebody(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    register(session)
    seen: list[str] = []
    real = passwords._hasher
    monkeypatch.setattr(passwords, "_hasher", _Spy(real, seen))
    for name in ("reader", "nobody"):
        with pytest.raises(accounts.WrongCredentials):
            authenticate(session, name, "not the password")
    assert len(seen) == 2
    assert extract_parameters(seen[0]) == extract_parameters(seen[1])


class _Spy:
    def __init__(self, real: PasswordHasher, seen: list[str]) -> None:
        self._real, self._seen = real, seen

    def verify(self, stored: str, password: str) -> bool:
        self._seen.append(stored)
        return self._real.verify(stored, password)

    def hash(self, password: str) -> str:
        return self._real.hash(password)


def test_a_deactivated_account_is_refused_like_a_wrong_password(session: Session) -> None:
    register(session).is_active = False
    session.flush()
    with pytest.raises(accounts.WrongCredentials, match="Name or password is wrong"):
        authenticate(session, "reader", PASSWORD)


def test_who_waits_too_long_for_hashing_is_asked_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    one = ThreadPoolExecutor(1)
    monkeypatch.setattr(passwords, "_threads", lambda: one)
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.01)
    done = threading.Event()
    one.submit(done.wait)
    with pytest.raises(Unavailable):
        passwords.hash_password(PASSWORD)
    done.set()
    one.shutdown()


def test_hashing_leaves_cores_to_others() -> None:
    assert passwords._threads()._max_workers <= max(1, (os.cpu_count() or 2) // 2)


@pytest.mark.parametrize(
    "email",
    [
        "reader\uff20example.com",
        ".a..b.@example.com",
        "rea\u202eder@example.com",
        "rea\u200bder@example.com",
        "rea\x07der@example.com",
        "reader@localhost",
        "reader@10.0.0.1",
    ],
)
def test_what_is_no_address_is_refused(session: Session, email: str) -> None:
    with pytest.raises(Invalid) as caught:
        register(session, email=email)
    assert [each["field"] for each in caught.value.extra["errors"]] == ["email"]


@pytest.mark.parametrize("other", ["a@xn--bcher-kva.example", "A@BÜCHER.example", "\uff41@bücher.example"])
def test_one_address_has_one_form_wherever_it_is_looked_up(session: Session, other: str) -> None:
    user = register(session, email="a@bücher.example")
    assert user.email == "a@bücher.example"
    assert accounts.find(session, other) is user


@pytest.mark.parametrize("username", ["\u0430lice", "a1ice", "aIice", "evil.com", "www.evil.org", "\u03b1lice"])
def test_no_name_looks_like_anothers_or_like_an_address(session: Session, username: str) -> None:
    register(session, username="alice", email="alice@example.com")
    with pytest.raises((Invalid, accounts.UsernameTaken)):
        register(session, username=username)


@pytest.mark.parametrize("username", ["анна", "山田たろう", "김철수", "O'Leary", "j.smith", "Ωmega2"[1:]])
def test_names_of_one_script_are_fine(session: Session, username: str) -> None:
    assert register(session, username=username).username == username


def test_who_has_a_name_keeps_it_when_it_looks_like_anothers(session: Session) -> None:
    register(session, username="alice", email="alice@example.com")
    user = register(session, username="reader")
    user.username, user.username_key, user.username_skeleton = "a1ice", "a1ice", "a1ice"  # from before the rule
    accounts.rename(session, user, username="a1ice", email="new@example.com")
    assert user.email == "new@example.com"
