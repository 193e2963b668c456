"""The life of `pasu tunnel watch`: brings the tunnel up, keeps it as the centre's terms say, and says how it is.

Root, with the right to change the network and to read the box's keys, and no other. It takes no packet itself: what it
does ends in the kernel, or in wireguard-go, and goes on without it.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agent import __version__, logs, minding, notify
from agent.config.sources import MqttSource
from agent.errors import ConfigError, PasuError
from agent.health import Tracker, write_health
from agent.language import english
from agent.tunnel import dump, guard, keys, link
from agent.tunnel import terms as written
from agent.tunnel.dump import Handshakes
from agent.tunnel.ruleset import Guard

if TYPE_CHECKING:
    from pathlib import Path

    from agent.clock import Clock
    from agent.config import Config
    from agent.tunnel.dump import Device
    from agent.tunnel.keys import Pair
    from agent.tunnel.terms import Terms

TURN_S = 1.0
LOOK_S = 5.0
"""Between looks at what takes a program to ask for; a look costs some 20 ms of a core."""
CAMERAS_S = 60.0
MENDED_S = 60.0
"""Rules that were changed are put right at once, and told for so long: somebody did that."""

_UNKNOWN: tuple[str, ...] = ("not known",)
"""What the guard lacks as long as nobody could look at it."""

log = logging.getLogger("pasu.tunnel")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be so: by the configuration and by what the centre sent."""

    interface: str
    terms: Terms
    pair: Pair
    rules: Guard
    cameras: tuple[str, ...]


def wanted(config: Config) -> Wanted:
    """Put together what a box's tunnel is to be. Raises ConfigError, IntegrityFault, StorageFault."""
    tunnel = require_table(config)
    terms, pair = keys.require(config.storage.state)
    group = guard.group_id(tunnel.group)
    guard.refuse_recording(group, config.storage.state)
    page = config.page
    figures = page.metrics_port if page is not None and page.metrics in terms.hosts else None
    rules = Guard.of(terms, tunnel.interface, group, tunnel.line, figures)
    return Wanted(tunnel.interface, terms, pair, rules, camera_hosts(config))


def require_table(config: Config) -> Any:
    """Return [tunnel]. Raises ConfigError TUNNEL_NOT_CONFIGURED."""
    from agent.language import say

    if config.tunnel is None:
        raise ConfigError(
            "TUNNEL_NOT_CONFIGURED",
            say("설정에 [tunnel]이 없습니다", "the configuration has no [tunnel]"),
            hint=say(
                'agent.toml에 [tunnel] interface = "pasu0"을 적으십시오',
                'write [tunnel] interface = "pasu0" into agent.toml',
            ),
            file=str(config.file),
        )
    return config.tunnel


def camera_hosts(config: Config) -> tuple[str, ...]:
    """Return the hosts of the cameras' addresses, and of the brokers of the site's bells and sensors."""
    urls = [url for camera in config.cameras for url in (camera.url, camera.sub_url) if url]
    hosts = {urlsplit(url.replace("udp://@", "udp://", 1)).hostname for url in urls}
    hosts |= {trigger.source.host for trigger in config.triggers if isinstance(trigger.source, MqttSource)}
    return tuple(sorted(host for host in hosts if host))


def beyond(config: Config, terms: Terms) -> tuple[str, ...]:
    """Return addresses of the centre that are configured and that the tunnel does not lead to."""
    urls = [config.uplink.broker, config.uplink.media or ""] if config.uplink else []
    urls += [centre.media for centre in config.centres]
    hosts = sorted({host for url in urls if (host := urlsplit(url).hostname)})
    return tuple(host for host in hosts if not written.overlaps(terms.allowed, [host]))


@dataclass(slots=True)
class Watch:
    """What is known of the tunnel, and seen to."""

    config: Config
    clock: Clock
    tracker: Tracker = field(default_factory=Tracker)
    device: Device | None = None
    lacks: tuple[str, ...] = _UNKNOWN
    trouble: str = ""
    kernel: bool | None = None
    roamed: int = 0
    _handshakes: Handshakes = field(default_factory=Handshakes)
    _age_s: float | None = None
    _began_s: float = field(default_factory=lambda: time.clock_gettime(time.CLOCK_BOOTTIME))
    _mended_s: float = -MENDED_S
    _mended: tuple[str, ...] = ()
    _loaded: Guard | None = None
    _conflict: ConfigError | None = None
    _conflict_for: Wanted | None = None
    _conflict_s: float = 0.0
    _from: str = ""
    _seen: tuple[Any, ...] = ()
    _next_s: float = 0.0

    def turn(self, now_s: float) -> None:
        """Look when it is time, or when something is other than it was: interface, terms, configuration."""
        seen = self._marks()
        if now_s < self._next_s and seen == self._seen:
            return
        if seen[:1] != self._seen[:1]:
            self._reload()
        self.look(now_s)
        self._seen = self._marks()
        self._next_s = now_s + LOOK_S

    def look(self, now_s: float) -> None:
        """Put right what is not as it should be, and follow the conditions."""
        before, self.trouble, self.lacks = self.trouble, "", _UNKNOWN
        try:
            self._mend(wanted(self.config), now_s)
        except PasuError as error:
            self._tell(error, before)
            self._measure(self._observe(), now_s)
        except Exception as error:
            # What nobody thought of, as in what a kernel lists: the end of the watch would be that of the tunnel.
            self.trouble = type(error).__name__
            if self.trouble != before:
                log.exception("error in the watch of the tunnel")
            self._measure(self._observe(), now_s)
        else:
            if self._conflict is not None:
                self._tell(self._conflict, before)
        recent = self._mended if now_s - self._mended_s < MENDED_S else ()
        found = dump.raised(
            self.device,
            self._age_s,
            up_s=now_s - self._began_s,
            lacks=self.lacks or tuple(f"put right again: {each}" for each in recent),
            trouble=self.trouble,
        )
        self.tracker.update(found, self.clock.now(), now_s)

    def to_json(self, now_s: float) -> dict[str, Any]:
        """Return the health file. It holds no address."""
        now = self.clock.now()
        peer = self.device.peers[0] if self.device and self.device.peers else None
        return {
            "process": "tunnel",
            "version": __version__,
            "box": self.config.box.id,
            "pid": os.getpid(),
            "at_ms": now.utc_ms,
            "trust": now.trust.value,
            "boot_ms": int(now_s * 1000),
            "interface": self.config.tunnel.interface if self.config.tunnel else None,
            "up": self.device is not None,
            "kernel": self.kernel,
            "handshake_s": None if self._age_s is None else int(self._age_s),
            "received_bytes": peer.received_bytes if peer else 0,
            "sent_bytes": peer.sent_bytes if peer else 0,
            "roamed": self.roamed,
            "trouble": self.trouble,
            "lacks": [*self.lacks],
            "conditions": self.tracker.to_json(),
        }

    def _tell(self, error: PasuError, before: str) -> None:
        self.trouble = error.code
        if error.code != before:
            log.warning("the tunnel is not as it should be: %s", error)

    def _mend(self, want: Wanted, now_s: float) -> None:
        self._look_for_cameras(want, now_s)
        on_line = self._conflict is not None and self._conflict.code == "TUNNEL_LINE_CAMERA"
        rules = replace(want.rules, line=None) if on_line else want.rules
        self._guard(rules, now_s)
        if on_line:
            self.lacks = (*self.lacks, "a camera is reached by the line, which is therefore not barred")
        elif self._conflict is not None:
            self._measure(link.observe(want.interface), now_s)
            return
        device = link.observe(want.interface)
        if device is None or not link.fits(device, want.terms, want.interface):
            if self.device is not None:
                log.warning("the interface is not what it should be; it is brought up again")
            self.device = None
            link.up(want.terms, want.pair, want.interface, rules)
            self.kernel = link.is_kernels(want.interface)
            device = link.observe(want.interface)
            self._began_s = now_s  # of this one no handshake can be old
        elif not link.aims(device, want.terms):
            link.remind(want.interface, want.terms)
        self._measure(device, now_s)
        address, by = link.own_way(want.terms.endpoint)
        if address and self._from and address != self._from:
            self.roamed += 1
            log.info("the line has another address")
            link.remind(want.interface, want.terms)
        self._from = address or self._from
        link.refuse_other_line(rules.line, by)

    def _observe(self) -> Device | None:
        return link.observe(self.config.tunnel.interface) if self.config.tunnel else None

    def _measure(self, device: Device | None, now_s: float) -> None:
        self.device = device
        peer = device.peers[0] if device and device.peers else None
        self._age_s = self._handshakes.age_s(peer.handshake_s, time.time(), now_s) if peer else None

    def _look_for_cameras(self, want: Wanted, now_s: float) -> None:
        """See whether a camera's way is the tunnel's or the line's: when something changed, and each minute.

        Recording comes first: a line by which a camera is reached is not barred, and that is told. It is looked at
        again each time: at a start the cameras' own interface may come up after the line.
        """
        if self._conflict is None and self._conflict_for == want and now_s < self._conflict_s:
            return
        self._conflict = None
        try:
            link.refuse_conflicts(want.terms, want.interface, want.rules.line, want.cameras)
        except ConfigError as error:
            self._conflict = error
        self._conflict_for, self._conflict_s = want, now_s + CAMERAS_S

    def _guard(self, rules: Guard, now_s: float) -> None:
        """See to the guard before the interface."""
        found = guard.listed(rules).lacks
        if found:
            if self._loaded == rules:
                log.error("the guard was changed, and is put right: %s", "; ".join(found))
                self._mended_s, self._mended = now_s, found
            guard.load(rules)
            found = guard.listed(rules).lacks
        self.lacks = found
        self._loaded = self._loaded if found else rules

    def _marks(self) -> tuple[Any, ...]:
        """Return what changes when somebody changes something; asking for it costs next to nothing."""
        tunnel = self.config.tunnel
        terms = self.config.storage.state / keys.FOLDER / keys.FILE
        return (
            _mark(self.config.file),
            _mark(terms),
            guard.has_interface(tunnel.interface) if tunnel else False,
        )

    def _reload(self) -> None:
        from agent.config import load

        try:
            self.config = load(self.config.file)
        except ConfigError:
            log.warning("agent.toml cannot be used; the one before holds")


def watch(config: Config) -> int:
    """Watch until SIGTERM or SIGINT; return the exit status. The tunnel stays up.

    Raises  ConfigError TUNNEL_NOT_CONFIGURED
    """
    from agent.clock import SystemClock

    require_table(config)
    logs.to_stderr()
    notifier = notify.take()
    watching = Watch(config, SystemClock(config.storage.state))
    with english(), minding.woken_by(signal.SIGTERM, signal.SIGINT) as (stopped, wake):
        while not stopped:
            watching.turn(boot_s())
            _write(config.storage.run, watching.to_json(boot_s()))
            notifier.ready()
            notifier.alive()
            select.select([wake], [], [], TURN_S)
    notifier.stopping()
    log.info("the tunnel is left as it is")
    return 0


def boot_s() -> float:
    """Return seconds since boot, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _mark(file: Path) -> tuple[int, int, int]:
    try:
        status = file.stat()
    except OSError:
        return (0, 0, 0)
    return status.st_ino, status.st_mtime_ns, status.st_size


def _write(run: Path, body: dict[str, Any]) -> None:
    try:
        run.mkdir(parents=True, exist_ok=True)
        write_health(run, "tunnel", body)
    except OSError as error:
        log.debug("no health file: %s", error.strerror)
