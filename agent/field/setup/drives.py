"""Disks: what lsblk says of them, what was found on them, and whether recordings may lie there. Pure.

Footage destroyed by mistake is the worst thing. A disk is made anew only when all that is on it could be looked
through, nothing of it is a vault of Pasu's, and a person has typed back which disk it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from agent.field.words import size
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LEAST_BYTES = 2_000_000_000
"""Less is no vault: the keeper's reserve and a few hours of one camera."""
SYSTEM_MOUNTS = frozenset(
    {"/", "/boot", "/boot/efi", "/usr", "/usr/local", "/var", "/var/lib", "/etc", "/opt", "/home"}
)
SWAP = "[SWAP]"
GOOD = ("ext4", "xfs")
"""File systems with what a vault needs: names that outlive a power cut, hard links, room reserved ahead."""
MEMBERS = frozenset(
    {
        "LVM2_member",
        "linux_raid_member",
        "crypto_LUKS",
        "zfs_member",
        "bcache",
        "isw_raid_member",
        "ddf_raid_member",
    }
)
NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Content:
    """What was found on one block device.

    signature  of a file system or the like, "" for none, "?" when several contradict each other
    blank      no signature, and nothing but zeroes wherever it was read
    opened     its file system could be looked into
    names      of what is in it, besides lost+found; at most NAMES_SHOWN
    more       how many others there are
    vault_box  id of the box whose vault it is ("" when it does not say), None: no vault
    vault_at   where in the file system the vault lies, "" for its root
    uuid       of the file system, "" for none
    """

    signature: str = ""
    blank: bool = False
    opened: bool = False
    names: tuple[str, ...] = ()
    more: int = 0
    vault_box: str | None = None
    vault_at: str = ""
    uuid: str = ""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Content:
        """Read what the one who looked has said."""
        return cls(**{**values, "names": tuple(values["names"])})


@dataclass(frozen=True, slots=True)
class Drive:
    """One block device, with those on it.

    kind     "disk", "part", "loop", "lvm", "raid1", "crypt", ...
    bus      "sata", "nvme", "usb", ...; "" when nobody says
    mounts   where it is mounted; SWAP when it is swapped to
    content  None until it was looked at
    """

    path: str
    kind: str
    size_bytes: int
    model: str = ""
    serial: str = ""
    bus: str = ""
    removable: bool = False
    read_only: bool = False
    mounts: tuple[str, ...] = ()
    parts: tuple[Drive, ...] = ()
    content: Content | None = field(default=None)

    @property
    def phrase(self) -> str:
        """What has to be typed to have it made anew: its serial number, else its size in bytes."""
        return self.serial or str(self.size_bytes)

    def all(self) -> Iterator[Drive]:
        """Yield it, and everything on it."""
        yield self
        for part in self.parts:
            yield from part.all()


class Use(StrEnum):
    """What may be done with a disk.

    OURS    it is this box's vault already: it is taken as it is
    READY   an empty file system: it is taken as it is
    FORMAT  it has to be made anew, which a person has to type
    NEVER   it is refused
    """

    OURS = "ours"
    READY = "ready"
    FORMAT = "format"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be done with a disk, and why.

    code   of the refusal; "" when there is none
    text   what is the matter with it; then: who does what
    """

    use: Use
    text: str
    code: str = ""
    then: str = ""


def read(told: Mapping[str, Any]) -> tuple[Drive, ...]:
    """Read what `lsblk --json --bytes --output NAME,PATH,TYPE,SIZE,MODEL,SERIAL,TRAN,RM,RO,MOUNTPOINTS` says."""
    return tuple(
        drive
        for drive in map(_drive, told.get("blockdevices", ()))
        if drive.size_bytes and drive.kind != "rom"
    )


def _drive(told: Mapping[str, Any]) -> Drive:
    def text(key: str) -> str:
        found = str(told.get(key) or "").strip()
        return "".join(letter if letter.isprintable() else "?" for letter in found)

    return Drive(
        path=text("path"),
        kind=text("type"),
        size_bytes=int(told.get("size") or 0),
        model=text("model"),
        serial=text("serial"),
        bus=text("tran"),
        removable=bool(told.get("rm")),
        read_only=bool(told.get("ro")),
        mounts=tuple(each for each in told.get("mountpoints") or () if each),
        parts=tuple(map(_drive, told.get("children") or ())),
    )


def looked(drive: Drive, contents: Mapping[str, Content]) -> Drive:
    """Return a disk with what was found on it and on its parts, by path."""
    parts = tuple(looked(part, contents) for part in drive.parts)
    return replace(drive, parts=parts, content=contents.get(drive.path))


def listed(drives: Iterable[Drive]) -> Iterator[tuple[Drive, Drive]]:
    """Yield what can be chosen: each disk and each part of it once, with the disk it is on. Loops are for tests and for
    snaps: whoever wants one names it.
    """
    seen = set()
    for disk in drives:
        for drive in disk.all():
            if drive.path not in seen and drive.kind != "loop":
                seen.add(drive.path)
                yield drive, disk


def find(drives: Iterable[Drive], path: str) -> tuple[Drive, Drive] | None:
    """Return a block device, and the disk it is on; None when there is none of this path."""
    return next(((each, disk) for disk in drives for each in disk.all() if each.path == path), None)


def is_system(disk: Drive) -> bool:
    """Tell whether the running system lies on a disk."""
    return any(mount in SYSTEM_MOUNTS for each in disk.all() for mount in each.mounts)


def judge(drive: Drive, disk: Drive, box: str, vault: str) -> Verdict:
    """Say whether recordings may lie on a disk.

    drive  a disk or a part, looked at; disk: the whole that it is on
    box    id of this box; vault: the folder where it is to be mounted
    """
    for refused in (_refused_as_it_is, _refused_by_content):
        verdict = refused(drive, disk, box, vault)
        if verdict is not None:
            return verdict
    content = drive.content or Content()
    if drive.mounts:  # at the vault's folder, or it would have been refused
        where = say("영상 폴더에 연결되어 있습니다", "mounted at the vault's folder")
        if content.vault_box is not None:
            return Verdict(Use.OURS, say("이 박스의 저장소입니다", "this box's own vault") + f", {where}")
        if content.signature in GOOD and not content.names:
            return Verdict(Use.READY, say("비어 있습니다", "empty") + f", {where}")
        return _never(
            "INIT_DISK_MOUNTED",
            say(
                "영상 폴더에 연결되어 있고, 비어 있지 않습니다: ",
                "mounted at the vault's folder, and not empty: ",
            )
            + _names(content),
            say(
                f"연결을 끊고 무엇인지 확인하십시오: umount {vault}",
                f"unmount it and see what it is: umount {vault}",
            ),
        )
    if content.vault_box is not None:
        return Verdict(Use.OURS, say("이 박스의 저장소입니다", "this box's own vault"))
    if not drive.parts and content.signature in GOOD and not content.names:
        return Verdict(Use.READY, say(f"빈 {content.signature}", f"an empty {content.signature}"))
    return _to_format(drive, content)


def _to_format(drive: Drive, content: Content) -> Verdict:
    if drive.parts:
        inside = ", ".join(f"{each.path} {_what(each.content or Content())}".strip() for each in drive.parts)
        text = say(f"나뉘어 있습니다: {inside}", f"divided: {inside}")
    elif content.blank:
        text = say("비어 있습니다. 포맷이 필요합니다", "blank, to be formatted")
    elif not content.signature:
        text = say(
            "알 수 없는 내용이 있습니다 (다른 녹화기의 영상일 수 있음)",
            "something unknown is on it (perhaps another recorder's footage)",
        )
    else:
        text = _what(content)
    return Verdict(
        Use.FORMAT,
        text,
        "INIT_DISK_FORMAT",
        say(
            f"모두 지우고 쓰려면 {drive.phrase}를 그대로 적으십시오",
            f"to lose all that is on it and use it, type {drive.phrase}",
        ),
    )


def _what(content: Content) -> str:
    if content.names:
        return f"{content.signature}: {_names(content)}"
    if content.signature in GOOD:
        return say(f"빈 {content.signature}", f"an empty {content.signature}")
    return content.signature


def _names(content: Content) -> str:
    more = say(f" 외 {content.more}개", f" and {content.more} more") if content.more else ""
    return ", ".join(content.names) + more


def _never(code: str, text: str, then: str) -> Verdict:
    return Verdict(Use.NEVER, text, code, then)


def _refused_as_it_is(drive: Drive, disk: Drive, box: str, vault: str) -> Verdict | None:  # noqa: ARG001 - one form for both
    """Refuse by what the system says, before anybody looks into it."""
    if is_system(disk):
        return _never(
            "INIT_DISK_SYSTEM",
            say("시스템이 있는 디스크입니다", "the system lies on this disk"),
            say(
                "영상용 디스크를 따로 다십시오. 다른 디스크가 없으면 s (대답 파일에서는 system_disk)",
                "put in a disk for recordings; where there is no other: s (in an answers file: system_disk)",
            ),
        )
    if any(SWAP in each.mounts or (each.content or Content()).signature == "swap" for each in drive.all()):
        return _never(
            "INIT_DISK_SWAP",
            say("스왑입니다", "swap"),
            say(
                "다른 디스크를 고르거나 swapoff하고 wipefs로 지우십시오",
                "choose another, or swapoff and wipefs it",
            ),
        )
    if drive.removable or disk.removable or "usb" in (drive.bus, disk.bus):
        return _never(
            "INIT_DISK_REMOVABLE",
            say("뽑을 수 있는 디스크(USB)입니다", "a disk that can be pulled out (USB)"),
            say("박스 안의 디스크를 고르십시오", "choose a disk inside the box"),
        )
    if drive.read_only or disk.read_only:
        return _never(
            "INIT_DISK_READ_ONLY",
            say("읽기 전용입니다", "read-only"),
            say(
                "쓰기 방지를 풀거나 디스크를 바꾸십시오 (dmesg)",
                "take its write protection off, or replace it (dmesg)",
            ),
        )
    if drive.size_bytes < LEAST_BYTES:
        return _never(
            "INIT_DISK_SMALL",
            say(f"너무 작습니다: {size(drive.size_bytes)}", f"too small: {size(drive.size_bytes)}"),
            say(
                f"{size(LEAST_BYTES)}보다 큰 디스크를 고르십시오",
                f"choose one of more than {size(LEAST_BYTES)}",
            ),
        )
    elsewhere = [
        mount for each in drive.all() for mount in each.mounts if each is not drive or mount != vault
    ]
    if elsewhere:
        return _never(
            "INIT_DISK_MOUNTED",
            say(f"{elsewhere[0]}에 연결되어 있습니다", f"mounted at {elsewhere[0]}"),
            say(
                f"쓰는 사람이 없으면 `umount {elsewhere[0]}`하고 /etc/fstab에서 그 줄을 지우십시오",
                f"if nobody uses it: `umount {elsewhere[0]}`, and take its line out of /etc/fstab",
            ),
        )
    return None


def _refused_by_content(drive: Drive, disk: Drive, box: str, vault: str) -> Verdict | None:  # noqa: ARG001 - one form for both
    """Refuse by what is on it, or on any part of it."""
    for each in drive.all():
        content = each.content or Content(signature="?")
        if content.vault_box is not None and (
            each is not drive or content.vault_at or content.vault_box != box
        ):
            return _vault(each, content, box)
        if each.kind not in ("disk", "part", "loop") and each is not drive:
            signature = each.kind
        elif content.signature in MEMBERS:
            signature = content.signature
        else:
            signature = ""
        if signature:
            return _never(
                "INIT_DISK_MEMBER",
                say(
                    f"RAID, LVM 또는 암호화 묶음의 일부입니다 ({signature})",
                    f"part of a RAID, an LVM or an encrypted disk ({signature})",
                ),
                say(
                    "묶음 위의 장치를 고르거나, 필요 없으면 사람이 직접 지우십시오 (wipefs)",
                    "choose the device on top of it, or have a person take it apart (wipefs)",
                ),
            )
        if content.signature and not content.opened:
            return _never(
                "INIT_DISK_UNCLEAR",
                say(
                    f"들여다볼 수 없습니다 ({each.path}, {content.signature}): 영상이 있을 수 있습니다",
                    f"cannot be looked into ({each.path}, {content.signature}): there may be footage on it",
                ),
                say(
                    f"무엇이 있는지 다른 컴퓨터에서 확인하십시오. 버려도 되면 사람이 직접: wipefs --all {each.path}",
                    f"see on another computer what is on it; if it may be lost, by hand: wipefs --all {each.path}",
                ),
            )
    return None


def _vault(drive: Drive, content: Content, box: str) -> Verdict:
    at = f"{drive.path}:/{content.vault_at}" if content.vault_at else drive.path
    if content.vault_box == box:
        text = say(f"이 박스의 저장소가 {at}에 있습니다", f"this box's vault lies at {at}")
        then = say(
            f"{drive.path}를 고르십시오. 저장소는 절대 포맷하지 않습니다",
            f"choose {drive.path}; a vault is never formatted",
        )
    else:
        owner = content.vault_box or say("이름 없는 박스", "a box without a name")
        text = say(f"다른 박스의 저장소입니다: {owner} ({at})", f"another box's vault: {owner} ({at})")
        then = say(
            "그 박스에 돌려주거나 관제센터에 맡기십시오. 저장소는 절대 포맷하지 않습니다",
            "give it back to that box, or to the control centre; a vault is never formatted",
        )
    return _never("INIT_DISK_VAULT", text, then)
