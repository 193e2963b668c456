"""The centre's receiver without a wire: a restart at the worst moment, a full disk, a box that announces without end."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from agent import consignment
from agent.centre import founding, receive, receive_https, verify
from agent.centre.receive import Refused, Store
from agent.centre.receive_mqtt import Receiver
from agent.consignment import NO_ROOM, Manifest, Part, Receipt, Where
from tests.lab import wait_for
from tests.unit.keep.handing import ID, Handing
from tests.unit.storage.box import T0

BOX = "box-1"


class Dead(BaseException):
    """The process is no more."""


@pytest.fixture
def handed(tmp_path: Path) -> Handing:
    box = Handing(tmp_path / "box")
    box.record(count=2, size=70_000)
    box.clock.utc_ms = T0 + 60_000
    box.request()
    box.hand()
    return box


def new_store(folder: Path, box: Handing, **more) -> Store:
    key = verify.read_key(box.vkey())
    return Store(folder / "received", lambda _: key, lambda *_: False, spare_bytes=0, **more)


def sent(store: Store, box: Handing) -> Receipt:
    """Send what the centre has not got, and have it compared."""
    order = box.order()
    assert order is not None
    receipt = store.manifest(BOX, consignment.encode_manifest(Manifest(BOX, ID, order.parts)))
    while (piece := consignment.piece_at(order.parts, receipt.have, 1 << 20)) is not None:
        place = next(
            Path(root) / piece.part.name for root in order.roots if (Path(root) / piece.part.name).exists()
        )
        data = place.read_bytes()[piece.offset : piece.offset + piece.size]
        receipt = store.write(BOX, ID, receipt.have, data)
    return store.finish(BOX, ID)


def test_i6_killed_between_the_bundle_s_name_and_its_receipt_it_is_compared_again(
    tmp_path: Path, handed: Handing, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store(tmp_path, handed)
    note = store._note

    def dies(box: str, export: str, ending: str, data: bytes) -> None:
        if ending == ".receipt":
            raise Dead
        note(box, export, ending, data)

    monkeypatch.setattr(store, "_note", dies)
    with pytest.raises(Dead):
        sent(store, handed)
    assert store.path(BOX, ID).is_dir()
    again = new_store(tmp_path, handed)
    assert again.manifest(BOX, _manifest(handed)).have == sum(part.size for part in handed.order().parts)
    assert sent(again, handed).where is Where.RECEIVED
    assert not (tmp_path / "received" / BOX / f"{ID}.manifest").exists()


def test_what_a_box_announces_and_takes_back_leaves_the_least_room_free(
    tmp_path: Path, handed: Handing, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store(tmp_path, handed)
    store.manifest(BOX, _manifest(handed, "0" * 32))
    store._spare_bytes = 1 << 60
    for call in (
        lambda: store.manifest(BOX, _manifest(handed, "1" * 32)),
        lambda: store.recall(BOX, "2" * 32),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert (refused.value.receipt.where, refused.value.receipt.code) == (Where.WAITING, NO_ROOM)
    # What is taken back while it comes makes room.
    assert store.recall(BOX, "0" * 32).where is Where.RECALLED
    store._spare_bytes = 0
    monkeypatch.setattr(receive, "MOST_NAMES", 3)
    store.recall(BOX, "3" * 32)
    store.recall(BOX, "4" * 32)
    with pytest.raises(Refused):
        store.manifest(BOX, _manifest(handed, "5" * 32))


def test_of_endless_exports_so_many_are_remembered(
    tmp_path: Path, handed: Handing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive, "MOST_KNOWN", 4)
    store = new_store(tmp_path, handed)
    for number in range(10):
        store.manifest(BOX, _manifest(handed, f"{number:032x}"))
    assert len(store._coming) == 4
    found = store.have(BOX, "0" * 32)
    assert found is not None
    assert found.where is Where.SENDING


def test_a_folder_that_is_gone_has_the_box_wait_and_ends_nothing(tmp_path: Path, handed: Handing) -> None:
    answers: list[Receipt] = []
    store = new_store(tmp_path, handed)
    receiver = Receiver(store, lambda _, data: answers.append(consignment.parse_receipt(data)))
    receiver(BOX, f"export/{ID}/0", _manifest(handed))
    (tmp_path / "received").rename(tmp_path / "elsewhere")
    data = b"x" * 100
    receiver(BOX, f"export/{ID}/1", consignment.encode_chunk(BOX, ID, 0, data))
    assert [one.where for one in answers] == [Where.SENDING, Where.WAITING]
    assert answers[1].code == "disk_error"


def test_connections_of_one_address_leave_room_for_the_others(tmp_path: Path) -> None:
    plan = founding.Plan("gangneung", "강릉시", "127.0.0.1:1", "127.0.0.1:2")
    city = founding.found(tmp_path / "city", plan, datetime.now(UTC), None)
    broker, ca = city.at("broker"), city.at("ca", "ca.pem")
    store = Store(tmp_path / "received", lambda _: None, lambda *_: False)
    tls = receive_https.context(broker / "broker.pem", broker / "broker.key", ca, None)
    server = receive_https.Server(("127.0.0.1", 0), tls, store)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    port = server.server_address[1]
    held = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(receive_https.MOST_OF_ONE)]
    try:
        with socket.create_connection(("127.0.0.1", port), 30) as one_more:
            assert one_more.recv(1) == b""
        client = ssl.create_default_context(cafile=str(ca))
        client.load_cert_chain(city.at("client", "centre.pem"), city.at("client", "centre.key"))
        connection = HTTPSConnection(
            "127.0.0.1", port, timeout=30, context=client, source_address=("127.0.0.2", 0)
        )
        connection.request("HEAD", f"/v1/exports/{ID}")
        assert connection.getresponse().status == HTTPStatus.NOT_FOUND
        connection.close()
        for one in held:
            one.close()
        wait_for("all places are free", lambda: not server._of_one)
    finally:
        server.shutdown()
        server.server_close()


def _manifest(box: Handing, export: str = ID) -> bytes:
    order = box.order()
    assert order is not None
    parts = order.parts if export == ID else (Part("CHECKPOINT", 10, "0" * 64),)
    return consignment.encode_manifest(Manifest(BOX, export, parts))
