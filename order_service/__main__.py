"""python -m order_service web | worker | migrate | seed | rebuild"""

from common.cli import Service, main
from order_service.commands import rebuild
from order_service.config import OrderConfig

if __name__ == "__main__":
    main(Service(package="order_service", config=OrderConfig, commands=[rebuild]))
