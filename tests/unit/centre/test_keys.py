from __future__ import annotations

import os
import re
import resource
import stat
from datetime import UTC, datetime, timedelta, timezone

import pytest

from agent.centre.keys import keygen, read_identities
from agent.errors import ConfigError, StorageFault
from tests.unit.envelope.keys import ALICE, BOB


def test_the_file_is_as_age_keygen_writes_it(tmp_path):
    path = tmp_path / "key.txt"
    old = os.umask(0o777)
    try:
        recipient = keygen(
            path, created=datetime(2026, 11, 21, 19, 5, 6, tzinfo=timezone(timedelta(hours=9)))
        )
    finally:
        os.umask(old)
    assert re.fullmatch(
        r"# created: 2026-11-21T10:05:06Z\n# public key: "
        + str(recipient)
        + r"\nAGE-SECRET-KEY-1[0-9A-Z]{58}\n",
        path.read_text(),
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (identity,) = read_identities(path)
    assert identity.recipient() == recipient


def test_the_time_is_now_and_every_key_another(tmp_path):
    before = datetime.now(UTC).replace(microsecond=0)
    assert keygen(tmp_path / "a") != keygen(str(tmp_path / "b"))
    written = datetime.strptime(
        (tmp_path / "a").read_text().splitlines()[0], "# created: %Y-%m-%dT%H:%M:%S%z"
    )
    assert before <= written <= datetime.now(UTC)


def test_nothing_is_ever_overwritten(tmp_path):
    path = tmp_path / "key.txt"
    keygen(path)
    text = path.read_text()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    for name in (path, link):
        with pytest.raises(ConfigError) as caught:
            keygen(name)
        assert caught.value.code == "IDENTITY_EXISTS"
    assert path.read_text() == text
    assert not (tmp_path / "nowhere").exists()


def test_a_disk_that_refuses_leaves_nothing_behind(tmp_path):
    with pytest.raises(StorageFault) as caught:
        keygen(tmp_path / "missing" / "key.txt")
    assert caught.value.code == "IDENTITY_UNWRITABLE"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(StorageFault) as caught:
            keygen(tmp_path / "key.txt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.code == "IDENTITY_UNWRITABLE"
    assert list(tmp_path.iterdir()) == []


def test_a_time_that_cannot_be_written_makes_no_key(tmp_path):
    with pytest.raises((OverflowError, ValueError)):
        keygen(tmp_path / "key.txt", created=datetime.max.replace(tzinfo=timezone(timedelta(hours=-9))))
    assert list(tmp_path.iterdir()) == []


def test_several_identities_in_one_file(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"# one\n\n{ALICE.secret()}\r\n#two\n{BOB.secret()}")
    assert [one.recipient() for one in read_identities(path)] == [ALICE.recipient(), BOB.recipient()]


SECRET = ALICE.secret()


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"", "IDENTITY_MISSING", None),
        (b"# nothing but comments\n\n", "IDENTITY_MISSING", None),
        (f"{SECRET}\n#".encode() + b"x" * (1 << 20), "IDENTITY_MISSING", None),
        (f"# ok\n{SECRET[:-1]}\n".encode(), "IDENTITY_INVALID", 2),
        (f" {SECRET}\n".encode(), "IDENTITY_INVALID", 1),
        (f"{SECRET}\n{SECRET.lower()}\n".encode(), "IDENTITY_INVALID", 2),
        (str(ALICE.recipient()).encode(), "IDENTITY_INVALID", 1),
        (b"AGE-PLUGIN-YUBIKEY-1QQQ\n", "IDENTITY_INVALID", 1),
        (b"\xff\xfe\x00", "IDENTITY_UNREADABLE", None),
        (b"age-encryption.org/v1\n-> scrypt", "IDENTITY_ENCRYPTED", None),
        (b"-----BEGIN AGE ENCRYPTED FILE-----\n", "IDENTITY_ENCRYPTED", None),
    ],
)
def test_what_is_no_identity_file(tmp_path, content, code, line):
    path = tmp_path / "key.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_identities(path)
    assert (caught.value.code, caught.value.context.get("line")) == (code, line)
    assert caught.value.context["path"] == str(path)
    assert caught.value.hint
    assert SECRET[20:40].lower() not in str(caught.value).lower()


def test_files_that_cannot_be_read(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ConfigError) as caught:
            read_identities(path)
        assert caught.value.code == "IDENTITY_UNREADABLE"
