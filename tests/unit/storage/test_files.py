from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading

import pytest

from agent.errors import StorageFault
from agent.storage import files
from agent.storage.files import Disk
from tests.unit.storage.box import FailingDisk


def test_create_excl_makes_a_private_file_and_never_a_second(tmp_path) -> None:
    disk = Disk()
    place = tmp_path / "a"
    os.close(disk.create_excl(place))
    assert place.stat().st_mode & 0o777 == 0o600
    with pytest.raises(StorageFault) as caught:
        disk.create_excl(place)
    assert caught.value.code == "NAME_TAKEN"
    assert caught.value.context == {"path": str(place), "op": "create", "errno": "EEXIST"}


def test_create_excl_does_not_follow_a_dangling_link(tmp_path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageFault):
        Disk().create_excl(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "DISK_FULL"),
        (errno.EDQUOT, "DISK_FULL"),
        (errno.EROFS, "DISK_READ_ONLY"),
        (errno.EACCES, "DISK_DENIED"),
        (errno.ENOENT, "DISK_MISSING"),
        (errno.EIO, "DISK_FAILED"),
        (errno.ENXIO, "DISK_FAILED"),
    ],
)
def test_what_the_system_says_comes_out_by_who_must_act(tmp_path, number, code) -> None:
    disk = FailingDisk(lambda *_: number)
    with pytest.raises(StorageFault) as caught:
        disk.open_directory(tmp_path)
    assert caught.value.code == code
    assert caught.value.context["errno"] == errno.errorcode[number]
    assert caught.value.hint


def test_the_fault_is_told_in_korean_too(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    assert "디스크" in files.fault("write", tmp_path, OSError(errno.ENOSPC, "x")).message


def test_write_all_survives_short_writes_and_interruptions(tmp_path) -> None:
    turns = iter([errno.EINTR, "short", errno.EINTR, "short", "short"])
    disk = FailingDisk(lambda _n, op, _p: next(turns, None) if op == "write" else None)
    fd = disk.create_excl(tmp_path / "a")
    data = bytes(range(256)) * 40
    disk.write_all(fd, tmp_path / "a", data)
    os.close(fd)
    assert (tmp_path / "a").read_bytes() == data
    assert next(turns, "all used") == "all used"


def test_preallocating_changes_no_length_and_is_given_back(tmp_path) -> None:
    disk = Disk()
    place = tmp_path / "a"
    fd = disk.create_excl(place)
    done = disk.preallocate(fd, place, 8 << 20)
    assert os.fstat(fd).st_size == 0
    if done:
        assert os.fstat(fd).st_blocks * 512 >= 8 << 20
    disk.write_all(fd, place, b"x" * 1000)
    disk.truncate(fd, place, 1000)
    assert os.fstat(fd).st_size == 1000
    assert os.fstat(fd).st_blocks * 512 < 1 << 20
    os.close(fd)


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOSPC])
def test_a_disk_that_cannot_preallocate_is_no_fault(tmp_path, number) -> None:
    disk = FailingDisk(lambda _n, op, _p: number if op == "fallocate" else None)
    fd = disk.create_excl(tmp_path / "a")
    assert not disk.preallocate(fd, tmp_path / "a", 1 << 20)
    os.close(fd)


def test_syncfs_on_a_bad_descriptor_is_a_fault(tmp_path) -> None:
    with pytest.raises(StorageFault) as caught:
        Disk().syncfs(-1, tmp_path)
    assert caught.value.context["errno"] == "EBADF"


@pytest.mark.parametrize("sync", [False, True])
def test_atomic_replace_shows_the_old_or_the_new_content(tmp_path, sync) -> None:
    place = tmp_path / "a"
    counting = FailingDisk()
    counting.atomic_replace(place, b"old", sync=sync)
    counting.calls.clear()
    counting.atomic_replace(place, b"old", sync=sync)
    for at in range(len(counting.calls)):
        disk = FailingDisk(lambda number, _op, _path, at=at: errno.EIO if number == at else None)
        before = place.read_bytes()
        with pytest.raises(StorageFault):
            disk.atomic_replace(place, b"new %d" % at, sync=sync)
        assert place.read_bytes() in (before, b"new %d" % at)
    (tmp_path / "a.tmp").write_bytes(b"left by a killed process, and longer than what follows")
    Disk().atomic_replace(place, b"last", sync=sync)
    assert place.read_bytes() == b"last"
    assert os.listdir(tmp_path) == ["a"]


def test_make_directory_is_private_repeatable_and_makes_no_parents(tmp_path) -> None:
    disk = Disk()
    disk.make_directory(tmp_path / "a")
    disk.make_directory(tmp_path / "a")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    with pytest.raises(StorageFault, match="DISK_MISSING"):
        disk.make_directory(tmp_path / "b" / "c")
    (tmp_path / "file").touch()
    with pytest.raises(StorageFault, match="NAME_TAKEN"):
        disk.make_directory(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(StorageFault, match="NAME_TAKEN"):
        disk.make_directory(tmp_path / "link")


def test_unlink_of_what_is_gone_is_as_good(tmp_path) -> None:
    Disk().unlink(tmp_path / "nothing")
    with pytest.raises(StorageFault):
        Disk().unlink(tmp_path)


def test_only_a_regular_file_is_opened(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    os.mkfifo(tmp_path / "fifo")
    disk = Disk()
    disk.close(disk.open_existing(tmp_path / "a"))
    for name in ("link", "fifo"):
        with pytest.raises(StorageFault):
            disk.open_existing(tmp_path / name)
    disk.close(-1)


def test_atomic_replace_gives_a_file_to_another_user(tmp_path) -> None:
    theirs = (1234, 1234) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    for owner in (theirs, (os.geteuid(), os.getegid())):
        Disk().atomic_replace(tmp_path / "a", b"new", sync=False, owner=owner)
        status = (tmp_path / "a").stat()
        assert (status.st_uid, status.st_gid) == owner


@pytest.mark.parametrize("what", ["pipe", "link", "left over"])
def test_atomic_replace_opens_nothing_that_lies_in_its_way(tmp_path, what) -> None:
    way, victim = tmp_path / "a.tmp", tmp_path / "victim"
    victim.write_bytes(b"untouched")
    if what == "pipe":
        os.mkfifo(way)
    elif what == "link":
        way.symlink_to(victim)
    else:
        way.write_bytes(b"longer than the new content")
    writing = threading.Thread(
        target=lambda: Disk().atomic_replace(tmp_path / "a", b"new", sync=True), daemon=True
    )
    writing.start()
    writing.join(20)
    assert not writing.is_alive()
    assert (tmp_path / "a").read_bytes() == b"new"
    assert victim.read_bytes() == b"untouched"
    assert not way.exists()


def test_what_a_name_is_is_told_without_following_it(tmp_path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "to-directory").symlink_to(tmp_path)
    assert files.exists(tmp_path / "dangling")
    assert not files.exists(tmp_path / "nothing")
    assert files.is_directory(tmp_path)
    assert not files.is_directory(tmp_path / "to-directory")
    assert not files.is_directory(tmp_path / "nothing")
    assert not files.is_regular(tmp_path / "dangling")
    assert not files.is_regular(tmp_path / "nothing")
    assert files.same_file_system(tmp_path, tmp_path)


def test_a_lock_holds_against_another_process_and_ends_with_it(tmp_path) -> None:
    place = tmp_path / "a"
    place.touch()
    code = "import fcntl,sys; f=open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('locked', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"locked\n"
        disk = Disk()
        fd = disk.open_existing(place)
        assert not files.try_lock(fd)
        other.kill()
        other.wait()
        assert files.try_lock(fd)
        disk.close(fd)


def test_a_file_that_was_just_made_is_locked_also_while_somebody_asks_whether_it_is(tmp_path) -> None:
    """B13: whoever asks holds the lock for an instant; without the lock a live file looks as if it was left behind."""
    place = tmp_path / "file"
    own, other = (os.open(place, os.O_RDWR | os.O_CREAT) for _ in range(2))
    assert files.try_lock(other)
    asked = threading.Timer(0.05, os.close, [other])
    asked.start()
    assert files.lock_new(own)
    asked.join()
    third = os.open(place, os.O_RDWR)
    assert not files.try_lock(third)
    os.close(own)
    os.close(third)


def test_a_lock_that_cannot_be_had_is_waited_for_and_not_for_ever(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(files, "LOCK_NEW_S", 0.01)
    own, other = (os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT) for _ in range(2))
    assert files.try_lock(other)
    assert not files.lock_new(own)
    os.close(other)
    os.close(own)
    assert not files.lock_new(own), "a file system without locks, or no file"
