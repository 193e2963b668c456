"""Debian's minisign: what it signs is taken, what is signed for tests it takes, and both refuse the same."""

from __future__ import annotations

import hashlib
import subprocess

import pytest

from agent.field.updating.minisign import Unsigned, parse_key, parse_signature, verify
from tests.peer import need
from tests.releases import Release

COMMENT = "pasu-agent 1.2.3 amd64"


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """A file, minisign's key and its signature."""
    folder = tmp_path_factory.mktemp("minisign")
    (folder / "package.deb").write_bytes(b"a package" * 1000)
    program = need("minisign")
    run(folder, program, "-G", "-W", "-p", "key.pub", "-s", "key.sec")
    run(folder, program, "-S", "-s", "key.sec", "-m", "package.deb", "-t", COMMENT)
    return folder


def run(folder, *words, good=True):
    done = subprocess.run(words, cwd=folder, capture_output=True, timeout=60)
    assert (done.returncode == 0) is good, done.stderr


def taken(folder, signature: bytes, file: bytes):
    key = parse_key((folder / "key.pub").read_text())
    return verify(parse_signature(signature), [key], hashlib.blake2b(file).digest())


def test_what_it_signs_is_taken(signed):
    file, signature = (signed / "package.deb").read_bytes(), (signed / "package.deb.minisig").read_bytes()
    assert taken(signed, signature, file).kid in (signed / "key.pub").read_text()
    assert parse_signature(signature).comment == COMMENT


def test_j2_of_what_it_signed_every_bit_counts(signed):
    """J2: of the signature all but its first line, and of the file; it refuses a sample of the same."""
    file, signature = (signed / "package.deb").read_bytes(), (signed / "package.deb.minisig").read_bytes()
    begin = signature.index(b"\n") + 1
    for bit in range(begin * 8, len(signature) * 8):
        turned = bytearray(signature)
        turned[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Unsigned):
            taken(signed, bytes(turned), file)
    for bit in range(0, len(file) * 8, 997):
        other = bytearray(file)
        other[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Unsigned):
            taken(signed, signature, bytes(other))
    for at in (
        signature.index(b"\n") + 30,
        signature.index(b"trusted comment: pasu") + 20,
        len(signature) - 30,
    ):
        turned = bytearray(signature)
        turned[at] ^= 1
        (signed / "turned").write_bytes(turned)
        run(signed, need("minisign"), "-V", "-p", "key.pub", "-m", "package.deb", "-x", "turned", good=False)


def test_the_older_form_is_not_taken(signed):
    run(
        signed,
        need("minisign"),
        "-S",
        "-l",
        "-s",
        "key.sec",
        "-m",
        "package.deb",
        "-x",
        "older",
        "-t",
        COMMENT,
    )
    with pytest.raises(Unsigned, match="prehashed"):
        parse_signature((signed / "older").read_bytes())


def test_it_takes_what_is_signed_for_tests(tmp_path):
    """So that what tests sign is what releases sign."""
    release = Release()
    (tmp_path / "package.deb").write_bytes(b"another")
    (tmp_path / "key.pub").write_text(release.public)
    release.sign_file(tmp_path / "package.deb", COMMENT)
    run(tmp_path, need("minisign"), "-V", "-p", "key.pub", "-m", "package.deb")
    (tmp_path / "package.deb").write_bytes(b"another one")
    run(tmp_path, need("minisign"), "-V", "-p", "key.pub", "-m", "package.deb", good=False)
