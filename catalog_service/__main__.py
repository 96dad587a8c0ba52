"""python -m catalog_service web | worker | migrate | seed | check-ledger"""

from catalog_service.commands import check_ledger
from catalog_service.config import CatalogConfig
from common.cli import Service, main

if __name__ == "__main__":
    main(
        Service(package="catalog_service", config=CatalogConfig, commands=[check_ledger]),
    )
