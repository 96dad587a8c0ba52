"""python -m order_service web | stream | worker | migrate | seed | rebuild | reconcile"""

import sys

if sys.argv[1:2] == ["stream"]:
    from gevent import monkey

    monkey.patch_all()

from common.cli import Service, main
from order_service.commands import rebuild, reconcile, stream
from order_service.config import OrderConfig

if __name__ == "__main__":
    main(Service(package="order_service", config=OrderConfig, commands=[rebuild, reconcile, stream]))
