"""Room in the database, tables, queues and first data for every service: `provision`, `migrate` and `seed` of each.

The services do so side by side, in forks of one process that has already loaded what they have in common:
starting Python a dozen times would take longer than the work.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from devstack.settings import ROOT, Settings
from devstack.topology import BY_NAME, Service

LAST_LINES = 15
COMMANDS = ("provision", "migrate", "seed")


class PrepareError(Exception):
    """A service could not be prepared; the message has what it said."""


def prepare(services: Sequence[Service], settings: Settings, admin_url: str, log: Path) -> None:
    """Raises PrepareError."""
    jobs = [_job(service, settings, admin_url) for service in services]
    with log.open("wb") as output:
        done = subprocess.run(
            [sys.executable, "-m", "devstack.prepare"],
            input=json.dumps(jobs).encode(),
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            check=False,
        )
    if done.returncode:
        said = "\n".join(log.read_text(errors="replace").strip().splitlines()[-LAST_LINES:])
        raise PrepareError(f"preparing the database failed:\n{said}\nall of it is in {log}")


def _job(service: Service, settings: Settings, admin_url: str) -> dict[str, object]:
    environment = settings.environment(BY_NAME[f"{service.name}-worker"], admin_url)
    environment |= {"PROVISION_DATABASE_URL": admin_url, "LOG_LEVEL": "WARNING"}
    return {"package": service.package, "environment": environment}


def _main() -> None:
    jobs = json.load(sys.stdin)
    _load_what_is_shared()
    children = [_fork(job["package"], job["environment"]) for job in jobs]
    statuses = [os.waitpid(child, 0)[1] for child in children]
    sys.exit(1 if any(statuses) else 0)


def _load_what_is_shared() -> None:
    for name in ("common.bus.postgres", "common.cli", "common.migrations", "common.provision", "common.db"):
        importlib.import_module(name)


def _fork(package: str, environment: dict[str, str]) -> int:
    child = os.fork()
    if child:
        return child
    os.environ.clear()
    os.environ.update(environment)
    status = 1
    try:
        status = next((failed for name in COMMANDS if (failed := _run(package, name))), 0)
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run(package: str, command: str) -> int:
    """As `python -m package command` would; its exit status."""
    sys.argv = [package, command]
    try:
        runpy.run_module(package, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if status:
            print(f"python -m {package} {command}: failed", file=sys.stderr)
        return status
    return 0


if __name__ == "__main__":
    _main()
