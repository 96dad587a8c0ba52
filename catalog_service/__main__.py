"""python -m catalog_service web | worker | migrate | seed | import | check-ledger"""

from catalog_service.commands import check_ledger, import_books
from catalog_service.config import CatalogConfig
from common.cli import Service, main

if __name__ == "__main__":
    main(
        Service(package="catalog_service", config=CatalogConfig, commands=[import_books, check_ledger]),
    )
