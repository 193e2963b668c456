"""age (Go) and rage (Rust, as pyrage) open what Pasu seals, and Pasu opens what they seal."""

from __future__ import annotations

import io
import subprocess

import pyrage
import pytest

from agent.errors import IntegrityFault
from agent.storage.envelope import SEALED_CHUNK_BYTES, Opened, X25519Identity, seal_bytes, shred_span
from tests.peer import need
from tests.unit.envelope.keys import ALICE, BOB, EVE, plaintext

SIZES = [0, 1, 65_535, 65_536, 65_537, 131_072, 5_000_000]
RECIPIENTS = [(ALICE,), (ALICE, BOB)]


def rust(identity: X25519Identity) -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.from_str(identity.secret())


def age(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([need("age"), *arguments], input=stdin, capture_output=True, timeout=60)


def key_file(folder, identity: X25519Identity) -> str:
    path = folder / "key.txt"
    path.write_text(identity.secret() + "\n")
    return str(path)


@pytest.mark.parametrize("identities", RECIPIENTS)
@pytest.mark.parametrize("size", SIZES)
def test_they_open_ours(tmp_path, size, identities):
    data = plaintext(size)
    file = seal_bytes([one.recipient() for one in identities], data)
    for one in identities:
        assert pyrage.decrypt(file, [rust(one)]) == data
        done = age("-d", "-i", key_file(tmp_path, one), stdin=file)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout == data


@pytest.mark.parametrize("identities", RECIPIENTS)
@pytest.mark.parametrize("size", SIZES)
def test_we_open_theirs(size, identities):
    data = plaintext(size)
    publics = [str(one.recipient()) for one in identities]
    done = age(*[part for public in publics for part in ("-r", public)], stdin=data)
    assert done.returncode == 0
    theirs = [done.stdout, pyrage.encrypt(data, [rust(one).to_public() for one in identities])]
    for file in theirs:
        for one in identities:
            reader = Opened(io.BytesIO(file), [EVE, one])
            assert reader.size == size
            assert reader.read() == data
        with pytest.raises(IntegrityFault) as caught:
            Opened(io.BytesIO(file), [EVE])
        assert caught.value.code == "NO_MATCHING_IDENTITY"


def test_keys_are_read_alike():
    for identity in (ALICE, BOB):
        theirs = rust(identity)
        assert str(theirs.to_public()) == str(identity.recipient())
        fresh = pyrage.x25519.Identity.generate()
        assert str(X25519Identity.parse(str(fresh)).recipient()) == str(fresh.to_public())


def test_all_three_refuse_the_same_damages(tmp_path):
    file = seal_bytes([ALICE.recipient()], plaintext(150_000))
    start = shred_span(file) + 16
    chunks = [file[at : at + SEALED_CHUNK_BYTES] for at in range(start, len(file), SEALED_CHUNK_BYTES)]
    damaged = [
        file[:10],
        file[: start - 20],
        file[:start],
        file[: start + SEALED_CHUNK_BYTES],
        file[:-1],
        file + b"x",
        file[:start] + chunks[1] + chunks[0] + chunks[2],
        file[:start] + chunks[0] + chunks[2],
        file[:start] + chunks[0] + chunks[0] + chunks[1] + chunks[2],
        file.replace(b"--- ", b"---  ", 1),
        file[:30] + bytes([file[30] ^ 1]) + file[31:],
        file[: start - 1] + bytes([file[start - 1] ^ 1]) + file[start:],
    ]
    for case in damaged:
        with pytest.raises(IntegrityFault):
            Opened(io.BytesIO(case), [ALICE]).read()
        with pytest.raises(pyrage.DecryptError):
            pyrage.decrypt(case, [rust(ALICE)])
        assert age("-d", "-i", key_file(tmp_path, ALICE), stdin=case).returncode != 0
