"""The order service's web application."""

from __future__ import annotations

from flask import Flask

from common.app import service_app
from common.auth import KeySource
from common.client import ServiceClient
from common.rooms import Room
from order_service.api import (
    addresses,
    admin,
    analytics,
    carts,
    internal,
    invoices,
    orders,
    payments,
    people,
    prebooks,
    sockets,
    terms,
    updates,
    webhooks,
    wishlist,
)
from order_service.config import OrderConfig
from order_service.decisions import DecisionWaiter
from order_service.payments import open_provider
from order_service.pdf import Press
from order_service.updates import Crowd, UpdateStreams


def create_app(config: OrderConfig, keys: KeySource | None = None) -> Flask:
    resources = (
        carts, orders, updates, sockets, payments, admin, addresses, terms, invoices, wishlist, prebooks, analytics,
        webhooks, internal, people,
    )  # fmt: skip
    app = service_app(config, [resource.api for resource in resources], keys=keys)
    database = app.extensions["database"]
    app.extensions["catalog"] = ServiceClient(config, config.catalog_url, scope="replicas:read")
    app.extensions["decisions"] = DecisionWaiter(database)
    crowd = Crowd(config.streams_per_person, config.streams_per_address)
    app.extensions["updates"] = UpdateStreams(database, config.stream_heartbeat, crowd)
    app.extensions["payment_provider"] = open_provider(config, database)
    app.extensions["payments_room"] = Room(config.most_waiting_payments, "Too many payments are under way.")
    app.extensions["press"] = Press(config.most_waiting_documents)
    return app
