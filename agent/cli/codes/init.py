"""Codes of making a box ready."""

from __future__ import annotations

from agent.cli.codes.code import code

INIT = {
    "INIT_DISKS": code(
        "site",
        ("디스크를 볼 수 없습니다", "the disks cannot be looked at"),
        ("root로 `lsblk`와 `blkid`가 되는지 보십시오", "see, as root, whether `lsblk` and `blkid` work"),
    ),
    "INIT_DISK_SYSTEM": code(
        "installer",
        ("고른 디스크에 시스템이 있습니다", "the system lies on the disk that was chosen"),
        (
            "영상용 디스크를 따로 다십시오. 다른 디스크가 없으면 system_disk로 답할 수 있습니다",
            "put in a disk for recordings; where there is no other, answer with system_disk",
        ),
    ),
    "INIT_DISK_SWAP": code(
        "installer",
        ("고른 디스크는 스왑입니다", "the disk that was chosen is swap"),
        (
            "다른 디스크를 고르거나, swapoff하고 wipefs로 지우십시오",
            "choose another; or swapoff, then wipefs it",
        ),
    ),
    "INIT_DISK_REMOVABLE": code(
        "installer",
        ("뽑을 수 있는 디스크(USB)입니다", "the disk can be pulled out (USB)"),
        ("박스 안의 디스크를 고르십시오", "choose a disk inside the box"),
    ),
    "INIT_DISK_READ_ONLY": code(
        "site",
        ("디스크가 읽기 전용입니다", "the disk is read-only"),
        ("쓰기 방지를 풀거나 디스크를 바꾸십시오", "take its write protection off, or replace the disk"),
    ),
    "INIT_DISK_SMALL": code(
        "site",
        ("디스크가 너무 작습니다", "the disk is too small"),
        ("더 큰 디스크를 다십시오", "put in a larger disk"),
    ),
    "INIT_DISK_MOUNTED": code(
        "installer",
        ("디스크가 다른 곳에 연결되어 있습니다", "the disk is mounted elsewhere"),
        (
            "누가 쓰는지 확인하고, 쓰는 사람이 없으면 umount한 다음 /etc/fstab에서 지우십시오",
            "find out who uses it; if nobody does, umount it and take it out of /etc/fstab",
        ),
    ),
    "INIT_DISK_MEMBER": code(
        "installer",
        (
            "RAID, LVM 또는 암호화 묶음의 일부입니다",
            "the disk is part of a RAID, an LVM or an encrypted disk",
        ),
        (
            "묶음 위의 장치를 고르거나, 필요 없으면 직접 지우십시오 (wipefs)",
            "choose the device on top of it, or take it apart by hand (wipefs)",
        ),
    ),
    "INIT_DISK_UNCLEAR": code(
        "installer",
        (
            "디스크를 들여다볼 수 없습니다. 영상이 있을 수 있습니다",
            "the disk cannot be looked into; there may be footage on it",
        ),
        (
            "다른 컴퓨터에서 확인하고, 버려도 되면 직접 wipefs --all로 지우십시오",
            "look at it on another computer; if all of it may be lost, wipefs --all it by hand",
        ),
    ),
    "INIT_DISK_VAULT": code(
        "installer",
        (
            "다른 박스의 저장소이거나, 저장소가 든 디스크입니다",
            "the disk is another box's vault, or has a vault on it",
        ),
        (
            "그 박스에 돌려주거나 관제센터에 맡기십시오. 저장소는 절대 포맷하지 않습니다",
            "give it back to its box, or to the control centre; Pasu never formats a vault",
        ),
    ),
    "INIT_DISK_FORMAT": code(
        "installer",
        ("디스크를 포맷해야 쓸 수 있습니다", "the disk has to be formatted first"),
        (
            "모두 지워도 되면 일련번호(없으면 바이트 크기)를 그대로 적으십시오. 대답 파일에서는 [disk] format",
            "if all on it may be lost, type its serial number or size in bytes; in an answers file: [disk] format",
        ),
    ),
    "INIT_DISK_NOT_ONLY": code(
        "installer",
        ("쓸 수 있는 디스크가 따로 있습니다", "there is another disk that can be used"),
        ("`lsblk`로 보고 그 디스크를 고르십시오", "choose that one; `lsblk` shows it"),
    ),
    "INIT_DISK_UNKNOWN": code(
        "installer",
        ("그런 디스크가 없습니다", "there is no such disk"),
        ("`lsblk`로 보고 경로를 적으십시오", "see `lsblk`, and write its path"),
    ),
    "INIT_DISK_CHANGED": code(
        "installer",
        ("디스크가 보았을 때와 다릅니다", "the disk is not what it was when it was shown"),
        ("케이블을 확인하고 다시 고르십시오", "check its cable, and choose again"),
    ),
    "INIT_DISK_BUSY": code(
        "installer",
        ("다른 프로그램이 디스크를 쓰고 있습니다", "somebody else is using the disk"),
        (
            "`lsof`와 `dmsetup ls`로 누가 쓰는지 보고 멈추십시오",
            "find out who with `lsof` and `dmsetup ls`, and stop them",
        ),
    ),
    "INIT_FORMAT": code(
        "site",
        ("디스크를 포맷하지 못했습니다", "the disk could not be formatted"),
        ("dmesg를 보고, 디스크 오류이면 바꾸십시오", "see dmesg; replace a disk that fails"),
    ),
    "INIT_MEASURE": code(
        "site",
        ("디스크를 재지 못했습니다", "the disk could not be measured"),
        ("dmesg를 보고, 디스크 오류이면 바꾸십시오", "see dmesg; replace a disk that fails"),
    ),
    "INIT_MOUNT": code(
        "site",
        ("영상 디스크를 연결하지 못했습니다", "the disk for recordings cannot be mounted"),
        (
            "dmesg를 보고 다시 하십시오. 설정은 아직 쓰지 않았습니다",
            "see dmesg, and begin again; the configuration was not written yet",
        ),
    ),
    "INIT_FSTAB": code(
        "installer",
        (
            "/etc/fstab에 저장소 폴더의 다른 줄이 있습니다",
            "/etc/fstab has another line for the vault's folder",
        ),
        (
            "그 줄이 무엇인지 보고, 필요 없으면 지운 다음 다시 하십시오",
            "see what that line is for; if for nothing, take it out and begin again",
        ),
    ),
    "INIT_CONFIGURED": code(
        "installer",
        ("박스가 이미 다르게 설정되어 있습니다", "the box is configured already, and otherwise"),
        (
            "터미널에서 `pasu init`으로 고치거나 agent.toml을 고치십시오. 아무것도 바꾸지 않았습니다",
            "change it with `pasu init` in a terminal, or edit agent.toml; nothing was changed",
        ),
    ),
    "INIT_FACTORY_PASSWORD": code(
        "installer",
        (
            "대답 파일의 카메라 비밀번호가 공장 출하 비밀번호입니다. 아무것도 바꾸지 않았습니다",
            "a camera of the answers file has the password that it left the factory with; nothing was changed",
        ),
        (
            "카메라에서 비밀번호를 바꾸고 파일에 적으십시오. 알고도 넣으려면 [[camera]]에 `waive`로 밝히십시오",
            "set another in the camera, and write it into the file; `waive` in its [[camera]] adds it all the same",
        ),
    ),
    "INIT_DRAFT": code(
        "installer",
        (
            "하다 만 설치의 대답(agent.toml.draft)을 root가 쓰지 않았습니다",
            "the answers of an installation that was begun (agent.toml.draft) were not written by root",
        ),
        (
            "쓰지 않고 처음부터 묻습니다. 누가 두었는지 알아보십시오: /etc/pasu에는 사용자 pasu도 쓸 수 있습니다",
            "they are not taken; everything is asked. Find out who put them there: user pasu may write /etc/pasu too",
        ),
    ),
    "INIT_FOLDER": code(
        "installer",
        (
            "상태나 영상의 폴더가 pasu의 것이 아니고, 비어 있지 않거나 시스템의 것입니다",
            "the folder of the state or of recordings is not pasu's, and it is not empty or it is the system's",
        ),
        (
            "다른 폴더를 적으십시오. 전부터 이 박스의 것이면 `chown -R pasu:pasu 폴더` 다음 다시 하십시오",
            "name another folder; if it was this box's before, `chown -R pasu:pasu FOLDER`, then begin again",
        ),
    ),
    "INIT_AMEND": code(
        "installer",
        (
            "agent.toml이나 계정 파일이 `pasu init`이 고칠 수 없는 모양으로 쓰여 있습니다",
            "agent.toml, or the text of the log-ins, is written so that `pasu init` cannot amend it",
        ),
        (
            "아무것도 바꾸지 않았습니다. 편집기로 고치고(계정은 `pasu secrets set`) `pasu config check`를 하십시오",
            "nothing was changed; use an editor (log-ins: `pasu secrets set`), then `pasu config check`",
        ),
    ),
    "INIT_NO_TERMINAL": code(
        "types",
        ("물을 터미널이 없습니다", "there is no terminal to ask in"),
        (
            "터미널에서 하거나 --answers로 대답 파일을 주십시오",
            "use a terminal, or hand in a file with --answers",
        ),
    ),
    "INIT_NOT_ROOT": code(
        "types",
        ("설정 폴더에 쓸 수 없습니다", "the folder of the configuration cannot be written"),
        ("root로 하십시오: sudo pasu init", "run it as root: sudo pasu init"),
    ),
    "INIT_ENROL": code(
        "installer",
        (
            "등록 요청을 만들지 못했거나 묶음을 받아들이지 못했습니다. 박스는 준비되었습니다",
            "the request could not be made, or the bundle not be taken in; the box itself is ready",
        ),
        (
            "위의 오류를 고치고, 말한 명령(`pasu enrol request`, `pasu enrol accept`)을 하십시오",
            "mend what is said above it, then do the command that it names (`pasu enrol request`, `pasu enrol accept`)",
        ),
    ),
    "INIT_CITY": code(
        "installer",
        (
            "묶음의 도시 지문이 대답 파일의 것과 다릅니다. 받아들이지 않았습니다",
            "the bundle is of another city than the answers file names; it was not taken in",
        ),
        (
            "관제센터에 전화로 지문을 묻고, 그것과 같을 때만 [enrolment] city에 적으십시오",
            "have the centre read its fingerprint by telephone, and write that one as city of [enrolment]",
        ),
    ),
}
