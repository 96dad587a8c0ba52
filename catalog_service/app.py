"""The catalog's web application."""

from __future__ import annotations

from flask import Flask

from catalog_service.api import authors, books, genres, internal, people, stock
from catalog_service.config import CatalogConfig
from common.app import service_app
from common.auth import KeySource


def create_app(config: CatalogConfig, keys: KeySource | None = None) -> Flask:
    return service_app(config, [books.api, stock.api, authors.api, genres.api, internal.api, people.api], keys=keys)
