"""Which disks `pasu init` refuses and why, what it proposes of them, and the line in fstab."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.field.setup import drives, fit, fstab
from agent.field.setup.drives import Content, Drive, Use, judge
from agent.language import speaking

VAULT = "/var/lib/pasu/vault"
TB = 10**12
EMPTY = Content(signature="ext4", opened=True, uuid="u")
BLANK = Content(blank=True)


def disk(path: str = "/dev/sdb", *parts: Drive, **more) -> Drive:
    values = {"kind": "disk", "size_bytes": 4 * TB, "serial": "WD-1", "content": BLANK, "bus": "sata"}
    return Drive(path, parts=parts, **{**values, **more})


def part(path: str = "/dev/sdb1", **more) -> Drive:
    return Drive(path, **{"kind": "part", "size_bytes": TB, "content": BLANK, **more})


def verdict(drive: Drive, whole: Drive | None = None) -> drives.Verdict:
    with speaking("en"):
        return judge(drive, whole or drive, "gn-0007", VAULT)


def test_a_blank_disk_is_formatted_when_its_serial_number_is_typed() -> None:
    found = verdict(disk())
    assert (found.use, found.code) == (Use.FORMAT, "INIT_DISK_FORMAT")
    assert "WD-1" in found.then
    assert verdict(disk(serial="")).then.endswith(str(4 * TB))


@pytest.mark.parametrize(
    ("drive", "code"),
    [
        (disk(mounts=("/",)), "SYSTEM"),
        (disk("/dev/sda", part("/dev/sda1", mounts=("/boot",))), "SYSTEM"),
        (disk(mounts=("[SWAP]",)), "SWAP"),
        (disk(content=Content(signature="swap")), "SWAP"),
        (disk("/dev/sdb", part(content=Content(signature="swap"))), "SWAP"),
        (disk(removable=True), "REMOVABLE"),
        (disk(bus="usb"), "REMOVABLE"),
        (disk(read_only=True), "READ_ONLY"),
        (disk(size_bytes=drives.LEAST_BYTES - 1), "SMALL"),
        (disk(mounts=("/mnt/data",)), "MOUNTED"),
        (disk(mounts=(VAULT, "/mnt/data"), content=EMPTY), "MOUNTED"),
        (disk("/dev/sdb", part(mounts=(VAULT,), content=EMPTY)), "MOUNTED"),
        (disk(content=replace(EMPTY, vault_box="gn-9999")), "VAULT"),
        (disk(content=replace(EMPTY, vault_box="")), "VAULT"),
        (disk(content=replace(EMPTY, vault_box="gn-0007", vault_at="old")), "VAULT"),
        (disk("/dev/sdb", part(content=replace(EMPTY, vault_box="gn-0007"))), "VAULT"),
        (disk(content=Content(signature="LVM2_member")), "MEMBER"),
        (disk("/dev/sdb", part("/dev/mapper/x", kind="lvm")), "MEMBER"),
        (disk(content=Content(signature="ntfs")), "UNCLEAR"),
        (disk(content=None), "UNCLEAR"),
        (disk("/dev/sdb", part(content=Content(signature="?"))), "UNCLEAR"),
    ],
)
def test_b15_what_is_refused_and_by_which_code(drive: Drive, code: str) -> None:
    """B15."""
    found = verdict(drive)
    assert (found.use, found.code) == (Use.NEVER, f"INIT_DISK_{code}")
    assert found.then
    with speaking("ko"):
        korean = judge(drive, drive, "gn-0007", VAULT)
    assert korean.text != found.text


def test_a_part_is_refused_for_its_disk() -> None:
    system = disk("/dev/sda", part("/dev/sda1", mounts=("/",)), part("/dev/sda2"))
    assert verdict(system.parts[1], system).code == "INIT_DISK_SYSTEM"
    for whole in (disk(bus="usb"), disk(removable=True)):
        assert verdict(part(), whole).code == "INIT_DISK_REMOVABLE"
    assert verdict(part(), disk(read_only=True)).code == "INIT_DISK_READ_ONLY"
    assert verdict(part(), disk()).use is Use.FORMAT


def test_whose_vault_it_is_is_said() -> None:
    assert "gn-9999" in verdict(disk(content=replace(EMPTY, vault_box="gn-9999"))).text
    assert "without a name" in verdict(disk(content=replace(EMPTY, vault_box=""))).text
    ours = verdict(disk("/dev/sdb", part(content=replace(EMPTY, vault_box="gn-0007"))))
    assert "/dev/sdb1" in ours.then


def test_what_is_taken_as_it_is() -> None:
    assert verdict(disk(content=EMPTY)).use is Use.READY
    assert verdict(disk(content=replace(EMPTY, signature="xfs"))).use is Use.READY
    assert verdict(disk(content=replace(EMPTY, vault_box="gn-0007", names=("VAULT",)))).use is Use.OURS
    assert verdict(disk(mounts=(VAULT,), content=EMPTY)).use is Use.READY
    assert verdict(disk(mounts=(VAULT,), content=replace(EMPTY, vault_box="gn-0007"))).use is Use.OURS
    assert verdict(Drive("/dev/vg/data", "lvm", TB, content=EMPTY), disk()).use is Use.READY


def test_somebody_elses_files_at_the_vaults_folder_stay() -> None:
    found = verdict(disk(mounts=(VAULT,), content=replace(EMPTY, names=("photos",))))
    assert (found.use, found.code) == (Use.NEVER, "INIT_DISK_MOUNTED")
    assert "photos" in found.text
    assert verdict(disk(mounts=(VAULT,), content=replace(EMPTY, signature="btrfs"))).use is Use.NEVER


def test_what_would_be_lost_is_named() -> None:
    assert (
        "photos, music and 7 more"
        in verdict(disk(content=replace(EMPTY, names=("photos", "music"), more=7))).text
    )
    assert "unknown" in verdict(disk(content=Content())).text
    assert "blank" in verdict(disk()).text
    assert verdict(disk(content=replace(EMPTY, signature="vfat"))).text == "vfat"
    table = Content(signature="gpt", opened=True)
    parted = disk("/dev/sdb", part(content=EMPTY), part("/dev/sdb2"), content=table)
    assert verdict(parted).text == "divided: /dev/sdb1 an empty ext4, /dev/sdb2"


def test_what_lsblk_says() -> None:
    told = {
        "blockdevices": [
            {"path": "/dev/sr0", "type": "rom", "size": 5},
            {"path": "/dev/sdc", "type": "disk", "size": 0},
            {
                "path": "/dev/sdb", "type": "disk", "size": 7, "model": " WDC\x1b ", "serial": "S", "tran": "sata",
                "rm": True, "ro": True, "mountpoints": [None, "/a"],
                "children": [{"path": "/dev/sdb1", "type": "part", "size": 3}],
            },
            {"path": "/dev/loop0", "type": "loop", "size": 9},
        ]
    }  # fmt: skip
    found = drives.read(told)
    assert found[0] == Drive(
        "/dev/sdb", "disk", 7, "WDC?", "S", "sata", True, True, ("/a",), (Drive("/dev/sdb1", "part", 3),)
    )
    assert [drive.path for drive, _ in drives.listed(found)] == ["/dev/sdb", "/dev/sdb1"]
    assert drives.find(found, "/dev/sdb1") == (found[0].parts[0], found[0])
    assert drives.find(found, "/dev/sdz") is None
    seen = drives.looked(found[0], {"/dev/sdb1": BLANK})
    assert (seen.content, seen.parts[0].content) == (None, BLANK)
    raid = Drive("/dev/md0", "raid1", 5)
    pair = (disk("/dev/sdb", raid), disk("/dev/sdc", raid))
    assert [drive.path for drive, _ in drives.listed(pair)] == ["/dev/sdb", "/dev/md0", "/dev/sdc"]
    assert Content.from_json({"names": ["a"], "signature": "ext4"}).names == ("a",)


def cost(*took_ms: float) -> fit.Cost:
    return fit.Cost(tuple(round(each * 1000) for each in took_ms), 1, 1)


@pytest.mark.parametrize(
    ("took_ms", "window"),
    [
        ([8.0] * 100, 1.0),
        ([8.0] * 99 + [240.0], 1.0),
        ([8.0] * 98 + [300.0, 300.0], 2.0),
        ([150.0] * 10, 2.0),
        ([450.0] * 10, 5.0),
        ([900.0] * 10, 10.0),
        ([1001.0] * 10, None),
        ([8.0] * 9 + [2600.0], None),
    ],
)
def test_the_loss_window_that_is_proposed(took_ms: list[float], window: float | None) -> None:
    assert fit.window_s(cost(*took_ms)) == window


def test_how_slow_a_disk_is() -> None:
    found = cost(*range(1, 101))
    assert (found.middle_ms, found.slow_ms) == (51.0, 100.0)
    assert cost(5).slow_ms == 5.0


def test_for_how_many_days_a_disk_does() -> None:
    load, guessed = fit.load_bytes_s([4000, None, 2000])
    assert (load, guessed) == (10_000 * 125, 1)
    assert fit.tenths_of_days(4 * TB, load) == (4 * TB - 4 * TB // 50) * 10 // (load * 86_400)
    assert fit.tenths_of_days(10**9, 10**9) == 0


def test_fstab_mounts_a_disk_that_comes_late() -> None:
    """B15: what was slower than the wait, or was pulled and put back, is mounted when it comes, by its own unit."""
    line = (fstab.with_vault("", "cda0-803f", VAULT, "ext4") or "").splitlines()[-1]
    wanted = [each for each in line.split()[3].split(",") if each.startswith("x-systemd.wanted-by=")]
    assert wanted == [
        "x-systemd.wanted-by=local-fs.target",
        r"x-systemd.wanted-by=dev-disk-by\x2duuid-cda0\x2d803f.device",
    ]


def test_fstab_has_one_line_for_the_vault_and_lets_the_box_boot_without_it() -> None:
    """B15: a dead disk delays a start by seconds, and stops nothing."""
    text = fstab.with_vault("UUID=r / ext4 defaults 0 1", "abc", VAULT, "ext4")
    assert text is not None
    line = text.splitlines()[-1].split()
    assert line[:3] == ["UUID=abc", VAULT, "ext4"]
    options = line[3].split(",")
    assert {"nofail", "x-systemd.device-timeout=20s", "errors=remount-ro", "noexec"} <= set(options)
    assert text.startswith("UUID=r / ext4 defaults 0 1\n")
    assert fstab.with_vault(text, "ABC", VAULT, "ext4") == text
    assert fstab.with_vault(text, "other", VAULT, "ext4") is None
    assert fstab.with_vault(f'UUID="abc" {VAULT}/ ext4', "abc", VAULT, "ext4") is not None
    assert fstab.with_vault(f"#UUID=x {VAULT} ext4\n\nproc\n", "abc", VAULT, "xfs") is not None
    assert "errors=" not in (fstab.with_vault("", "abc", VAULT, "xfs") or "errors=")
