"""/api/v1/genres"""

from __future__ import annotations

from catalog_service.api.named import named_blueprint
from catalog_service.models import Genre

api = named_blueprint(Genre)
