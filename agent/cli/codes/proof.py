"""Codes about the ledger as evidence: keys that sign, checkpoints, bundles."""

from __future__ import annotations

from agent.cli.codes.code import code

PROOF = {
    "LEDGER_HOLE": code(
        "investigator",
        ("기록장에서 항목이 빠졌습니다", "entries are missing from the ledger"),
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
        ("체크포인트 파일이 아닙니다", "the file is not a checkpoint"),
        (
            "상태 폴더나 저장소의 CHECKPOINT, 또는 관제센터가 보관한 파일을 지정하십시오",
            "name the file CHECKPOINT of a state folder or a vault, or one that the centre kept",
        ),
    ),
}
