"""The reviews' web application."""

from __future__ import annotations

from flask import Flask

from common.app import service_app
from common.auth import KeySource
from review_service import peers
from review_service.api import helpful, internal, moderation, people, reports, reviews
from review_service.config import ReviewConfig


def create_app(config: ReviewConfig, keys: KeySource | None = None) -> Flask:
    resources = (reviews, helpful, reports, moderation, internal, people)
    app = service_app(config, [each.api for each in resources], keys=keys)
    app.extensions["orders"] = peers.Orders(config)
    app.extensions["catalog"] = peers.Catalog(config)
    return app
