"""What reviewers are called, where the events have not told it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import select

from common.db import Database
from common.events.auth import UserErased, UserUpdated
from common.ids import new_id
from review_service import commands
from review_service.config import ReviewConfig
from review_service.domain import reviewers
from review_service.events import HANDLERS
from review_service.models import Reviewer
from review_service.peers import Users
from tests.review.factories import reviewed
from tests.review.peer import Peer
from tests.support.database import deliver


def test_a_rebuild_corrects_the_names_that_are_shown_and_learns_no_others(
    database: Database,
    client: FlaskClient,
    peered_config: ReviewConfig,
    running_peer: Peer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong, right, stranger = new_id(), new_id(), new_id()
    review = reviewed(database, client, new_id(), user=wrong, username="ada")
    reviewed(database, client, new_id(), user=right, username="grace")
    running_peer.users = {stranger: "nobody", right: "grace", wrong: "ada.l"}
    monkeypatch.setattr(commands.ReviewConfig, "from_env", lambda: peered_config)
    result = CliRunner().invoke(commands.rebuild, ["names"], catch_exceptions=False)
    assert result.output == "2 names known, 1 were different here\n"
    assert client.get(f"/api/v1/reviews/{review['id']}").json["user"]["name"] == "ada.l"
    with database.read() as session:
        assert set(session.scalars(select(Reviewer.user_id))) == {wrong, right}


def test_what_events_tell_while_names_are_rebuilt_stays(
    database: Database, client: FlaskClient, peered_config: ReviewConfig, running_peer: Peer
) -> None:
    renamed, erased = new_id(), new_id()
    for user in (renamed, erased):
        reviewed(database, client, new_id(), user=user, username="old")
    running_peer.users = {renamed: "older", erased: "older"}
    told = [
        UserUpdated(user_id=renamed, username="new", email="a@example.com", role="customer"),
        UserErased(user_id=erased),
    ]

    def meanwhile() -> None:
        while told:
            deliver(database, HANDLERS, told.pop())

    running_peer.before_answer = meanwhile
    assert reviewers.rebuild(database, Users(peered_config).names()) == (2, 0)
    with database.read() as session:
        assert dict(session.execute(select(Reviewer.user_id, Reviewer.name)).all()) == {renamed: "new"}
