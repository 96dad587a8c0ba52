"""Who moves the money: an interface, its implementations, and the way from an attempt to its outcome."""

from __future__ import annotations

from common.db import Database
from order_service.config import OrderConfig
from order_service.payments.provider import PaymentProvider
from order_service.payments.simulator import Simulator


def open_provider(config: OrderConfig, database: Database) -> PaymentProvider:
    """The provider that PAYMENT_PROVIDER names; its own settings have been validated already."""
    if config.payment_provider == Simulator.name:
        return Simulator(database)
    from order_service.payments.stripe import Stripe  # noqa: PLC0415 - its package is there only where it is used

    return Stripe(
        config.stripe_api_key,
        config.stripe_webhook_secret,
        api_url=config.stripe_api_url,
        timeout=config.stripe_timeout,
    )
