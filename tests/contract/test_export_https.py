"""An export on its way over HTTPS: the box's real sender, the centre's real receiver, cut wherever it hurts."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from agent.centre import verify
from agent.centre.receive import Store
from agent.centre.receive_https import Server, context
from agent.consignment import NO_ROOM, NOT_PROVEN, TOO_LARGE, Where
from agent.errors import IntegrityFault
from agent.storage.consigned import Consigned
from agent.storage.keep.outgoing_order import State
from agent.uplink import carrier_https
from agent.uplink.carrier_https import Sender
from tests.broker import Authority
from tests.lab import wait_for
from tests.unit.keep.handing import ID, Handing, wanted
from tests.unit.storage.box import T0, FailingDisk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAST = 1e9
BOX = "box-1"


class Between:
    """A tunnel that a test cuts: passes bytes on, until it has passed so many."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.passed = 0
        self.limit: int | None = None
        self.up = True
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.here = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        self.up = False
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.cut()
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            if not self.up:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.port))
            self._open += [near, far]
            threading.Thread(target=self._pump, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                if counted:
                    self.passed += len(data)
                    if self.limit is not None and self.passed > self.limit:
                        self.limit = None
                        self.cut()
                        return
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class Wire:
    """A box with an export of some megabytes, a receiver, and the tunnel between them."""

    def __init__(self, root: Path, count: int = 6, size: int = 700_000) -> None:
        self.city = Authority(root / "tls")
        self.pairs = {"server": self.city.issue("127.0.0.1", file="server")}
        self.box = Handing(root / "box")
        self.box.record(count=count, size=size)
        self.box.clock.utc_ms = T0 + 60_000
        self.box.hand()  # makes the key
        self.root = root
        self.disk = FailingDisk()
        self.store = self.new_store()
        self.told: list[tuple[str, Where]] = []
        self.server: Server | None = None
        self.listen()
        self.between = Between(self.port)
        self.exchange = Consigned(self.box.state)
        self.sender = self.new_sender()

    def new_store(self, **more) -> Store:
        vkey = verify.read_key(self.box.vkey())
        more = {"spare_bytes": 0, **more}
        self.proven: list[tuple[str, str]] = []
        return Store(
            self.root / "received",
            lambda box: vkey if box == BOX else None,
            lambda *export: export in self.proven,
            disk=self.disk,
            **more,
        )

    def listen(self, port: int = 0) -> None:
        tls = context(*self.pairs["server"], self.city.file, None)
        self.server = Server(
            ("127.0.0.1", port), tls, self.store, lambda box, receipt: self.told.append((box, receipt.where))
        )
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def hang_up(self) -> None:
        assert self.server is not None
        self.server.shutdown()
        self.server.server_close()

    def new_sender(self, name: str = BOX, **more) -> Sender:
        if name not in self.pairs:
            self.pairs[name] = self.city.issue(name)

        def tls() -> ssl.SSLContext:
            made = ssl.create_default_context(cafile=str(self.city.file))
            made.load_cert_chain(*self.pairs[name])
            return made

        more = {"rate_bytes_s": FAST, "pauses_s": (0.05,), **more}
        return Sender(name, tls, self.exchange.read, self.exchange.put, **more)

    def order(self) -> None:
        to = f"https://127.0.0.1:{self.between.here}"
        self.box.request(wanted(span=self.span, to=to))
        self.box.hand()

    @property
    def span(self):
        from agent.model import Span

        return Span(T0, T0 + 30_000)

    def look(self, sender: Sender | None = None) -> None:
        (sender or self.sender).look(self.exchange.orders(), self.exchange.words())

    def word(self):
        return self.exchange.words().get(ID)

    def until(self, *wheres: Where, what: str = "the export") -> None:
        def ready() -> bool:
            self.look()
            word = self.word()
            return word is not None and word.where in wheres

        wait_for(what, ready, 60.0)

    @property
    def place(self) -> Path:
        return self.store.path(BOX, ID)

    def check_whole(self) -> None:
        """Assert that what arrived is what was sent, once."""
        bundle = self.box.bundle()
        names = sorted(str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file())
        there = sorted(str(path.relative_to(self.place)) for path in self.place.rglob("*") if path.is_file())
        assert there == names
        for name in names:
            assert (self.place / name).read_bytes() == (bundle / name).read_bytes()
        assert sorted(os.listdir(self.place.parent)) == [ID, f"{ID}.receipt"]
        self.box.hand()
        assert self.box.export().state is State.SENT  # a receipt is nobody's signature
        self.box.received()
        self.box.hand()
        assert self.box.export().state is State.RECEIVED
        (sent,) = self.box.told("export.sent")
        (received,) = self.box.told("export.received")
        assert received["good"]
        assert sent["bytes"] == received["bytes"] == self.box.export().bytes

    def close(self) -> None:
        self.sender.stop()
        self.hang_up()
        self.between.close()


@pytest.fixture
def wire(tmp_path) -> Iterator[Wire]:
    made = Wire(tmp_path)
    yield made
    made.close()


def test_i6_a_bundle_arrives_whole_and_verifies(wire) -> None:
    """I6, I7: and stock programs check and open it."""
    import pyrage

    from tests.unit.storage.box import SECRET

    wire.order()
    wire.until(Where.RECEIVED)
    done = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=wire.place, check=False)
    assert done.returncode == 0
    first = next(wire.place.rglob("*.mp4.age"))
    assert len(pyrage.decrypt(first.read_bytes(), [SECRET])) == 700_000
    assert wire.told == [(BOX, Where.RECEIVED)]
    wire.check_whole()


@pytest.mark.parametrize("percent", [10, 50, 99])
def test_i6_cut_on_its_way_it_goes_on_where_it_was(wire, percent) -> None:
    """I6: the tunnel goes at 10, 50, 99 %; what had come is not sent again."""
    wire.order()
    total = wire.box.export().bytes
    wire.between.limit = total * percent // 100
    wire.look()
    wait_for("the cut", lambda: not wire.between.up, 30.0)
    wire.until(Where.WAITING)
    wire.between.up = True
    wire.until(Where.RECEIVED)
    gone = wire.word().gone
    assert total <= gone <= total + 3 * carrier_https.PIECE_BYTES
    wire.check_whole()


def test_i6_the_receiver_dies_and_the_sender_too(wire) -> None:
    """I6: neither keeps anything about the way but the files themselves."""
    wire.order()
    total = wire.box.export().bytes
    wire.between.limit = total // 2
    wire.look()
    wait_for("the cut", lambda: not wire.between.up, 30.0)
    wire.sender.stop()
    wire.hang_up()
    wire.store = wire.new_store()
    wire.listen()
    wire.between.port = wire.port
    wire.between.up = True
    had = wire.store.have(BOX, ID)
    assert had is not None
    assert had.have > total // 3
    wire.sender = wire.new_sender()
    wire.until(Where.RECEIVED)
    assert wire.word().gone <= total + 3 * carrier_https.PIECE_BYTES
    wire.check_whole()


def test_i6_what_a_receiver_lost_with_its_power_is_sent_again(wire) -> None:
    """I6: sizes say that it is there, and its bytes are not."""
    wire.order()
    total = wire.box.export().bytes
    wire.between.limit = total // 2
    wire.look()
    wait_for("the cut", lambda: not wire.between.up, 30.0)
    part = next((wire.root / "received" / BOX / f"{ID}.part").rglob("*.age"))
    part.write_bytes(bytes(part.stat().st_size))
    wire.store = wire.new_store()
    assert wire.server is not None
    wire.server.store = wire.store
    wire.between.up = True
    wire.until(Where.RECEIVED)
    wire.check_whole()


def test_i6_a_full_centre_is_waited_for(wire) -> None:
    """I6: 507, and 413, are told and tried again; then it goes on."""
    wire.order()
    total = wire.box.export().bytes
    written = [0]

    def plan(_number, op, path):
        if op == "write" and path.suffix == ".age":
            written[0] += 1
            return errno.ENOSPC if written[0] > 2 else None
        return None

    wire.disk.plan = plan
    wire.until(Where.WAITING)
    assert wire.word().code == NO_ROOM
    wire.disk.plan = lambda *_: None
    wire.until(Where.RECEIVED)
    wire.check_whole()
    assert total > 0


def test_i6_a_centre_that_takes_no_more_than_so_much_is_waited_for(wire) -> None:
    """I6."""
    assert wire.server is not None
    wire.server.store = wire.new_store(most_bytes=1000)
    wire.order()
    wire.until(Where.WAITING)
    assert wire.word().code == TOO_LARGE
    wire.server.store = wire.store
    wire.until(Where.RECEIVED)
    wire.check_whole()


def test_i6_the_least_free_room_of_the_centre_stays_free(wire) -> None:
    """I6."""
    assert wire.server is not None
    wire.server.store = wire.new_store(spare_bytes=1 << 60)
    wire.order()
    wire.until(Where.WAITING)
    assert wire.word().code == NO_ROOM


def wrong(wire: Wire) -> set[tuple[str, str]]:
    """Return what our verifier says of what arrived."""
    try:
        report = verify.verify(wire.place, verify.read_key(wire.box.vkey()), None, lambda *_: None)
    except IntegrityFault as fault:
        return {(fault.code, "")}
    return {(one.what, one.where) for one in report.problems if one.what != verify.UNEXPLAINED}


@pytest.mark.parametrize("which", ["segment", "proofs.json", "CHECKPOINT", "SHA256SUMS"])
def test_i7_a_byte_that_is_changed_afterwards_is_named(wire, which) -> None:
    """I7: by our verifier and by a program that everybody has."""
    wire.order()
    wire.until(Where.RECEIVED)
    place = next(wire.place.rglob("*.age")) if which == "segment" else wire.place / which
    name = str(place.relative_to(wire.place))
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(data)
    if which != "SHA256SUMS":
        done = subprocess.run(
            ["sha256sum", "-c", "SHA256SUMS"], cwd=wire.place, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert [line for line in done.stdout.splitlines() if line.endswith("FAILED")] == [f"{name}: FAILED"]
    found = wrong(wire)
    assert found
    if which == "segment":
        assert found == {(verify.FILE_CHANGED, name)}


def test_i7_a_byte_that_the_disk_does_not_give_costs_its_file_and_no_other(wire) -> None:
    """I7, B7: the chunk that cannot be read is named by the centre; its neighbours arrive."""
    wire.order()
    bad = sorted(wire.box.bundle().rglob("*.age"))[1]
    disk = FailingDisk(lambda _n, op, path: errno.EIO if op == "read" and path.name == bad.name else None)
    wire.exchange = Consigned(wire.box.state, disk)
    wire.sender = wire.new_sender()
    wire.until(Where.DAMAGED)
    wire.box.hand()
    assert wire.box.export().state is State.SENT
    report = verify.verify(wire.place, verify.read_key(wire.box.vkey()), None, lambda *_: None)
    changed = {one.where for one in report.problems if one.what == verify.FILE_CHANGED}
    assert changed == {str(bad.relative_to(wire.box.bundle()))}
    assert len(report.proven) == 5


def test_i8_taken_back_it_stops_within_two_seconds_and_says_what_had_left(wire) -> None:
    """I8, requirement of art. 28(2): the last byte at most 2 s after the order, none afterwards; the centre keeps none."""
    wire.sender = wire.new_sender(rate_bytes_s=400_000)
    wire.order()
    wire.look()
    wait_for("the first bytes", lambda: wire.between.passed > 900_000, 30.0)
    wire.box.cancel()
    began = time.monotonic()
    wire.look()
    wire.until(Where.RECALLED)
    assert time.monotonic() - began < 2.0
    passed = wire.between.passed
    for _ in range(20):
        wire.look()
        time.sleep(0.05)
    assert wire.between.passed == passed
    total = wire.box.export().bytes
    wire.box.hand()
    (body,) = wire.box.told("export.recalled")
    assert 0 < body["gone_bytes"] < total
    assert body["gone_bytes"] <= passed
    assert os.listdir(wire.root / "received" / BOX) == [f"{ID}.receipt"]
    # Its ticket is dead: the centre takes no byte of it any more, whoever sends.
    assert wire.store.have(BOX, ID).where is Where.RECALLED
    manifest_again = wire.store.manifest(
        BOX, b'{"v":1,"box":"box-1","export":"' + ID.encode() + b'","parts":[]}\n'
    )
    assert manifest_again.where is Where.RECALLED


def test_i8_taken_back_after_it_arrived_the_centre_throws_it_away(wire) -> None:
    """I8: approval is denied afterwards. It goes when the ledger says so, and a recall by itself destroys nothing."""
    wire.order()
    wire.until(Where.RECEIVED)
    wire.box.hand()
    wire.box.cancel()

    def refused() -> bool:
        wire.look()
        word = wire.word()
        return word is not None and word.code == NOT_PROVEN

    wait_for("the centre's doubt", refused)
    assert verify.verify(wire.place, verify.read_key(wire.box.vkey()), None, lambda *_: None).proven
    wire.proven.append((BOX, ID))
    wire.until(Where.RECALLED)
    wire.box.hand()
    assert not wire.place.exists()
    assert wire.box.export().is_out
    assert wire.box.order() is None


def test_another_boxs_certificate_reaches_nothing_of_this_ones(wire) -> None:
    wire.order()
    other = wire.new_sender("box-2")
    wire.look(other)
    wait_for("a refusal", lambda: (word := wire.word()) and word.where is Where.REFUSED, 30.0)
    other.stop()
    assert not (wire.root / "received").exists()


def test_without_a_certificate_nothing_is_answered(wire) -> None:
    made = ssl.create_default_context(cafile=str(wire.city.file))
    heard = b""
    with (
        contextlib.suppress(ssl.SSLError, ConnectionError),
        socket.create_connection(("127.0.0.1", wire.port), 10) as raw,
        made.wrap_socket(raw, server_hostname="127.0.0.1") as line,
    ):
        line.sendall(b"HEAD /v1/exports/" + ID.encode() + b"/bytes HTTP/1.1\r\nHost: a\r\n\r\n")
        heard = line.recv(100)
    assert heard == b""


def test_exports_wait_for_facts(wire) -> None:
    wire.order()
    wire.sender.busy = True
    wire.until(Where.SENDING)
    assert wire.word().bytes == 0
    wire.sender.busy = False
    wire.until(Where.RECEIVED)
