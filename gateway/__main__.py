"""python -m gateway web"""

from gevent import monkey

monkey.patch_all()

from common.cli import App, main  # noqa: E402 - locks made before the patch would stop every greenlet at once
from gateway.config import GatewayConfig  # noqa: E402

if __name__ == "__main__":
    main(App(package="gateway", config=GatewayConfig))
