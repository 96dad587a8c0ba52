"""The catalog's web application."""

from __future__ import annotations

from flask import Flask

from catalog_service.antivirus import scanner
from catalog_service.api import (
    authors,
    books,
    covers,
    exports,
    genres,
    images,
    imports,
    internal,
    inventory,
    people,
    similar,
    stock,
    suggestions,
    summaries,
    uploads,
)
from catalog_service.config import CatalogConfig
from catalog_service.storage import open_storage
from catalog_service.summaries import open_provider
from catalog_service.summaries.writing import Summariser
from common.app import service_app
from common.auth import KeySource


def create_app(config: CatalogConfig, keys: KeySource | None = None) -> Flask:
    resources = (
        books, similar, stock, inventory, images, covers, authors, genres, suggestions, summaries,
        uploads, imports, exports, internal, people,
    )  # fmt: skip
    app = service_app(config, [each.api for each in resources], keys=keys)
    app.extensions["storage"] = open_storage(config.storage)
    app.extensions["scanner"] = scanner(config.antivirus_url)
    app.extensions["summariser"] = Summariser(config, open_provider(config))
    return app
