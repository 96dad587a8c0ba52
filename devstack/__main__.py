"""python -m devstack up | down | status | demo | logs | import"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import click
import psutil

from devstack.logs import LogFiles
from devstack.process import wait_until
from devstack.settings import ROOT, Settings
from devstack.state import State
from devstack.status import HEADING, MIB, row
from devstack.store import log_file, opened_database
from devstack.topology import BY_NAME

START_SECONDS = 240
STOP_SECONDS = 40


@click.group()
def main() -> None:
    """The whole store on this machine.

    DATABASE_URL and EVENT_BUS_URL name real servers to use in place of its own; the first is an administrator's.
    """


def settings_of_shell() -> Settings:
    try:
        return Settings.from_env()
    except ValueError as error:
        raise click.ClickException(str(error)) from None


@main.command()
@click.option("--detach", is_flag=True, help="Come back when the store is ready, and leave it running.")
def up(detach: bool) -> None:
    """Start the store, and stop it with Ctrl-C."""
    from devstack.up import Up  # noqa: PLC0415 - the other commands do without

    settings = settings_of_shell()
    sys.exit(_detached(settings) if detach else Up(settings).run())


def _detached(settings: Settings) -> int:
    settings.logs.mkdir(parents=True, exist_ok=True)
    path = log_file(settings, "devstack")
    with path.open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "devstack", "up"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    state = State(settings.data)
    wait_until(lambda: running.poll() is not None or (state.is_run_by(running.pid) and state.is_ready), START_SECONDS)
    said = (line for line in path.read_text(errors="replace").splitlines() if line.startswith("devstack:"))
    print(*said, sep="\n")
    return running.poll() or 0


@main.command()
def down() -> None:
    """Stop the running store."""
    running = State(settings_of_shell().data).supervisor()
    if running is None:
        print("devstack: nothing is running")
        return
    running.terminate()
    try:
        running.wait(STOP_SECONDS)
    except psutil.TimeoutExpired:
        print(f"devstack: process {running.pid} does not end")
        sys.exit(1)
    print("devstack: stopped")


@main.command()
def status() -> None:
    """Show each process: since when it runs, how much memory it has, whether it is well."""
    settings = settings_of_shell()
    state = State(settings.data)
    if state.supervisor() is None:
        print("devstack: nothing is running")
        sys.exit(1)
    rows = [row(each, state.as_running(settings)) for each in state.recorded()]
    print(HEADING, *rows, sep="\n")
    print(f"{'all':<16}{'':>17}{sum(each.memory for each in rows) / MIB:>8.0f}")
    sys.exit(0 if all(each.state in ("ready", "runs") for each in rows) else 1)


@main.command()
@click.argument("names", nargs=-1, type=click.Choice([*BY_NAME, "prepare", "devstack"]))
@click.option("--follow/--no-follow", "-f", help="Go on until Ctrl-C.")
def logs(names: tuple[str, ...], follow: bool) -> None:
    """Show the last lines of every process, or of those named."""
    settings = settings_of_shell()
    files = LogFiles({name: log_file(settings, name) for name in names or BY_NAME})
    files.skip_to_end()
    files.show_new()
    while follow:
        time.sleep(0.2)
        files.show_new()


@main.command()
def demo() -> None:
    """Walk through the store as a customer and as staff, and print each step."""
    from devstack.demo import walk  # noqa: PLC0415

    settings = settings_of_shell()
    sys.exit(walk(State(settings.data).as_running(settings)))


@main.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "format_name", help="csv, onix or marc, where the file does not tell.")
def import_books(file: Path, format_name: str | None) -> None:
    """Import books from FILE into the catalogue, whether the store is running or not."""
    settings = settings_of_shell()
    state = State(settings.data)
    settings = state.as_running(settings)
    if state.supervisor():
        sys.exit(_import(settings, settings.database_address, file, format_name))
    with opened_database(settings, print) as admin_url:
        sys.exit(_import(settings, admin_url, file, format_name))


def _import(settings: Settings, admin_url: str, file: Path, format_name: str | None) -> int:
    environment = settings.environment(BY_NAME["catalog-worker"], admin_url)
    command = [sys.executable, "-m", "catalog_service", "import", str(file.resolve())]
    told = ["--format", format_name] if format_name else []
    return subprocess.run([*command, *told], env=environment, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    main()
