"""H1: the box is stolen. Whatever on its disk looks like a key is tried, with Debian's `age`, and opens nothing.

The disk is a loop device with all that a box has: vault, state with its private keys, configuration, log-ins of cameras,
logs. It recorded from cameras that ask for a password, and spoke with its centre. What is tried: every identity that is
written out, every value in hexadecimal or base64, every 32 bytes of what stands in PEM, and 32 bytes from anywhere in
any file that is not footage; each as it is, and as the seed of a signing key made into one that opens. CI takes a seeded
sample of the last, the campaign all, and a thousand segments.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import mmap
import os
import random
import re
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from agent.centre import registry
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from agent.demo.stamp import PICTURE_MARKER
from agent.storage.envelope import X25519Identity
from tests.evidence import write_section
from tests.lab import wait_for
from tests.living import BOX, Centre, LiveBox, settled
from tests.peer import need
from tests.peers.test_secrets import forms
from tests.procedure.loop import loop_disk
from tests.town import Town, no_passphrase, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from tests.procedure.loop import LoopDisk

PASSWORD = "Qu1etHarbour8m"
IDENTITY = re.compile(rb"AGE-SECRET-KEY-1[0-9A-Z]{58}", re.IGNORECASE)
HEX = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", re.IGNORECASE)
BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{43,}")
PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s+([A-Za-z0-9+/=\s]+?)-----END \1-----")
KEY_BYTES = 32
SAMPLE = 1000
AT_ONCE = 4000
"""Keys in one file for `age`."""
HEAD = """
# A stolen box (H1)

`pytest --campaign tests/peers/test_stolen.py`. Everything on a box's disk that may be a key, tried on what it recorded.
"""


def decoded(text: bytes) -> bytes:
    plain = text.replace(b"-", b"+").replace(b"_", b"/")
    with contextlib.suppress(binascii.Error):
        return base64.b64decode(plain + b"=" * (-len(plain) % 4))
    return base64.b64decode(plain[: len(plain) // 4 * 4])


def windows(data: bytes) -> Iterator[bytes]:
    """Return every 32 bytes of something, wherever they begin."""
    return (data[at : at + KEY_BYTES] for at in range(len(data) - KEY_BYTES + 1))


def named(raw: bytes | mmap.mmap) -> Iterator[bytes]:
    """Return what in some bytes is written as a key: 32 bytes each. Identities that are written out come as they are."""
    for found in HEX.finditer(raw):
        yield bytes.fromhex(found[0].decode())
    for found in PEM.finditer(raw):
        yield from windows(decoded(b"".join(found[2].split())))
    for found in BASE64.finditer(raw):
        value = decoded(found[0][:200])
        yield value[:KEY_BYTES]
        yield value[-KEY_BYTES:]
        yield value[1 : KEY_BYTES + 1]  # behind the byte that says which kind it is


def as_seed(value: bytes) -> bytes:
    """Return the secret that a signing key's seed stands for (RFC 8032, 5.1.5), which opens what is sealed to it."""
    return hashlib.sha512(value).digest()[:KEY_BYTES]


def identities(values: Sequence[bytes]) -> list[str]:
    return [X25519Identity(each).secret() for value in values for each in (value, as_seed(value))]


def opened(folder: Path, keys: Sequence[str], segments: Sequence[Path]) -> int:
    """Return how many of the segments open by any of the keys; `age` says so."""
    count = 0
    for at in range(0, len(keys), AT_ONCE):
        file = folder / "identities.txt"
        file.write_text("\n".join(keys[at : at + AT_ONCE]) + "\n")
        for segment in segments:
            done = subprocess.run(
                [need("age"), "-d", "-i", str(file), str(segment)], capture_output=True, timeout=300
            )
            if done.returncode == 0:
                count += 1
            else:
                assert b"no identity matched any of the recipients" in done.stderr, done.stderr
    return count


def plain(key: str, segment: Path, folder: Path) -> bytes:
    """Open a segment by `age`."""
    file = folder / "identity.txt"
    file.write_text(key + "\n")
    return subprocess.run(
        [need("age"), "-d", "-i", str(file), str(segment)], capture_output=True, timeout=300, check=True
    ).stdout


@dataclass
class Stolen:
    """What the thief has, and what the centre knows of it.

    segments   what was recorded, copied from the disk
    written    identities that are written out somewhere on the raw device
    named      what files other than footage and the catalogue write as keys
    listed     what the catalogue writes that looks as one: digests, paths, nodes of the ledger's tree
    contents   those files
    marker     where on the raw device a cameras' picture is in clear, found by what each carries; -1: nowhere
    passwords  how often the cameras' password is on the raw device, by the form in which it is written
    allowed    how often it is in secrets.toml
    key        the centre's, which is not on the disk
    """

    segments: list[Path]
    written: list[str]
    named: list[bytes]
    listed: list[bytes]
    contents: list[bytes]
    marker: int
    passwords: dict[bytes, int]
    allowed: int
    key: str

    def anything(self, count: int, least: int = 0) -> list[bytes]:
        """Return a seeded sample of 32 bytes from anywhere; of files shorter than `least` all."""
        chance = random.Random(1)
        values = [value for content in self.contents if len(content) < least for value in windows(content)]
        long = [content for content in self.contents if len(content) >= max(least, KEY_BYTES)]
        for content in chance.choices(long, weights=[*map(len, long)], k=count):
            at = chance.randrange(len(content) - KEY_BYTES + 1)
            values.append(content[at : at + KEY_BYTES])
        return values


def found(contents: Iterable[bytes]) -> list[bytes]:
    return sorted({value for content in contents for value in named(content) if len(value) == KEY_BYTES})


def take(disk: LoopDisk, folder: Path, key: Path) -> Stolen:
    """Read a disk: file by file, and raw."""
    files = [path for path in sorted(disk.place.rglob("*")) if path.is_file() and not path.is_symlink()]
    footage = [path for path in files if ".mp4.age" in path.name]
    others = {path: path.read_bytes() for path in files if path not in footage}
    folder.mkdir()
    for number, path in enumerate(footage):
        (folder / f"{number:05d}.mp4.age").write_bytes(path.read_bytes())
    os.sync()
    disk.unmount()
    with disk.image.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        written = sorted({found[0].decode().upper() for found in IDENTITY.finditer(raw)})
        marker = raw.find(PICTURE_MARKER)
        passwords = {
            form: count for form in forms(PASSWORD) if (count := len(re.findall(re.escape(form), raw)))
        }
    return Stolen(
        sorted(folder.iterdir()),
        written,
        found(content for path, content in others.items() if not path.name.startswith("catalogue")),
        found(content for path, content in others.items() if path.name.startswith("catalogue")),
        [*others.values()],
        marker,
        passwords,
        sum(
            content.count(PASSWORD.encode())
            for path, content in others.items()
            if path.name == "secrets.toml"
        ),
        IDENTITY.findall(key.read_bytes())[0].decode(),
    )


def steal(folder: Path, cameras: int, segments: int, mib: int) -> Stolen:
    """Let a box record and report, take its disk, and turn the box out."""
    specs = [
        CameraSpec(
            number, width=320, height=240, fps=15, gop=15, bitrate=128_000, prepared=True,
            username="operator", password=PASSWORD,
        )
        for number in range(1, cameras + 1)
    ]  # fmt: skip
    town = Town(folder / "town")
    centre = Centre(town)
    with (
        loop_disk(folder / "disk.img", folder / "town" / "boxes", mib=mib) as disk,
        CameraProcess(specs) as running,
    ):
        box = LiveBox(
            town,
            cameras={each.name: running.urls[each.number] for each in specs},
            secrets={each.name: ("operator", PASSWORD) for each in specs},
        )
        town.start()
        with settled(town, centre.watch, box):
            centre.watch.start()
            box.start()
            box.begin()
            box.wait_recording(bound_s=120)
            wait_for("what is stored", lambda: len(box.segments()) >= segments, 120 + 10 * segments / cameras)
            assert box.stop() == 0
            rows = len(box.ledger_rows())
            wait_for("all of it at the centre", lambda: centre.size() >= rows, 120)
            lost = [
                (body["camera"], body["start_ms"])
                for _, _, _, kind, text in centre.entries()
                if kind == "segment.committed" and (body := json.loads(text))
            ]
            assert sorted(lost) == sorted((each.camera, each.start_ms) for each in box.segments())
            box.keep.stop()
            box.uplink.stop()
            registry.turn_out(town.city, BOX, datetime.now(UTC), no_passphrase)
            town.reload()
            wait_until(lambda: is_refused(town), "a revoked certificate is refused")
        return take(disk, folder / "segments", box.key)


def is_refused(town: Town) -> bool:
    """Tell whether the broker refuses who comes with the box's certificate."""
    again = town.connect(BOX, client_id="thief", expect=False)
    time.sleep(0.2)
    out = again.gone.is_set() or (bool(again.reason) and not again.connected.is_set())
    again.close()
    return out and not again.connected.is_set()


def check(stolen: Stolen, folder: Path) -> None:
    """Assert what holds of any stolen box, and that what looks for keys and passwords would find them."""
    # The lab's own decoy: a key of nobody's, which lies on the box.
    assert len(stolen.written) == 1
    assert stolen.key not in stolen.written
    for kind in (b"PRIVATE KEY", b"PRIVATE+KEY"):
        assert any(kind in content for content in stolen.contents), "the box's own keys are on its disk"
    assert len(stolen.named) > 100
    # Nowhere but in secrets.toml, and in clear there: this is what a thief gets.
    assert stolen.allowed > 0
    assert stolen.passwords == {PASSWORD.encode(): stolen.allowed}
    segment = stolen.segments[:1]
    assert opened(folder, [*stolen.written, stolen.key], segment) == 1, "with the centre's key it opens"
    assert stolen.marker == -1, "the disk as it is, freed blocks too, holds no byte of a picture in clear"
    assert PICTURE_MARKER in plain(stolen.key, segment[0], folder), "each picture carries what was looked for"
    secret = base64.b64decode(b"A" * 44)[:KEY_BYTES]
    assert as_seed(secret) in {
        as_seed(each) for each in named(b"x = " + base64.b64encode(secret + b"\1")) if each
    }


def test_h1_nothing_on_a_stolen_box_opens_what_it_recorded(tmp_path: Path) -> None:
    """Also table 2-12 1-1 and Gangneung regulation art. 24(3): no picture lies on the raw device in clear."""
    stolen = steal(tmp_path, 4, 12, 512)
    check(stolen, tmp_path)
    sample = random.Random(2).sample(stolen.segments, 3)
    keys = [*stolen.written, *identities([*stolen.named, *stolen.listed, *stolen.anything(SAMPLE)])]
    print(
        f"{len(stolen.segments)} segments, {len(stolen.named)} values that are named, {len(keys)} keys tried"
    )
    assert opened(tmp_path, stolen.written + identities(stolen.named), stolen.segments) == 0
    assert opened(tmp_path, keys, sample) == 0


@pytest.mark.campaign
def test_h1_none_of_a_thousand_segments(tmp_path: Path) -> None:
    stolen = steal(tmp_path, 16, 1000, 4096)
    check(stolen, tmp_path)
    prove(stolen, tmp_path)


def prove(stolen: Stolen, folder: Path) -> None:
    """Try everything; what is there by the thousand on some of the segments, which all have the same recipients."""
    some = random.Random(2).sample(stolen.segments, 20)
    keys = stolen.written + identities(stolen.named)
    assert opened(folder, keys, stolen.segments) == 0
    listed = identities(stolen.listed)
    assert opened(folder, listed, some) == 0
    more = identities(stolen.anything(50_000, least=16_384))
    assert opened(folder, more, some[:2]) == 0
    lines = [
        f"- {len(stolen.segments)} segments, {len(keys)} keys that something on the disk names: none opens",
        f"- {len(some)} of them, {len(listed)} keys made of what the catalogue lists: none opens",
        f"- 2 of them, {len(more)} keys made of any 32 bytes of any file that is not footage: none opens",
        f"- the cameras' password: {stolen.allowed} times in secrets.toml, nowhere else on the raw device",
        "- all segments are in the centre's list of what was lost, and no other",
    ]
    write_section("stolen.md", HEAD, "A thousand segments", lines)
