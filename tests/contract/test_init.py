"""`pasu init --answers` on real disks: what it refuses and why, what it formats, what it leaves behind."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import tomllib

import pytest

from tests.init_lab import PASSWORD, Box, box
from tests.peer import need

__all__ = ["box"]

SIZE = 4 << 30


def vault_on(box: Box, device: str, owner: str, *, at: str = "", damaged: bool = False) -> None:
    subprocess.run([need("mkfs.ext4"), "-q", "-F", device], check=True)
    with box.mounted(device) as place:
        root = place / at
        segments = root / "segments" / "cam01" / "2026-11-20"
        segments.mkdir(parents=True)
        (segments / "20261120T101500.000Z.mp4.age").write_bytes(b"age-encryption.org/v1\nfootage")
        for name in ("holds", "quarantine"):
            (root / name).mkdir()
        identity = {"magic": "pasu-vault", "version": 1, "uuid": "u-1", "box": owner, "created_ms": 1}
        (root / "VAULT").write_text("damaged" if damaged else json.dumps(identity))


def test_a_blank_disk_is_formatted_when_its_size_was_typed_back_and_the_box_is_ready(box: Box) -> None:
    device = box.disk()
    refused = box.pasu("init", "--answers", str(box.answers(f'device = "{device}"')))
    assert refused.returncode == 1
    assert "INIT_DISK_FORMAT" in refused.stderr
    assert str(SIZE) in refused.stderr
    assert not box.formatted(device)
    assert not box.has("/etc/pasu/agent.toml")

    file = box.answers(f'device = "{device}"\nformat = "{SIZE}"')
    done = box.pasu("init", "--answers", str(file), language="ko")
    assert done.returncode == 0, done.stderr
    assert "준비되었습니다" in done.stdout
    config = tomllib.loads(box.read("/etc/pasu/agent.toml"))
    assert config["box"]["site"] == "경포해변 3지점"
    assert config["storage"]["loss_window_s"] in (1.0, 2.0, 5.0, 10.0)
    assert config["camera"][0]["allow_basic_auth"] is False
    assert PASSWORD not in box.read("/etc/pasu/agent.toml")
    assert box.log_ins()["camera"]["cam01"]["password"] == PASSWORD
    assert box.run(
        "stat", "-c", "%a", "/etc/pasu", "/etc/pasu/agent.toml", "/etc/pasu/secrets.sealed"
    ).stdout.split() == [
        "770",
        "640",
        "600",
    ]
    assert box.run("findmnt", "-no", "SOURCE,FSTYPE", "/var/lib/pasu/vault").stdout.split() == [
        device,
        "ext4",
    ]
    uuid = subprocess.run(
        ["blkid", "-p", "-o", "value", "-s", "UUID", device], capture_output=True, text=True
    ).stdout
    line = box.read("/etc/fstab").splitlines()[-1].split()
    assert line[:3] == [f"UUID={uuid.strip()}", "/var/lib/pasu/vault", "ext4"]
    assert {"nofail", "nodev", "nosuid", "noexec", "errors=remount-ro"} <= set(line[3].split(","))
    assert box.pasu("config", "check").returncode == 0
    assert not box.has("/etc/pasu/agent.toml.draft")

    before = box.read("/etc/pasu/agent.toml"), box.read("/etc/fstab"), box.formatted(device)
    assert box.pasu("init", "--answers", str(file)).returncode == 0
    assert (box.read("/etc/pasu/agent.toml"), box.read("/etc/fstab"), box.formatted(device)) == before
    other = box.answers(f'device = "{device}"\nformat = "{SIZE}"', ("경포해변 3지점", "다른 곳"))
    refused = box.pasu("init", "--answers", str(other))
    assert (refused.returncode, "INIT_CONFIGURED" in refused.stderr) == (78, True)
    assert (box.read("/etc/pasu/agent.toml"), box.read("/etc/fstab"), box.formatted(device)) == before


@pytest.mark.parametrize(
    ("owner", "at", "damaged"),
    [
        ("gn-9999", "", False),
        ("", "", True),
        ("gn-0007", "var/lib/pasu/vault", False),
        ("gn-9999", "old/box", False),
    ],
)
def test_b15_a_vault_is_never_formatted_whoevers_it_is(box: Box, owner: str, at: str, damaged: bool) -> None:
    """B15: a disk with a vault on it, which is not this box's own, is refused; not one byte of it changes."""
    device = box.disk()
    vault_on(box, device, owner, at=at, damaged=damaged)
    before = box.signatures(device)
    for wish in (f'device = "{device}"', f'device = "{device}"\nformat = "{SIZE}"'):
        done = box.pasu("init", "--answers", str(box.answers(wish)))
        assert done.returncode == 1
        assert "INIT_DISK_VAULT" in done.stderr
        if owner:
            assert (owner in done.stderr) or "this box's vault" in done.stderr
    assert box.signatures(device) == before
    assert not box.has("/etc/pasu/agent.toml")
    assert box.read("/etc/fstab") == "# empty\n"


def test_this_boxs_own_vault_is_taken_with_what_is_in_it(box: Box) -> None:
    device = box.disk()
    vault_on(box, device, "gn-0007")
    done = box.pasu("init", "--answers", str(box.answers(f'device = "{device}"\nformat = "{SIZE}"')))
    assert done.returncode == 0, done.stderr
    assert "this box's own vault" in done.stdout
    segment = "/var/lib/pasu/vault/segments/cam01/2026-11-20/20261120T101500.000Z.mp4.age"
    assert box.read(segment) == "age-encryption.org/v1\nfootage"


def test_somebodys_files_are_named_and_lost_only_when_that_is_typed(box: Box) -> None:
    device = box.disk()
    subprocess.run([need("mkfs.ext4"), "-q", "-F", device], check=True)
    with box.mounted(device) as place:
        (place / "family photos").mkdir()
    before = box.signatures(device)
    for wish in (
        f'device = "{device}"',
        f'device = "{device}"\nformat = "yes"',
        f'device = "{device}"\nformat = "4294967297"',
    ):
        done = box.pasu("init", "--answers", str(box.answers(wish)))
        assert (done.returncode, "INIT_DISK_FORMAT" in done.stderr) == (1, True)
        assert "family photos" in done.stderr
    assert box.signatures(device) == before
    done = box.pasu("init", "--answers", str(box.answers(f'device = "{device}"\nformat = "{SIZE}"')))
    assert done.returncode == 0, done.stderr
    assert box.run("ls", "/var/lib/pasu/vault").stdout.split() == ["lost+found"]


def test_an_empty_file_system_is_taken_as_it_is(box: Box) -> None:
    device = box.disk()
    subprocess.run([need("mkfs.ext4"), "-q", "-F", "-L", "mine", device], check=True)
    done = box.pasu("init", "--answers", str(box.answers(f'device = "{device}"')))
    assert done.returncode == 0, done.stderr
    assert 'LABEL="mine"' in box.signatures(device)


def vfat(device: str) -> None:
    """The first sector of a FAT file system, as a stick has it (Microsoft's specification of FAT)."""
    sector = bytearray(512)
    sector[0:11] = b"\xeb\x58\x90MSDOS5.0"
    sector[11:13], sector[13], sector[14:16], sector[16] = (
        (512).to_bytes(2, "little"),
        8,
        (32).to_bytes(2, "little"),
        2,
    )
    sector[21] = 0xF8
    sector[32:36], sector[36:40] = (SIZE // 512).to_bytes(4, "little"), (8192).to_bytes(4, "little")
    sector[44:48], sector[66], sector[82:90], sector[510:512] = (
        (2).to_bytes(4, "little"),
        0x29,
        b"FAT32   ",
        b"\x55\xaa",
    )
    with open(device, "r+b") as file:
        file.write(sector)


def swap(device: str) -> None:
    subprocess.run([need("mkswap"), device], check=True, capture_output=True)


def broken(device: str) -> None:
    subprocess.run([need("mkfs.ext4"), "-q", "-F", device], check=True)
    with open(device, "r+b") as file:
        file.seek(4096)
        file.write(os.urandom(64 << 10))


def unknown(device: str) -> None:
    with open(device, "r+b") as file:
        file.seek(3 << 30)
        file.write(b"another recorder's footage" * 4096)


@pytest.mark.parametrize(
    ("make", "code"),
    [(vfat, "INIT_DISK_UNCLEAR"), (swap, "INIT_DISK_SWAP"), (broken, "INIT_DISK_UNCLEAR")],
)
def test_what_cannot_be_looked_into_or_is_anothers_is_left_alone(box: Box, make, code: str) -> None:
    device = box.disk()
    make(device)
    before = box.signatures(device)
    done = box.pasu("init", "--answers", str(box.answers(f'device = "{device}"\nformat = "{SIZE}"')))
    assert (done.returncode, code in done.stderr) == (1, True), done.stderr
    assert box.signatures(device) == before
    assert not box.has("/etc/pasu/agent.toml")


def test_something_that_nobody_knows_is_not_taken_for_a_blank_disk(box: Box) -> None:
    device = box.disk()
    unknown(device)
    done = box.pasu("init", "--answers", str(box.answers(f'device = "{device}"')))
    assert (done.returncode, "INIT_DISK_FORMAT" in done.stderr) == (1, True)
    assert "unknown" in done.stderr


def test_a_disk_that_is_small_read_only_mounted_or_not_there(box: Box) -> None:
    small = box.disk("small", gib=1)
    locked = box.disk("locked", options=("--read-only",))
    used = box.disk("used")
    subprocess.run([need("mkfs.ext4"), "-q", "-F", used], check=True)
    box.run("mkdir", "-p", "/var/lib/elsewhere", check=True)
    box.run("mount", used, "/var/lib/elsewhere", check=True)
    expected = {small: "SMALL", locked: "READ_ONLY", used: "MOUNTED", "/dev/nothing": "UNKNOWN"}
    for device, code in expected.items():
        done = box.pasu("init", "--answers", str(box.answers(f'device = "{device}"\nformat = "{SIZE}"')))
        assert (done.returncode, f"INIT_DISK_{code}" in done.stderr) == (1, True), done.stderr
    assert (
        "/var/lib/elsewhere" in box.pasu("init", "--answers", str(box.answers(f'device = "{used}"'))).stderr
    )


def partitions(*spans: tuple[int, int]) -> bytes:
    """A partition table as in a master boot record: first sector and sectors of each."""
    entries = b"".join(
        b"\0\0\0\0\x83\0\0\0" + start.to_bytes(4, "little") + sectors.to_bytes(4, "little")
        for start, sectors in spans
    )
    return (bytes(446) + entries).ljust(510, b"\0") + b"\x55\xaa"


def test_a_disk_with_parts_is_told_by_them_and_one_with_a_vault_in_a_part_is_refused(box: Box) -> None:
    device = box.disk()
    with open(device, "r+b") as file:
        file.write(partitions((2048, 4_000_000), (4_100_096, 4_000_000)))
    subprocess.run([need("partx"), "--add", device], check=True)
    part, _ = box.part(device, 1), box.part(device, 2)
    vault_on(box, part, "gn-9999")
    done = box.pasu("init", "--answers", str(box.answers(f'device = "{device}"\nformat = "{SIZE}"')))
    assert (done.returncode, "INIT_DISK_VAULT" in done.stderr) == (1, True), done.stderr
    subprocess.run([need("mkfs.ext4"), "-q", "-F", part], check=True)
    with box.mounted(part) as place:
        (place / "letters").touch()
    done = box.pasu("init", "--answers", str(box.answers(f'device = "{device}"')))
    assert "letters" in done.stderr
    done = box.pasu("init", "--answers", str(box.answers(f'device = "{device}"\nformat = "{SIZE}"')))
    assert done.returncode == 0, done.stderr
    assert box.run("findmnt", "-no", "SOURCE", "/var/lib/pasu/vault").stdout.strip() == device


def test_answers_that_are_wrong_are_all_named_and_nothing_is_touched(box: Box) -> None:
    device = box.disk()
    file = box.answers(
        f'device = "{device}"\nformat = "{SIZE}"\ncolour = "blue"',
        ("crime-prevention", "curiosity"),
        ('site = "경포해변 3지점"', ""),
        ('username = "recorder"', 'username = "a:b"'),
    )
    done = box.pasu("init", "--answers", str(file))
    assert done.returncode == 78
    for key in ("disk.colour", "camera[1].purpose", "box.site", "camera[1].username"):
        assert key in done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert not box.has("/etc/pasu")
    assert not box.has("/var/lib/pasu")
    assert not box.formatted(device)


def test_h11_an_answers_file_that_others_may_read_is_refused(box: Box) -> None:
    """H11: passwords."""
    file = box.answers('device = "/dev/sdz"')
    file.chmod(file.stat().st_mode | stat.S_IRGRP)
    done = box.pasu("init", "--answers", str(file))
    assert (done.returncode, "CONFIG_SECRETS_MODE" in done.stderr) == (78, True)


def test_d12_a_factory_password_is_refused_unless_the_file_puts_up_with_it(box: Box) -> None:
    """D12."""
    device = box.disk()
    disk = f'device = "{device}"\nformat = "{SIZE}"'
    factory = (f'"recorder"\npassword = "{PASSWORD}"', '"admin"\npassword = "admin"')
    refused = box.pasu("init", "--answers", str(box.answers(disk, factory)))
    assert (refused.returncode, "INIT_FACTORY_PASSWORD" in refused.stderr) == (78, True), refused.stderr
    assert 'waive = ["factory-password"]' in refused.stderr
    assert "cam01" in refused.stderr
    assert not box.has("/etc/pasu/agent.toml")
    assert not box.formatted(device)
    waived = (factory[0], factory[1] + '\nwaive = ["factory-password"]')
    file = box.answers(disk, waived)
    done = box.pasu("init", "--answers", str(file))
    assert done.returncode == 0, done.stderr
    assert "cam01: a factory password" in done.stdout
    assert "[[camera]]\n# waived when it was added: factory-password\n" in box.read("/etc/pasu/agent.toml")
    assert box.pasu("config", "check").returncode == 0
    again = box.pasu("init", "--answers", str(file))
    assert (again.returncode, "ready just so" in again.stdout) == (0, True), again.stderr


def test_the_files_are_the_agents_where_its_user_exists(box: Box) -> None:
    box.run("useradd", "--system", "--no-create-home", "pasu", check=True)
    device = box.disk()
    done = box.pasu("init", "--answers", str(box.answers(f'device = "{device}"\nformat = "{SIZE}"')))
    assert done.returncode == 0, done.stderr
    paths = [
        "/etc/pasu",
        "/etc/pasu/agent.toml",
        "/etc/pasu/secrets.sealed",
        "/var/lib/pasu/state",
        "/var/lib/pasu/vault",
    ]
    told = box.run("stat", "-c", "%U:%G %a", *paths, check=True).stdout.splitlines()
    assert told == ["root:pasu 770", "root:pasu 640", "root:root 600", "pasu:pasu 700", "pasu:pasu 700"]
    # Where the disk is not there, the agent can make no vault in its place.
    box.run("umount", "/var/lib/pasu/vault", check=True)
    beside = box.run(
        "setpriv", "--reuid=pasu", "--regid=pasu", "--clear-groups", "touch", "/var/lib/pasu/vault/x"
    )
    assert beside.returncode != 0


def test_the_request_to_the_centre_is_written_where_it_was_asked_for(box: Box) -> None:
    device = box.disk()
    target = box.folder / "gn-0007.request"
    file = box.answers(f'device = "{device}"\nformat = "{SIZE}"\n\n[enrolment]\nrequest = "{target}"')
    done = box.pasu("init", "--answers", str(file))
    assert done.returncode == 0, done.stderr
    assert json.loads(target.read_text())
    assert "fingerprint of this box" in done.stdout


def test_a_request_that_cannot_be_written_leaves_the_box_ready(box: Box) -> None:
    device = box.disk()
    file = box.answers(
        f'device = "{device}"\nformat = "{SIZE}"\n\n[enrolment]\nrequest = "/nowhere/gn.request"'
    )
    done = box.pasu("init", "--answers", str(file))
    assert (done.returncode, "DISK_MISSING" in done.stderr) == (3, True), done.stderr
    assert box.pasu("config", "check").returncode == 0


def test_a_disk_that_somebody_mounts_there_already_keeps_their_line(box: Box) -> None:
    device = box.disk()
    subprocess.run([need("mkfs.ext4"), "-q", "-F", device], check=True)
    box.run("mkdir", "-p", "/var/lib/pasu/vault", check=True)
    line = f"{device} /var/lib/pasu/vault ext4 defaults,nofail 0 2"
    box.run("sh", "-c", f"echo '{line}' >> /etc/fstab; mount {device} /var/lib/pasu/vault", check=True)
    file = box.answers(f'device = "{device}"')
    done = box.pasu("init", "--answers", str(file))
    assert done.returncode == 0, done.stderr
    assert box.read("/etc/fstab") == f"# empty\n{line}\n"
    # Another disk, for which the line is none of its own, is not put in its place.
    box.run("umount", "/var/lib/pasu/vault", check=True)
    box.run("rm", "/etc/pasu/agent.toml", check=True)
    refused = box.pasu("init", "--answers", str(file))
    assert (refused.returncode, "INIT_FSTAB" in refused.stderr) == (1, True), refused.stderr
    assert not box.has("/etc/pasu/agent.toml")
