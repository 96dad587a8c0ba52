"""/api/v1/authors"""

from __future__ import annotations

from catalog_service.api.named import named_blueprint
from catalog_service.models import Author

api = named_blueprint(Author)
