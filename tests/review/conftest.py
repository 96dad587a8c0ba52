from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask

from review_service.app import create_app
from review_service.config import ReviewConfig
from review_service.peers import Catalog, Orders
from tests.review.peer import Peer
from tests.support.database import rolled_back_session, service_config, service_database
from tests.support.service import service_application, service_client
from tests.support.serving import serving

# Nobody listens there: whoever asks another service without the fixture `peer` finds it down.
NOWHERE = "http://127.0.0.1:9"

config = service_config(ReviewConfig, ORDER_URL=NOWHERE, CATALOG_URL=NOWHERE, AUTH_URL=NOWHERE)
database = service_database()
session = rolled_back_session()
app = service_application(create_app)
client = service_client()


@pytest.fixture
def running_peer() -> Iterator[Peer]:
    with serving(Peer()) as server:
        yield server


@pytest.fixture
def peered_config(config: ReviewConfig, running_peer: Peer) -> ReviewConfig:
    url = running_peer.url
    return replace(config, auth_url=url, order_url=url, catalog_url=url)


@pytest.fixture
def peer(app: Flask, peered_config: ReviewConfig, running_peer: Peer) -> Peer:
    """The other services, which the application now asks."""
    app.extensions["orders"] = Orders(peered_config)
    app.extensions["catalog"] = Catalog(peered_config)
    return running_peer


@pytest.fixture
def without_purchase(app: Flask, config: ReviewConfig) -> None:
    """Anybody may review: REVIEWS_REQUIRE_PURCHASE=false."""
    app.extensions["config"] = replace(config, require_purchase=False)
