"""python -m catalog_service web | worker | migrate | seed, and the commands of catalog_service.commands"""

from catalog_service.commands import (
    check_ledger,
    export_books,
    import_books,
    rebuild,
    take_stock,
    train_similar,
    undo_import,
)
from catalog_service.config import CatalogConfig
from common.cli import Service, main

COMMANDS = [import_books, export_books, undo_import, take_stock, check_ledger, train_similar, rebuild]

if __name__ == "__main__":
    main(Service(package="catalog_service", config=CatalogConfig, commands=COMMANDS))
