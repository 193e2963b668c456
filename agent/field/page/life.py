"""The life of `pasu page`: HTTPS at the maintenance port, and /metrics inside the tunnel where that is asked for.

It reads health files and passes. Footage, catalogue, keys and live streams it cannot reach: its user may not, and its
unit hides them.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import select
import signal
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from agent import __version__, logs, minding, notify, overview
from agent.errors import ConfigError, PasuError
from agent.field.page import door, metrics, tls
from agent.field.page.app import App
from agent.field.page.server import Guarded
from agent.health import read_health, silent_s, write_health
from agent.health.files import folder_of
from agent.language import english, say
from agent.model import Instant, Trust
from agent.storage import passbook
from agent.storage.files import Disk

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from agent.config import Config, Page

TURN_S = 1.0
HEALTH_S = 2.0
AGAIN_S = 5.0
HUNG_S = 60.0
METRICS_THREADS = 2
FRESH_S = 30.0

log = logging.getLogger("pasu.page")


class Serving:
    """One address that is served: bound as soon as the box has it, and again if its server should end."""

    def __init__(self, name: str, make: Callable[[], Guarded]) -> None:
        """Serve nothing yet. make: makes a new server."""
        self.name = name
        self._make = make
        self._server: Guarded | None = None
        self._thread: threading.Thread | None = None
        self._next_s = 0.0
        self._failed = ""

    @property
    def is_on(self) -> bool:
        """Tell whether it is served now."""
        return self._thread is not None and self._thread.is_alive()

    def turn(self) -> None:
        """See to it: to be called about every second."""
        if self.is_on:
            if self._server is not None:
                self._server.reap()
            return
        if time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + AGAIN_S
        server = self._make()
        try:
            server.prepare()
        except OSError as error:
            if str(error) != self._failed:
                log.warning("%s cannot be served: %s", self.name, error)
            self._failed = str(error)
            return
        self._failed, self._server = "", server
        self._thread = threading.Thread(target=server.serve, name=self.name, daemon=True)
        self._thread.start()
        log.info("serving %s", self.name)

    def stop(self) -> None:
        """End it."""
        if self._server is not None:
            self._server.stop()


def serve(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status.

    Raises  ConfigError PAGE_NOT_CONFIGURED, PAGE_CERTIFICATE; StorageFault when the page's folder is not there
    """
    import resource

    page = require(config)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold the key of the certificate
    logs.to_stderr()
    notifier = notify.take()
    disk = Disk()
    passbook.make(page.folder, disk)
    own = page.folder / passbook.OWN
    fingerprint = tls.ensure(own, config.box.id, page.listen, disk)
    entrance = door.Door(page.folder, partial(door.clock, config.storage.run), disk)
    served = servings(config, page, tls.context(own), entrance)
    health = Health(config, fingerprint, entrance, served)
    log.info("page of %s, certificate %s", config.box.id, fingerprint)
    with english(), minding.woken_by(signal.SIGTERM, signal.SIGINT) as (stopped, wake):
        while not stopped:
            faulthandler.dump_traceback_later(HUNG_S, exit=True)
            for each in served:
                each.turn()
            entrance.tell_rest()
            health.turn()
            notifier.ready()
            notifier.alive()
            select.select([wake], [], [], TURN_S)
    notifier.stopping()
    faulthandler.cancel_dump_traceback_later()
    for each in served:
        each.stop()
    log.info("served until told to stop")
    return 0


def require(config: Config) -> Page:
    """Return what is served. Raises ConfigError PAGE_NOT_CONFIGURED."""
    if config.page is None:
        raise ConfigError(
            "PAGE_NOT_CONFIGURED",
            say("설정에 [page]가 없습니다", "the configuration has no [page]"),
            hint=say(
                'agent.toml에 [page] listen = "192.168.77.1"', '[page] listen = "192.168.77.1" in agent.toml'
            ),
        )
    return config.page


def servings(config: Config, page: Page, context: ssl.SSLContext, entrance: door.Door) -> list[Serving]:
    """Return what is to be served: the page at each of its addresses, and /metrics."""

    def found() -> dict[str, Any]:
        return overview.read(config, now(config), enrolled=overview.is_reporting(config))

    app = App(config, entrance, found)

    def https(address: str) -> Callable[[], Guarded]:
        return lambda: Guarded(address, page.port, app, context=context)

    def http(address: str) -> Callable[[], Guarded]:
        interface = config.tunnel.interface if config.tunnel else None
        return lambda: Guarded(
            address,
            page.metrics_port,
            metrics.application(found),
            context=None,
            interface=interface,
            threads=METRICS_THREADS,
        )

    made = [Serving(_name(address, page.port), https(address)) for address in page.listen]
    if page.metrics is not None:
        made.append(Serving(_name(page.metrics, page.metrics_port), http(page.metrics)))
    return made


def now(config: Config) -> Instant:
    """Return the time, with as much trust as keep has in it: who may not see the state directory knows no more."""
    keep = read_health(config.storage.run, "keep") or {}
    silent = silent_s(keep, time.clock_gettime(time.CLOCK_BOOTTIME))
    fresh = silent is not None and silent <= FRESH_S and keep.get("trust") in set(Trust)
    return Instant(time.time_ns() // 1_000_000, Trust(keep["trust"]) if fresh else Trust.UNTRUSTED)


class Health:
    """Says how the page itself is."""

    def __init__(self, config: Config, fingerprint: str, entrance: door.Door, served: list[Serving]) -> None:
        """Write nothing yet."""
        self._config = config
        self._fingerprint = fingerprint
        self._entrance = entrance
        self._served = served
        self._due = 0.0
        self._failed = False

    def turn(self) -> None:
        """Write the health file when it is due."""
        boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        if boot_s < self._due:
            return
        self._due = boot_s + HEALTH_S
        at = now(self._config)
        try:
            visitors = self._entrance.open_sessions()
        except PasuError as error:
            log.error("%s", error)  # noqa: TRY400 - the fault says it all
            visitors = 0
        body = {
            "process": "page",
            "version": __version__,
            "box": self._config.box.id,
            "pid": os.getpid(),
            "at_ms": at.utc_ms,
            "trust": str(at.trust),
            "boot_ms": int(boot_s * 1000),
            "fingerprint": self._fingerprint,
            "serving": {each.name: int(each.is_on) for each in self._served},
            "visitors": visitors,
            "locked": self._entrance.is_locked,
        }
        run = self._config.storage.run
        try:
            folder_of(run, "page").mkdir(parents=True, exist_ok=True)
            write_health(run, "page", body)
        except OSError as error:
            if not self._failed:
                log.warning("no health file: %s: %s", run, error.strerror)
            self._failed = True


def _name(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


if __name__ == "__main__":
    sys.exit(minding.be_child(sys.argv[1:], serve))
