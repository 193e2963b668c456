"""Codes of updates."""

from __future__ import annotations

from agent.cli.codes.code import code

_AGAIN = (
    "패키지와 .minisig를 배포처에서 다시 받으십시오. 되풀이되면 누가 바꾸었는지 조사하십시오",
    "get package and .minisig from where they are published again; if it happens again, find out who changed them",
)
UPDATE = {
    "UPDATE_ROOT": code(
        "types",
        ("root만 할 수 있습니다", "only root can do this"),
        ("앞에 `sudo`를 붙이십시오", "put `sudo` in front"),
    ),
    "UPDATE_FILE": code(
        "types",
        ("패키지나 그 서명을 읽을 수 없습니다", "the package or its signature cannot be read"),
        (
            "FILE과 FILE.minisig가 한 폴더에 있는지 보십시오",
            "see that FILE and FILE.minisig lie in one folder",
        ),
    ),
    "UPDATE_KEYS": code(
        "types",
        (
            "이 박스가 믿는 배포 키가 없거나 읽을 수 없습니다",
            "there is no release key that this box trusts, or one cannot be read",
        ),
        (
            "배포 키는 패키지와 함께 설치됩니다. 키가 든 패키지를 `apt install ./파일`로 설치하십시오",
            "release keys come with the package: install one that has them with `apt install ./FILE`",
        ),
    ),
    "UPDATE_SIGNATURE": code(
        "types", ("minisign의 서명이 아닙니다", "this is no signature of minisign's"), _AGAIN
    ),
    "UPDATE_KEY": code(
        "types",
        ("이 박스가 믿지 않는 키의 서명입니다", "it is signed by a key that this box does not trust"),
        _AGAIN,
    ),
    "UPDATE_FORGED": code(
        "types",
        ("서명이 파일과 맞지 않습니다", "the signature does not fit the file: one of them was changed"),
        _AGAIN,
    ),
    "UPDATE_COMMENT": code(
        "types",
        (
            "다른 패키지, 다른 버전이나 다른 아키텍처의 서명입니다",
            "the signature is about another package, version or architecture",
        ),
        _AGAIN,
    ),
    "UPDATE_PACKAGE": code(
        "types",
        ("pasu-agent 패키지가 아닙니다", "this is no package of pasu-agent"),
        ("pasu-agent_<버전>_<아키텍처>.deb를 주십시오", "give pasu-agent_<version>_<architecture>.deb"),
    ),
    "UPDATE_ARCHITECTURE": code(
        "types",
        ("이 박스의 아키텍처가 아닙니다", "the package is for another architecture"),
        (
            "`dpkg --print-architecture`가 말하는 것을 받으십시오",
            "get the one that `dpkg --print-architecture` says",
        ),
    ),
    "UPDATE_SAME": code(
        "types",
        ("이미 설치된 버전입니다", "this version is installed already"),
        (
            "할 일이 없습니다. 되돌아갈 길로 두려면 `pasu update keep`을 하십시오",
            "there is nothing to do; to keep it as the way back, `pasu update keep` it",
        ),
    ),
    "UPDATE_OLDER": code(
        "types",
        ("설치된 것보다 옛 버전입니다", "this version is older than the one installed"),
        (
            "옛 버전에는 고쳐진 결함이 있습니다. 그래도 하려면 --older에 까닭을 적으십시오. 원장에 남습니다",
            "it has faults that were mended since; if it must be, give --older and the reason, which is on record",
        ),
    ),
    "UPDATE_OTHER": code(
        "types",
        (
            "설치된 버전의 패키지가 아닙니다",
            "this is not the package of the version that is installed",
        ),
        (
            "설치할 때 쓴 그 패키지를 주십시오 (`pasu update status`)",
            "give the package it was installed from (`pasu update status`)",
        ),
    ),
    "UPDATE_CATALOGUE": code(
        "types",
        (
            "그 버전은 지금의 목록을 읽지 못하여 녹화하지 못합니다",
            "that version cannot read the catalogue as it is now, and would not record",
        ),
        ("더 새로운 버전을 설치하십시오", "install a later version"),
    ),
    "UPDATE_ROOM": code(
        "site",
        ("디스크에 자리가 모자랍니다", "there is too little room on the disk"),
        (
            "시스템 디스크를 비우십시오 (`apt clean`, 오래된 로그). 영상이 있는 디스크가 아닙니다",
            "make room on the system disk (`apt clean`, old logs); it is not about the disks of footage",
        ),
    ),
    "UPDATE_BUSY": code(
        "types",
        ("다른 업데이트가 진행 중입니다", "another update is on its way"),
        (
            "`pasu update status`로 보며 기다리십시오. 끊긴 것이면 `pasu update resume`",
            "wait, and see `pasu update status`; if it was cut off, `pasu update resume`",
        ),
    ),
    "UPDATE_NOT_RECORDING": code(
        "types",
        (
            "지금 녹화하는 카메라가 없어, 새 버전이 되는지 알 수 없습니다",
            "no camera records now, so nobody could tell whether the new version works",
        ),
        (
            "먼저 `pasu doctor`로 고치십시오. 새 버전이 그것을 고친다면 --anyway",
            "mend that first (`pasu doctor`); if the new version is what mends it, --anyway",
        ),
    ),
    "UPDATE_NO_WAY_BACK": code(
        "types",
        (
            "되돌아갈 길이 없습니다: 설치된 버전의 패키지가 간직되어 있지 않거나, 새 버전이 목록의 형식을 바꿉니다",
            "there is no way back: the package of this version was not kept, or the new one changes the catalogue",
        ),
        (
            "`pasu update keep`으로 간직하십시오. 형식이 바뀌는 것이면 사람이 곁에 있을 때 --no-way-back",
            "keep it with `pasu update keep`; where the catalogue changes, use --no-way-back with somebody at the box",
        ),
    ),
    "UPDATE_ROLLED_BACK": code(
        "types",
        (
            "새 버전이 녹화하지 않아 전의 버전으로 되돌렸습니다",
            "the new version did not record, and the version before is back",
        ),
        (
            "녹화는 전처럼 합니다. `pasu update status`의 까닭을 담당자에게 보내십시오",
            "it records as before; send what `pasu update status` says to support",
        ),
    ),
    "UPDATE_FAILED": code(
        "site",
        (
            "새 버전이 제대로 녹화하지 않는데 되돌릴 수 없습니다",
            "the new version does not record as it should, and cannot be taken back",
        ),
        (
            "`pasu health`와 `pasu update status`를 담당자에게 보내고, 고친 패키지를 --anyway로 설치하십시오",
            "send `pasu health` and `pasu update status` to support; install a package that mends it with --anyway",
        ),
    ),
}
