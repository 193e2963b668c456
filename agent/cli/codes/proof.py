"""Codes about the ledger as evidence: keys that sign, checkpoints, bundles."""

from __future__ import annotations

from agent.cli.codes.code import code

PROOF = {
    "LEDGER_HOLE": code(
        "investigator",
        ("원장에서 항목이 빠졌습니다", "entries are missing from the ledger"),
        (
            "박스를 그대로 두고 `pasu ledger verify`로 범위를 확인하여 관제센터에 알리십시오",
            "leave the box as it is; `pasu ledger verify` shows which; tell the centre",
        ),
    ),
    "KEY_DAMAGED": code(
        "investigator",
        ("박스의 서명 키를 쓸 수 없습니다", "the box's signing key cannot be used"),
        (
            "백업에서 되돌리십시오. 새 키로 시작하려면 상태 폴더의 keys를 옮기고 관제센터에 새 공개키를 알리십시오",
            "restore it from a backup, or move `keys` away for a new one and give the centre its public key",
        ),
    ),
    "CHECKPOINT_INVALID": code(
        "installer",
        ("검증점 파일이 아닙니다", "the file is not a checkpoint"),
        (
            "상태 폴더나 저장소의 CHECKPOINT, 또는 관제센터가 보관한 파일을 지정하십시오",
            "name the file CHECKPOINT of a state folder or a vault, or one that the centre kept",
        ),
    ),
    "LEDGER_EDITED": code(
        "investigator",
        ("원장의 항목이 바뀌었습니다", "an entry of the ledger was changed"),
        (
            "박스를 그대로 두고 `pasu ledger verify`로 범위를 확인하여 관제센터에 알리십시오",
            "leave the box as it is; `pasu ledger verify` shows where; tell the centre",
        ),
    ),
    "CONTENT_CHANGED": code(
        "investigator",
        (
            "파일의 내용이 원장과 다릅니다",
            "the file's content is not what the ledger says",
        ),
        (
            "복사하는 동안 삭제되었을 수 있습니다. 먼저 `pasu hold place`로 보존하십시오",
            "it may have been erased during the copy: place a hold first; else have the disk checked",
        ),
    ),
    "WITNESS_CONTRADICTED": code(
        "investigator",
        (
            "원장이 이전 검증점과 맞지 않습니다",
            "the ledger contradicts an earlier checkpoint",
        ),
        (
            "원장이 고쳐졌거나 되돌려졌습니다. 박스를 그대로 두고 관제센터에 알리십시오",
            "the ledger was changed or set back; leave the box as it is and tell the centre",
        ),
    ),
    "BUNDLE_NOT_EMPTY": code(
        "types",
        ("묶음을 만들 폴더가 비어 있지 않습니다", "the directory for the bundle is not empty"),
        ("새 폴더를 --out으로 지정하십시오", "name a new directory with --out"),
    ),
    "BUNDLE_INVALID": code(
        "investigator",
        ("증거 묶음이 아닙니다", "this is not a bundle of evidence"),
        (
            "`pasu ledger prove`가 만든 폴더를 지정하십시오",
            "name the directory that `pasu ledger prove` made",
        ),
    ),
    "KEY_UNREADABLE": code(
        "installer",
        ("박스의 공개키가 아닙니다", "this is not a box's public key"),
        (
            "박스 상태 폴더의 keys/box.vkey를 지정하십시오",
            "name the file keys/box.vkey of the box's state folder, or what is in it",
        ),
    ),
}
