"""The commands that every service has: `python -m catalog_service web | worker | migrate | …`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click
from environs import Env, EnvValidationError

from common.config import Config, ConfigError, ServiceConfig, secret
from common.errors import Unavailable
from common.telemetry import configure_logging

if TYPE_CHECKING:
    from common.bus import Bus
    from common.db import Database


@dataclass(frozen=True, slots=True)
class App:
    """A package that answers HTTP and has no database."""

    package: str
    config: type[Config]
    commands: Sequence[click.Command] = ()

    def settings(self) -> Any:
        """The settings of this process, or its end with a list of what is wrong with them."""
        try:
            settings = self.config.from_env()
        except ConfigError as error:
            print(error, file=sys.stderr)  # noqa: T201 - before logging exists
            raise SystemExit(2) from None
        configure_logging(settings.service, settings.log_level, settings.log_format)
        return settings

    def load(self, module: str, name: str, default: Any = None) -> Any:
        """`name` of a module of this package; `default` when there is no such module."""
        try:
            return getattr(importlib.import_module(f"{self.package}.{module}"), name)
        except ModuleNotFoundError as error:
            if default is None or error.name != f"{self.package}.{module}":
                raise
            return default

    def group(self) -> click.Group:
        return click.Group(name=self.package, commands=[_web(self), *self.commands])


@dataclass(frozen=True, slots=True)
class Service(App):
    """A package with a database, and with a worker beside its web process."""

    config: type[ServiceConfig]

    def group(self) -> click.Group:
        shared = [
            _worker(self),
            _provision(self),
            _migrate(self),
            _await_schema(self),
            _seed(self),
            _dead_letters(self),
            _outbox(self),
            _unbind(self),
        ]
        return click.Group(name=self.package, commands=[_web(self), *shared, *self.commands])


def main(app: App) -> None:
    """The whole of a package's __main__."""
    app.group().main(prog_name=f"python -m {app.package}")


@contextmanager
def open_database(config: ServiceConfig) -> Iterator[Database]:
    """For one command. Another service that it asks and that does not answer ends it with the reason."""
    from common.db import Database  # noqa: PLC0415

    database = Database(config)
    try:
        yield database
    except Unavailable as error:
        raise click.ClickException(f"{error.detail} What was done so far is kept; run this again.") from None
    finally:
        database.close()


def _command(name: str, run: Callable[..., None], *params: click.Parameter) -> click.Command:
    return click.Command(name, callback=run, help=run.__doc__, params=list(params))


def _web(app: App) -> click.Command:
    def web() -> None:
        """Answer HTTP."""
        from common.web import WebServer  # noqa: PLC0415 - only this process needs gunicorn

        WebServer(app.settings(), app.load("app", "create_app")).run()

    return _command("web", web)


def _worker(service: Service) -> click.Command:
    def worker() -> None:
        """Relay the outbox, handle events, run timers."""
        from common.app import bare_app  # noqa: PLC0415 - each command loads what it needs
        from common.health import health_blueprint, serve_in_background  # noqa: PLC0415
        from common.worker import Worker  # noqa: PLC0415

        config: ServiceConfig = service.settings()
        handlers, retired = service.load("events", "HANDLERS"), service.load("events", "RETIRED", ())
        running = Worker(config, handlers, service.load("timers", "TIMERS", ()), retired=retired)
        if config.health_port:
            app = bare_app(config, [health_blueprint(running.database.ping)])
            serve_in_background(app, config.host, config.health_port)
        running.run()

    return _command("worker", worker)


def _provision(service: Service) -> click.Command:
    def provision() -> None:
        """Create this service's role and schema, as the administrator that PROVISION_DATABASE_URL names."""
        from common.provision import provision as make_room  # noqa: PLC0415

        try:
            admin_url = secret(Env(), "PROVISION_DATABASE_URL", "")
        except EnvValidationError as error:
            raise click.UsageError(str(error)) from None
        if not admin_url:
            raise click.UsageError("PROVISION_DATABASE_URL is not set")
        make_room(service.settings(), admin_url)

    return _command("provision", provision)


def _migrate(service: Service) -> click.Command:
    def migrate() -> None:
        """Bring the schema up to date, and declare this service's queue at the bus."""
        from common.migrations import upgrade  # noqa: PLC0415

        config: ServiceConfig = service.settings()
        if not upgrade(config):
            click.echo("The schema is of a newer version, which this one can work with: nothing is changed.")
        with _open_bus(config) as bus:
            bus.declare(config.queue, [event.name for event in service.load("events", "HANDLERS")])

    return _command("migrate", migrate)


@contextmanager
def _open_bus(config: ServiceConfig) -> Iterator[Bus]:
    from common.bus import BusUnavailable, open_bus  # noqa: PLC0415

    bus = open_bus(config.event_bus_url, f"{config.service}-migrate")
    try:
        yield bus
    except BusUnavailable as error:
        raise click.ClickException(f"the bus cannot be reached: {error}") from None
    finally:
        bus.close()


def _await_schema(service: Service) -> click.Command:
    def await_schema(seconds: float) -> None:
        """Wait until the schema is at this version's head or beyond; ends with 1 when it does not come to that."""
        from common.migrations import await_schema as wait  # noqa: PLC0415

        if not wait(service.settings(), seconds):
            raise click.ClickException(f"after {seconds:g} seconds the schema is still of an older version")

    seconds = click.Option(["--seconds"], type=float, default=600.0, show_default=True)
    return _command("await-schema", await_schema, seconds)


def _outbox(service: Service) -> click.Command:
    def run(action: str, since: datetime) -> None:
        """Resend: publish once more what was sent at that time (UTC) or later, of at most three days."""
        from common import outbox  # noqa: PLC0415

        with open_database(service.settings()) as database, database.transaction() as session:
            again = outbox.resend(session, since.replace(tzinfo=UTC))
        click.echo(f"{again} events will be published once more")

    action = click.Argument(["action"], type=click.Choice(["resend"]))
    return _command("outbox", run, action, click.Option(["--since"], type=click.DateTime(), required=True))


def _unbind(service: Service) -> click.Command:
    def unbind() -> None:
        """Receive no more of the events that this version has retired; for when no older one runs any more."""
        config: ServiceConfig = service.settings()
        with _open_bus(config) as bus:
            bus.unbind(config.queue, service.load("events", "RETIRED", ()))

    return _command("unbind", unbind)


def _seed(service: Service) -> click.Command:
    def seed() -> None:
        """Put in what a new store needs; what is there already stays as it is."""
        from common.db import Database  # noqa: PLC0415

        config: ServiceConfig = service.settings()
        database = Database(config)
        with database.transaction() as session:
            service.load("seed", "seed")(session, config)
        database.close()

    return _command("seed", seed)


def _dead_letters(service: Service) -> click.Command:
    def run(action: str, ids: tuple[str, ...]) -> None:
        """List events that could not be handled; replay them (all, or these ids); discard these ids."""
        from common import inbox  # noqa: PLC0415
        from common.db import Database  # noqa: PLC0415

        database = Database(service.settings())
        chosen = [UUID(each) for each in ids] or None
        with database.transaction() as session:
            if action == "list":
                for row in inbox.dead_letters(session):
                    click.echo(f"{row.id}  {row.name}  {row.key}  {row.dead_at:%Y-%m-%dT%H:%M:%SZ}  {row.error}")
            elif action == "replay":
                click.echo(f"{inbox.replay(session, chosen)} given a new set of attempts")
            elif chosen is None:
                raise click.UsageError("name the events to discard")
            else:
                click.echo(f"{inbox.discard(session, chosen)} discarded")
        database.close()

    actions = click.Argument(["action"], type=click.Choice(["list", "replay", "discard"]), default="list")
    return _command("dead-letters", run, actions, click.Argument(["ids"], nargs=-1))
