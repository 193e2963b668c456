"""The life of `pasu uplink`: the only process that talks outside. One thread; it reads what others write.

Composition root of reporting, as `app` is of recording and `keeping` of keeping: joins the reader of the ledger and the
exchange with the uplink. Recording does not notice it: it takes no lock that a writer waits for, and gives way.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import random
import signal
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agent import __version__, logs, minding, notify
from agent.errors import ConfigError, StorageFault
from agent.health import Raised, folder_of, write_health
from agent.language import english, say
from agent.model import Trust
from agent.reporting_parts import Desk, Notebook, Reports, View, boot_s

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from agent.clock import Clock
    from agent.config import Config
    from agent.storage.files import Disk
    from agent.uplink.dial import Endpoint
    from agent.uplink.post import Post
    from agent.uplink.showing import Showing

HUNG_S = 120.0
"""One that has not come round for so long ends itself, with a traceback: nothing here waits, but a disk may hang."""
NICE = 10
TELL_S = 2.0
CURSOR_S = (
    1.0  # while a backlog goes, the cursor is written that often; what is sent twice for it does no harm
)
FILES_S = 1.0
CONFIG_S = 10.0
CERTIFICATE_S = 60.0
DEFAULT_PORT = 8883

log = logging.getLogger("pasu.uplink")


def is_enrolled(config: Config) -> bool:
    """Tell whether the centre has given this box what it shows the broker.

    Raises  StorageFault ENROLMENT_UNSEEN to who may not look: that is no word about the box
    """
    endpoint = _endpoint(config)
    return all(_is_there(file) for file in (endpoint.authority, endpoint.certificate, endpoint.key))


def _is_there(file: Path) -> bool:
    try:
        file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StorageFault(
            "ENROLMENT_UNSEEN",
            say("등록되었는지 여기서는 볼 수 없습니다", "whether this box is enrolled cannot be seen"),
            hint=say("root로 하십시오: `sudo pasu …`", "do it as root: `sudo pasu ...`"),
            path=str(file),
            reason=error.strerror or "",
        ) from None
    return True


def report(config: Config) -> int:
    """Report until SIGTERM or SIGINT; return the exit status.

    Raises  ConfigError UPLINK_NOT_CONFIGURED, UPLINK_NOT_ENROLLED; StorageFault REPORTING_ALREADY, ENROLMENT_UNSEEN
    """
    import resource

    from agent.clock import SystemClock
    from agent.uplink.loop import Loop

    _require(config)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold the key of the certificate
    if os.getpriority(os.PRIO_PROCESS, 0) < NICE:  # the unit has done it, and lets nobody ask for it
        os.nice(NICE)
    logs.to_stderr()
    notifier = notify.take()
    lock = _alone(config.storage.state)
    reporter = Reporter(config, SystemClock(config.storage.state))
    loop = Loop(boot_s)
    with english(), minding.woken_by(signal.SIGTERM, signal.SIGINT) as (stopped, wake):
        loop.wake_by(wake)
        loop.add(reporter)
        log.info("reporting for %s", config.box.id)
        while not stopped and not reporter.is_outdated:
            faulthandler.dump_traceback_later(HUNG_S, exit=True)
            loop.turn()
            notifier.ready()
            notifier.alive()
            notifier.status("connected" if reporter.post.is_up else "not connected")
        notifier.stopping()
        reporter.post.stop(boot_s())
        while not reporter.post.is_stopped:
            loop.turn(0.1)
    faulthandler.cancel_dump_traceback_later()
    reporter.close()
    loop.close()
    os.close(lock)
    log.info("reported until told to stop")
    return 0


class Reporter:
    """A post with all that stands around it."""

    def __init__(self, config: Config, clock: Clock) -> None:
        """Make everything; connect to nothing yet."""
        from agent.storage import exchange
        from agent.storage.consigned import Consigned
        from agent.storage.files import Disk
        from agent.storage.reader import LedgerView
        from agent.uplink.carrying import Carrying
        from agent.uplink.ports import Box
        from agent.uplink.post import Post

        state = config.storage.state.absolute()
        disk = Disk()
        exchange.make(state, disk)
        self._clock = clock
        session = exchange.UplinkFiles(state, disk).begin_session(clock.now().utc_ms)
        self._view = View(LedgerView(state), config.box.id)
        self._notebook = Notebook(exchange.UplinkFiles(state, disk))
        self._reports = Reports(config, session, clock, self._view)
        self._desk = Desk(exchange.UplinkSide(state, disk), clock)
        self._endpoint = _endpoint(config)
        carrying = Carrying(
            config.box.id,
            Consigned(state, disk),
            self._tls,
            lambda: self._clock.now().utc_ms,
            self._endpoint.interface,
        )
        self.post: Post = Post(
            Box(
                config.box.id,
                session,
                self._view,
                self._desk,
                self._notebook,
                self._reports,
                clock.now,
                random.random,
                carrying,
            ),
            self._endpoint,
        )
        self._showing = _showing(config, state, disk)
        self._tell_s = 0.0
        self._config_s = 0.0
        self._config_mark = _mark(config.file)
        self._certificate_s = 0.0
        self._ends_ms: int | None = None
        self._is_fenced = not _can_read(config.secrets_file)
        self.is_outdated = False
        """Whether the configuration names another box or broker, or passwords came into sight that the unit hides: this
        process ends, and another begins."""

    @property
    def wants_write(self) -> bool:
        """As its post."""
        return self.post.wants_write

    @property
    def connection(self) -> int:
        """As its post."""
        return self.post.connection

    def fileno(self) -> int:
        """As its post."""
        return self.post.fileno()

    def turn(self, now_s: float) -> float:
        """Let the post do its work, and see to the rest when it is due."""
        due_s = self.post.turn(now_s)
        if self._showing is not None:
            due_s = min(due_s, self._showing.turn(now_s))
        self._notebook.flush(now_s)
        if now_s >= self._config_s:
            self._config_s = now_s + CONFIG_S
            self._look_at_config()
        if now_s >= self._tell_s:
            self._tell_s = now_s + TELL_S
            self._tell(now_s)
        return min(due_s, self._tell_s - now_s)

    def _tls(self) -> ssl.SSLContext:
        """Make what an export over HTTPS shows the centre, of the certificates that are there now. Raises OSError."""
        return self._endpoint.context(check_dates=self._clock.now().trust is not Trust.UNTRUSTED)

    def close(self) -> None:
        """End the live streams, and write down what there is to remember."""
        if self._showing is not None:
            self._showing.close()
        self._notebook.flush()
        self._view.view.close()

    def _tell(self, now_s: float) -> None:
        """Follow the conditions, and write the health file."""
        from agent.uplink import certificate

        now = self._clock.now()
        if now_s >= self._certificate_s:
            self._certificate_s = now_s + CERTIFICATE_S
            self._ends_ms = certificate.not_after_ms(self._endpoint.certificate)
        days = certificate.days_left(self._ends_ms, now)
        raised = [*self.post.raised(now_s), *certificate.raised(days), *self._unguarded(now_s)]
        if self._showing is not None:
            raised += self._showing.raised(now_s)
        self._reports.follow(raised, now_s)
        sent, received = self.post.traffic
        body = {
            "process": "uplink",
            "version": __version__,
            "box": self._reports.config.box.id,
            "pid": os.getpid(),
            "at_ms": now.utc_ms,
            "trust": now.trust.value,
            "boot_ms": int(now_s * 1000),
            "connected": self.post.is_up,
            "protocol": self.post.protocol,
            "reason": self.post.reason,
            "trouble": self.post.trouble,
            "backlog": self.post.backlog,
            "certificate_days": days,
            "sent_bytes": sent,
            "received_bytes": received,
            "dropped": {verdict.value: count for verdict, count in self.post.inbound.counts.items()},
            "streams": self._showing.to_json() if self._showing is not None else [],
            "conditions": self._reports.tracker.to_json(),
        }
        _write(self._reports.config.storage.run, body)

    def _unguarded(self, now_s: float) -> list[Raised]:
        """Ask whether the kernel keeps this very process inside the tunnel."""
        from agent.tunnel import guard

        verdict = guard.of_this_process(self._reports.config, now_s)
        return [] if verdict.holds else [Raised("tunnel.unguarded", "", "; ".join(verdict.lacks))]

    def _look_at_config(self) -> None:
        """Take up a configuration that was changed; one that is wrong is for others to tell."""
        from agent.config import load

        if self._is_fenced and _can_read(self._reports.config.secrets_file):
            # The unit hides the file that is there when it starts; one that took its name since lies before the fence.
            log.info("secrets.toml came into sight: to begin anew")
            self.is_outdated = True
            return
        mark = _mark(self._reports.config.file)
        if mark == self._config_mark:
            return
        self._config_mark = mark
        try:
            config = load(self._reports.config.file)
        except ConfigError:
            return
        before = self._reports.config
        self.is_outdated = (
            config.box.id,
            config.uplink,
            config.centres,
            config.tunnel,
            config.storage.state,
        ) != (
            before.box.id,
            before.uplink,
            before.centres,
            before.tunnel,
            before.storage.state,
        )
        self._reports.config = config


def _showing(config: Config, state: Path, disk: Disk) -> Showing | None:
    """Make what shows cameras live; None for a box that has no media server, or one that cannot be used."""
    from agent.clock import SystemSource
    from agent.rtsp.errors import RtspError
    from agent.storage.granted import Granted
    from agent.tunnel import guard
    from agent.uplink.relaying import Relays, media_url
    from agent.uplink.showing import Showing

    if config.uplink is None or config.uplink.media is None:
        return None
    media = {}
    for name, address in (("", config.uplink.media), *((each.name, each.media) for each in config.centres)):
        try:
            media[name] = media_url(address)
        except (ValueError, RtspError) as error:
            log.error("nothing is shown live to %s: the media server: %s", name or "the centre", error)  # noqa: TRY400 - it says it all
    relays = Relays(
        media,
        config.box.id,
        str(config.storage.run),
        boot_s,
        interface=config.tunnel.interface if config.tunnel else "",
        may=lambda: "" if guard.of_this_process(config, boot_s()).holds else "unguarded",
    )
    return Showing(Granted(state, disk), relays, SystemSource().boot_id())


def _require(config: Config) -> None:
    if config.uplink is None:
        raise ConfigError(
            "UPLINK_NOT_CONFIGURED",
            say("설정에 [uplink]가 없습니다", "the configuration has no [uplink]"),
            hint=say(
                'agent.toml에 [uplink] broker = "mqtts://…"를 적으십시오',
                'write [uplink] broker = "mqtts://..." into agent.toml',
            ),
            file=str(config.file),
        )
    if not is_enrolled(config):
        raise ConfigError(
            "UPLINK_NOT_ENROLLED",
            say("이 박스는 아직 센터에 등록되지 않았습니다", "this box is not enrolled with a centre yet"),
            hint=say(
                "`pasu enrol request`로 신청서를 만들어 센터에 전하고, 답을 `pasu enrol accept`로 넣으십시오",
                "make a request with `pasu enrol request`, give it to the centre, and take its answer with"
                " `pasu enrol accept`",
            ),
            state=str(config.storage.state),
        )


def _endpoint(config: Config) -> Endpoint:
    from agent.uplink.dial import Endpoint

    assert config.uplink is not None
    parts = urlsplit(config.uplink.broker)
    folder = config.storage.state.absolute() / "uplink"
    return Endpoint(
        parts.hostname or "",
        parts.port or DEFAULT_PORT,
        folder / "ca.pem",
        folder / "box.pem",
        folder / "box.key",
        config.tunnel.interface if config.tunnel else "",
    )


def _alone(state: Path) -> int:
    """Make sure that nobody else reports for this state: two would throw each other out at the broker."""
    from agent.storage import exchange
    from agent.storage.files import FILE_MODE, Disk, try_lock

    place = exchange.memory(state)
    Disk().make_directory(place)
    fd = os.open(place / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    if try_lock(fd):
        return fd
    os.close(fd)
    raise StorageFault(
        "REPORTING_ALREADY",
        say("이미 다른 프로세스가 보고하고 있습니다", "another process reports for this box already"),
        hint=say(
            "실행 중인 `pasu uplink`를 그대로 두십시오", "leave the `pasu uplink` that runs to its work"
        ),
        path=str(state),
    )


def _can_read(file: Path) -> bool:
    return os.access(file, os.R_OK)


def _mark(file: Path) -> tuple[int, int, int]:
    try:
        status = file.stat()
    except OSError:
        return (0, 0, 0)
    return status.st_ino, status.st_mtime_ns, status.st_size


def _write(run: Path, body: dict[str, Any]) -> None:
    try:
        folder_of(run, "uplink").mkdir(parents=True, exist_ok=True)
        write_health(run, "uplink", body)
    except OSError as error:
        log.debug("no health file: %s", error.strerror)


if __name__ == "__main__":
    sys.exit(minding.be_child(sys.argv[1:], report))
