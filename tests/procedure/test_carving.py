"""After erasing, the raw device is searched for anything the centre's own key could open (Act 21(2); issue 3, point 6).

On a real ext4, mounted as ever (data=ordered). What a flash disk keeps behind its own back cannot be tested here: see
docs/threat-model.md.
"""

from __future__ import annotations

import io
import os
import re
from typing import TYPE_CHECKING

import pytest

from agent.errors import IntegrityFault
from agent.model import Span
from agent.storage.envelope import Chunk, Opened, X25519Identity, shred_span
from tests.procedure.loop import loop_disk
from tests.unit.keep.kept import DAY_MS, Kept, order
from tests.unit.storage.box import SECRET, T0, pattern, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.procedure.loop import LoopDisk

IDENTITY = X25519Identity.parse(str(SECRET))
STANZA = re.compile(rb"-> X25519 [A-Za-z0-9+/]{43}\n[A-Za-z0-9+/]{43}\n")


@pytest.fixture
def device(tmp_path) -> Iterator[LoopDisk]:
    with loop_disk(tmp_path / "disk.img", tmp_path / "box" / "vault") as made:
        yield made


def carve(image: Path) -> dict[bytes, bytes]:
    """Open whatever begins like a sealed file, wherever on the device; return plaintext by header.

    Of each the first chunk counts: of a file that goes on its whole 64 KiB, else what opens as its end.
    """
    raw = image.read_bytes()
    found: dict[bytes, bytes] = {}
    at = raw.find(b"age-encryption.org/v1\n")
    while at >= 0:
        data = raw[at : at + 70_000]
        try:
            opened = Opened(io.BytesIO(data), [IDENTITY])  # the file key came out, and the header is whole
            header = data[: shred_span(data)]
            pieces = list(opened.chunks())
            found[header] = pieces[0].data if isinstance(pieces[0], Chunk) else b""
        except IntegrityFault:
            pass
        at = raw.find(b"age-encryption.org/v1\n", at + 1)
    return found


def header_of(path: Path) -> bytes:
    data = path.read_bytes()
    return data[: shred_span(data)]


def test_nothing_that_was_erased_can_be_carved_from_the_device(device) -> None:
    box = Kept(device.place.parent)
    box.record("cam1", count=8, size=300_000)
    box.record("cam2", count=8, size=20_000)
    box.record_salvaged("cam2", at_ms=T0 + 60_000)
    box.place(order(cameras=("cam1",), span=Span(T0, T0 + 2000)))
    box.place(order("over", cameras=("cam2",), span=Span(T0, T0 + 2000)))
    os.sync()
    headers = {name: header_of(box.vault_path / name) for name in box.names()}
    plain = {row.path: box.open(row)[:65_536] for row in box.rows() if row.camera == "cam1"}
    before = carve(device.image)
    assert set(headers.values()) <= set(before), "the carver misses files that are there"

    box.clock.utc_ms += 31 * DAY_MS
    box.release("over")
    kept = {f"segments/cam1/{name.split('/', 3)[3]}" for name in box.links()}
    paths = list(box.states())  # by id, which begins with 1
    ids = [number for number, path in enumerate(paths, 1) if path not in kept]
    keep_too = paths[ids.pop(3) - 1]
    assert sorted(box.condemn(ids)) == ids
    report = box.finish()
    assert (report.erased, report.unshredded, report.missing) == (len(ids), 0, 0)
    rest = set(box.names())
    assert len(kept) == 2
    assert {*kept, keep_too} <= rest
    device.unmount()

    found = carve(device.image)
    erased = {name: header for name, header in headers.items() if name not in rest}
    assert len(erased) == 15  # 14 segments and a tail
    assert not set(erased.values()) & set(found)
    raw = device.image.read_bytes()
    for name, header in erased.items():
        stanzas = STANZA.findall(header)
        assert stanzas
        for stanza in stanzas:
            share, body = stanza.split()[2:4]
            assert share not in raw, f"the key of {name} is still on the device"
            assert body not in raw, f"the key of {name} is still on the device"
    # The others are found, by the same carver, and open: so it would have found these.
    assert {headers[name] for name in rest if not name.endswith(".salvaged.mp4.age")} <= set(found)
    for name in (*kept, keep_too):
        assert found[headers[name]] == plain[name]


def test_the_carver_finds_what_is_only_unlinked(device) -> None:
    """The control: without E3 the test above would fail."""
    box = Kept(device.place.parent)
    box.record("cam1", count=4, size=300_000)
    os.sync()
    headers = [header_of(box.vault_path / name) for name in box.names()]
    for name in box.names():
        (box.vault_path / name).unlink()
    device.unmount()
    assert set(headers) <= set(carve(device.image))


def test_no_tail_of_a_slow_camera_outlives_its_segment(device) -> None:
    """Each window's tail takes the name of the one before, and the last one goes at commit: none can be opened."""
    box = Kept(device.place.parent)
    desk = box.desk()
    windows = 12
    for number in range(3):
        begin = T0 + number * windows * 1000
        desk.begin(start("cam1", begin))
        for second in range(windows):
            desk.write("cam1", pattern(20_000, second + number * 100), begin + 1000 * (second + 1), 25)
            desk.flush()
        assert [name for name in box.names() if name.endswith(".tail")], "this camera needs tails"
        desk.end("cam1", begin + windows * 1000)
    desk.stop()
    desk.close()
    os.sync()
    stored = {header_of(box.vault_path / name) for name in box.names()}
    assert len(stored) == 3
    device.unmount()
    assert set(carve(device.image)) == stored


def test_a_crash_leaves_no_tail_but_the_newest(device) -> None:
    """A kill leaves the newest tail, and nothing of those that it replaced."""
    box = Kept(device.place.parent)
    pid = os.fork()
    if pid == 0:
        try:
            desk = box.desk()
            desk.begin(start("cam1", T0))
            for second in range(12):
                desk.write("cam1", pattern(4_000, second), T0 + 1000 * (second + 1), 25)
                desk.flush()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.sync()
    left = {header_of(box.vault_path / name) for name in box.names()}
    assert len(left) == 2  # the file and its tail
    device.unmount()
    assert set(carve(device.image)) == left
