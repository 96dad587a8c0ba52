"""The life of a store on this machine: from nothing to ready, watched over, and back to nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from devstack.logs import LogFiles, coloured, takes_colour
from devstack.mailbox import Mailbox
from devstack.postgres import PostgresError
from devstack.prepare import PrepareError
from devstack.settings import Settings
from devstack.state import AlreadyRunning, Recorded, State
from devstack.store import PortTaken, StartFailed, Store, log_file
from devstack.topology import PROCESSES, Process

LOOK_EVERY_SECONDS = 0.1
GREEN = 32
TROUBLES = (PortTaken, PostgresError, PrepareError, StartFailed)


class Interrupted(Exception):
    """The user wants an end before the store was ready."""


@dataclass
class Up:
    settings: Settings
    processes: Sequence[Process] = PROCESSES
    began: float = field(default_factory=time.monotonic)
    wanted: bool = True
    is_ready: bool = False
    """Before it is, warnings are of processes that wait for each other."""

    def __post_init__(self) -> None:
        self.state = State(self.settings.data)
        self.store = Store(self.settings, say, self.processes)
        self.logs = LogFiles({each.name: log_file(self.settings, each.name) for each in self.processes})

    def run(self) -> int:
        """Returns the exit status when the store has been stopped, or could not be started."""
        try:
            self.state.take()
        except AlreadyRunning:
            say("this store is running already; `make down` stops it")
            return 1
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._interrupt)
        try:
            self._make_room()
            self._start()
            self._watch()
        except Interrupted:
            pass
        except TROUBLES as error:
            say(str(error))
            return 1
        finally:
            self._stop()
        return 0

    def _make_room(self) -> None:
        """Raises PortTaken; nothing has been started by then."""
        if left := self.state.end_leftovers():
            say(f"ended what an earlier run had left: {', '.join(left)}")
        self.store.require_free_ports()

    def _start(self) -> None:
        self.logs.begin_anew()
        self._note(ready=False)
        self.store.open_database()
        self._meanwhile()
        began = time.monotonic()
        self.store.start_processes()
        self._note(ready=False)
        self.store.wait_until_ready(self._meanwhile)
        self.is_ready = True
        say(f"{len(self.processes)} processes are ready ({time.monotonic() - began:.1f} s)")
        self._announce()
        self._note(ready=True)  # whoever waits for this finds all of the above said

    def _watch(self) -> None:
        while True:
            self._meanwhile()
            time.sleep(LOOK_EVERY_SECONDS)

    def _meanwhile(self) -> None:
        """What is done all the time. Raises Interrupted."""
        if not self.wanted:
            raise Interrupted
        if self.store.watch():
            self._note(ready=self.state.is_ready)
        self.logs.show_new("warning" if self.is_ready else "error")

    def _stop(self) -> None:
        began = time.monotonic()
        had_begun = bool(self.store.recorded())
        if had_begun:
            say("stopping")
        self.store.stop()
        self.logs.show_new("error")
        self.state.forget()
        if had_begun:
            say(f"stopped in {time.monotonic() - began:.1f} s")

    def _interrupt(self, *_: object) -> None:
        self.wanted = False

    def _note(self, *, ready: bool) -> None:
        ours = Recorded.of("devstack", os.getpid())
        self.state.write(self.settings, [ours, *self.store.recorded()], ready=ready)

    def _announce(self) -> None:
        say(f"ready in {time.monotonic() - self.began:.1f} s", GREEN)
        told = facts(self.settings)
        if "MAIL_URL" not in self.settings.inherited:
            mailbox = Mailbox(self.settings.mail, 0)
            mailbox.start()
            told.append(("mail", mailbox.address))
        for name, value in told:
            say(f"  {name:<10} {value}")


def facts(settings: Settings) -> list[tuple[str, str]]:
    """What somebody who wants to use the store must know."""
    address = settings.public_url
    people = [(each.name, f"{each.email}  password {each.password}") for each in settings.accounts.values()]
    logs = f"{settings.logs}; `make logs` follows them"
    return [("store", address), ("API", f"{address}/api/docs"), *people, ("logs", logs)]


def say(text: str, colour: int | None = None) -> None:
    for line in text.splitlines():
        print("devstack:", coloured(line, colour) if colour and takes_colour() else line, flush=True)
