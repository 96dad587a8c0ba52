"""Who bought what, where the events have not told it yet, or no longer have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import delete, select, text

from common.db import Database
from common.events.auth import UserErased
from common.events.reviews import BookRatingChanged
from common.ids import new_id
from review_service import commands
from review_service.config import ReviewConfig
from review_service.domain import purchases
from review_service.domain.purchases import Bought
from review_service.events import HANDLERS
from review_service.models import Purchase
from review_service.peers import Orders
from tests.review.factories import buy, paid, post, refunded
from tests.review.peer import Peer
from tests.support.database import deliver, emitted


def bought(user: UUID | None = None, book: UUID | None = None) -> Bought:
    return Bought(user_id=user or new_id(), book_id=book or new_id(), order_id=new_id())


def known(database: Database) -> set[Bought]:
    with database.read() as session:
        rows = session.scalars(select(Purchase).where(Purchase.withdrawn_at.is_(None)))
        return {Bought.model_validate(row, from_attributes=True) for row in rows}


def test_who_paid_a_moment_ago_can_review_at_once(client: FlaskClient, peer: Peer) -> None:
    purchase = bought()
    peer.bought = [bought(), purchase, bought(user=purchase.user_id), bought(book=purchase.book_id)]
    answer = post(client, purchase.book_id, user=purchase.user_id)
    assert answer.status_code == 201
    assert answer.json["verified_purchase"] is True
    question = {"user_id": str(purchase.user_id), "book_id": str(purchase.book_id)}
    assert peer.asked == [("/internal/purchases", question)]
    assert peer.tokens == [{"grant_type": "client_credentials", "scope": "replicas:read"}]
    peer.is_down = True  # by now it is known here
    assert post(client, purchase.book_id, user=purchase.user_id).json["code"] == "already_reviewed"


def test_who_did_not_buy_it_is_refused(client: FlaskClient, peer: Peer) -> None:
    user, book = new_id(), new_id()
    peer.bought = [bought(user=user), bought(book=book)]
    answer = post(client, book, user=user)
    assert (answer.status_code, answer.json["code"]) == (403, "purchase_required")
    assert client.get(f"/api/v1/books/{book}/reviews").json["items"] == []


def test_a_known_buyer_needs_no_other_service(database: Database, client: FlaskClient, peer: Peer) -> None:
    peer.is_down = True
    user, book = new_id(), new_id()
    buy(database, user, book)
    assert post(client, book, user=user).status_code == 201
    assert peer.asked == []


def test_while_the_order_service_is_down_an_unknown_buyer_is_asked_to_come_back(
    client: FlaskClient, peer: Peer
) -> None:
    peer.is_down = True
    answer = post(client, new_id(), user=new_id())
    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_nobody_listening_is_down_too(client: FlaskClient) -> None:
    answer = post(client, new_id(), user=new_id())
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers


def test_nothing_is_held_in_the_database_while_the_order_service_answers(
    database: Database, client: FlaskClient, peer: Peer
) -> None:
    seen: list[int] = []

    def look() -> None:
        with database.read() as session:
            open_transactions = text(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE usename = current_user AND state LIKE 'idle in transaction%'"
            )
            seen.append(session.scalar(open_transactions) or 0)

    peer.before_answer = look
    assert post(client, new_id(), user=new_id()).status_code == 403
    assert seen == [0]


def test_a_refund_that_comes_while_the_order_service_answers_wins(
    database: Database, client: FlaskClient, peer: Peer
) -> None:
    purchase = bought()
    peer.bought = [purchase]
    refund = refunded(purchase.user_id, purchase.book_id, order=purchase.order_id)
    peer.before_answer = lambda: deliver(database, HANDLERS, refund)
    assert post(client, purchase.book_id, user=purchase.user_id).json["code"] == "purchase_required"


@pytest.mark.usefixtures("without_purchase")
def test_where_no_purchase_is_required_the_catalog_vouches_for_the_book(client: FlaskClient, peer: Peer) -> None:
    book = new_id()
    peer.books = {book}
    answer = post(client, book, user=new_id())
    assert (answer.status_code, answer.json["verified_purchase"]) == (201, False)
    assert post(client, new_id(), user=new_id()).status_code == 404
    peer.is_down = True
    assert post(client, book, user=new_id()).status_code == 503


def rebuild(database: Database, config: ReviewConfig) -> tuple[int, int]:
    return purchases.rebuild(database, Orders(config).all_purchases())


@pytest.mark.usefixtures("client")
class TestRebuild:
    def test_gives_the_same_as_the_events_did(
        self, database: Database, peered_config: ReviewConfig, running_peer: Peer
    ) -> None:
        running_peer.bought = [bought() for _ in range(5)]
        for each in running_peer.bought:
            deliver(database, HANDLERS, paid(each.user_id, each.book_id, order=each.order_id))
        before = known(database)
        assert rebuild(database, peered_config) == (5, 0)
        assert known(database) == before
        with database.transaction() as session:
            session.execute(delete(Purchase))
        assert rebuild(database, peered_config) == (5, 0)
        assert known(database) == before == set(running_peer.bought)

    def test_repairs_what_is_missing_wrong_or_too_much(
        self, database: Database, peered_config: ReviewConfig, running_peer: Peer
    ) -> None:
        missing, withdrawn, invented = bought(), bought(), bought()
        running_peer.bought = [missing, withdrawn]
        gone = refunded(withdrawn.user_id, withdrawn.book_id, order=withdrawn.order_id)
        for event in (gone, paid(invented.user_id, invented.book_id, order=invented.order_id)):
            deliver(database, HANDLERS, event)
        assert rebuild(database, peered_config) == (2, 1)
        assert known(database) == {missing, withdrawn}

    def test_keeps_what_events_tell_meanwhile(
        self, database: Database, peered_config: ReviewConfig, running_peer: Peer
    ) -> None:
        stays, leaves, comes = bought(), bought(), bought()
        running_peer.bought = [bought(), bought(), stays, leaves]
        events: list[Any] = [
            paid(comes.user_id, comes.book_id, order=comes.order_id),
            refunded(leaves.user_id, leaves.book_id, order=leaves.order_id),
        ]

        def meanwhile() -> None:
            while events:
                deliver(database, HANDLERS, events.pop())

        running_peer.before_answer = meanwhile
        rebuild(database, peered_config)
        assert known(database) == {*running_peer.bought[:2], stays, comes}

    def test_takes_away_nothing_that_an_older_answer_confirms_meanwhile(self, database: Database) -> None:
        with database.read() as session:
            asked_before = purchases.moment(session)
        page = [bought()]

        def pages() -> Iterator[list[Bought]]:
            yield page
            with database.transaction() as session:
                purchases.learn(session, page, asked_before)

        assert purchases.rebuild(database, pages()) == (1, 0)
        assert known(database) == set(page)

    def test_brings_nobody_back_who_is_erased_meanwhile(self, database: Database) -> None:
        before, meanwhile = bought(), bought()
        deliver(database, HANDLERS, UserErased(user_id=before.user_id))

        def pages() -> Iterator[list[Bought]]:
            yield [before, meanwhile]
            deliver(database, HANDLERS, UserErased(user_id=meanwhile.user_id))
            yield [meanwhile]

        assert purchases.rebuild(database, pages()) == (0, 0)
        with database.read() as session:
            assert session.scalars(select(Purchase)).all() == []

    def test_that_fails_half_way_takes_nothing_away(
        self, database: Database, peered_config: ReviewConfig, running_peer: Peer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        running_peer.bought = [bought() for _ in range(4)]
        buy(database, new_id(), new_id())

        def fail_on_the_second_page() -> None:
            running_peer.is_down = len(running_peer.asked) > 1

        running_peer.before_answer = fail_on_the_second_page
        monkeypatch.setattr(commands.ReviewConfig, "from_env", lambda: peered_config)
        result = CliRunner().invoke(commands.rebuild, ["purchases"])
        assert result.exit_code == 1
        assert "run this again" in result.output
        assert len(known(database)) == 3


def test_the_rebuild_command_says_what_it_did(
    client: FlaskClient, peered_config: ReviewConfig, running_peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    running_peer.bought = [bought() for _ in range(3)]
    monkeypatch.setattr(commands.ReviewConfig, "from_env", lambda: peered_config)
    result = CliRunner().invoke(commands.rebuild, ["purchases"], catch_exceptions=False)
    assert (result.exit_code, result.output.split()[0]) == (0, "3")


@pytest.mark.usefixtures("without_purchase")
def test_a_rebuild_verifies_what_was_written_before_it_was_known(
    client: FlaskClient, peer: Peer, peered_config: ReviewConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = bought()
    peer.books = {purchase.book_id}
    review = post(client, purchase.book_id, user=purchase.user_id).json
    peer.bought = [purchase]
    monkeypatch.setattr(commands.ReviewConfig, "from_env", lambda: peered_config)
    CliRunner().invoke(commands.rebuild, ["purchases"], catch_exceptions=False)
    assert review["verified_purchase"] is False
    assert client.get(f"/api/v1/reviews/{review['id']}").json["verified_purchase"] is True


def test_check_ratings_ends_with_1_only_when_one_is_wrong(
    database: Database, client: FlaskClient, config: ReviewConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, book = new_id(), new_id()
    buy(database, user, book)
    post(client, book, user=user)
    monkeypatch.setattr(commands.ReviewConfig, "from_env", lambda: config)
    assert CliRunner().invoke(commands.check_ratings).exit_code == 0
    with database.transaction() as session:
        session.execute(text("UPDATE book_ratings SET stars_1 = 3"))
    result = CliRunner().invoke(commands.check_ratings)
    assert result.exit_code == 1
    assert str(book) in result.output
    fixed = CliRunner().invoke(commands.check_ratings, ["--fix"])
    assert (fixed.exit_code, fixed.output.splitlines()[-1]) == (0, "1 recounted and told again")
    assert CliRunner().invoke(commands.check_ratings).output == "every rating agrees with a recount\n"
    told = emitted(database)[-1]
    assert isinstance(told, BookRatingChanged)
    assert (told.book_id, told.version, told.count) == (book, 2, 1)
