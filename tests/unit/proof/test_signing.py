from __future__ import annotations

import stat

import pytest

from agent.errors import IntegrityFault, StorageFault
from agent.storage.files import Disk
from agent.storage.proof import note, signing
from agent.storage.proof.note import Verifier
from tests.unit.storage.box import FailingDisk

# What golang.org/x/mod/sumdb/note gives as an example of a signer's key.
EXAMPLE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    made = signing.load_or_create(tmp_path, "gn-0007", Disk())
    again = signing.load_or_create(tmp_path, "gn-0007", Disk())
    assert (made.created, again.created) == (True, False)
    assert made.private.private_bytes_raw() == again.private.private_bytes_raw()
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    for path in (tmp_path / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    public = (tmp_path / "keys" / "box.vkey").read_text()
    assert public == f"{made.verifier}\n"
    assert public.startswith("pasu/gn-0007+")
    assert signing.load_verifier(tmp_path) == made.verifier
    note.parse_note(made.sign("x\n").encode()).verify(Verifier.parse(public))


def test_no_public_key_yet(tmp_path):
    assert signing.load_verifier(tmp_path) is None


def test_the_form_is_that_of_other_programs(tmp_path):
    made = signing.load_or_create(tmp_path, "gn-0007", Disk())
    line = (tmp_path / "keys" / "box.key").read_text()
    assert line.startswith(f"PRIVATE+KEY+pasu/gn-0007+{made.verifier.key_id.hex()}+")
    assert len(line.strip().split("+", 4)[4]) == len(EXAMPLE.split("+", 4)[4])


def test_a_lost_public_key_is_written_again(tmp_path):
    made = signing.load_or_create(tmp_path, "gn-0007", Disk())
    (tmp_path / "keys" / "box.vkey").unlink()
    assert signing.load_or_create(tmp_path, "gn-0007", Disk()).verifier == made.verifier
    assert signing.load_verifier(tmp_path) == made.verifier


def test_a_key_that_was_there_is_never_made_anew(tmp_path):
    """I6: whoever removes the key does not get the box another."""
    signing.load_or_create(tmp_path, "gn-0007", Disk())
    (tmp_path / "keys" / "box.key").unlink()
    with pytest.raises(IntegrityFault, match="KEY_DAMAGED"):
        signing.load_or_create(tmp_path, "gn-0007", Disk())
    assert not (tmp_path / "keys" / "box.key").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 100,
        b"\xff\xfe",
        EXAMPLE.encode(),  # another's
        b"PRIVATE+KEY+pasu/gn-0007+00000000+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\n",
        b"PRIVATE+KEY+pasu/gn-0007+00000000+!\n",
        b"PRIVATE+KEY+pasu/gn-0007\n",
    ],
)
def test_a_damaged_key_is_left_as_it_is(tmp_path, content):
    signing.load_or_create(tmp_path, "gn-0007", Disk())
    (tmp_path / "keys" / "box.key").write_bytes(content)
    with pytest.raises(IntegrityFault, match="KEY_DAMAGED") as caught:
        signing.load_or_create(tmp_path, "gn-0007", Disk())
    assert (tmp_path / "keys" / "box.key").read_bytes() == content
    assert "AYEK" not in str(caught.value), "no error shows a key"


def test_a_damaged_public_key_is_told(tmp_path):
    signing.load_or_create(tmp_path, "gn-0007", Disk())
    (tmp_path / "keys" / "box.vkey").write_text("x")
    with pytest.raises(IntegrityFault, match="KEY_DAMAGED"):
        signing.load_verifier(tmp_path)


def test_a_key_of_another_box_is_refused(tmp_path):
    signing.load_or_create(tmp_path, "gn-0007", Disk())
    with pytest.raises(IntegrityFault, match="KEY_DAMAGED"):
        signing.load_or_create(tmp_path, "gn-0008", Disk())


def test_every_failing_call_leaves_no_key_or_a_whole_one(tmp_path):
    number = 0
    while True:
        state = tmp_path / str(number)
        state.mkdir()
        failing = FailingDisk(lambda count, _op, _path, stop=number: 28 if count == stop else None)
        try:
            made = signing.load_or_create(state, "gn-0007", failing)
        except StorageFault:
            made = None
        if len(failing.calls) <= number:
            break
        assert made is None
        again = signing.load_or_create(state, "gn-0007", Disk())
        assert signing.load_verifier(state) == again.verifier
        number += 1
    assert number > 5
