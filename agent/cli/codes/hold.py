"""Codes about holds and erasing."""

from __future__ import annotations

from agent.cli.codes.code import code

HOLD = {
    "HOLD_ID": code(
        "types",
        ("보존 id로 쓸 수 없습니다", "not an id for a hold"),
        ("영문자, 숫자, '.', '_', '-'로 64자까지 쓰십시오", "use letters, digits, '.', '_', '-', at most 64"),
    ),
    "HOLD_GROUND": code(
        "types",
        ("이런 보존 근거가 없습니다", "no such ground for a hold"),
        ("보인 근거 가운데 고르십시오", "choose one of the grounds that are shown"),
    ),
    "HOLD_TEXT": code(
        "types",
        ("글이 비었거나, 너무 길거나, 한 줄이 아닙니다", "the text is empty, too long, or not one line"),
        ("한 줄로 500자까지 쓰십시오", "write one line of at most 500 characters"),
    ),
    "HOLD_SPAN": code(
        "types",
        ("카메라나 구간이 비어 있습니다", "no camera, or an empty span"),
        ("--camera와 --from, --to를 확인하십시오", "check --camera, --from and --to"),
    ),
    "HOLD_REVIEW": code(
        "types",
        ("재검토일이 허용된 날 밖입니다", "the review date is not one that is allowed"),
        ("내일부터 90일 안의 날짜를 주십시오", "give a day between tomorrow and 90 days from now"),
    ),
    "HOLD_EXISTS": code(
        "types",
        ("이 id의 보존이 이미 있습니다", "there is another hold of this id"),
        (
            "다른 --id를 주십시오. 조건을 바꾸려면 새로 명한 다음 앞의 것을 해제하십시오",
            "give another --id; to change terms place a new hold, then release the former",
        ),
    ),
    "HOLD_UNKNOWN": code(
        "types",
        ("이런 보존이 없습니다", "no such hold"),
        ("`pasu hold list --all`로 id를 보십시오", "see the ids with `pasu hold list --all`"),
    ),
    "HOLD_RELEASED": code(
        "types",
        ("이미 해제된 보존입니다", "the hold was released before"),
        (
            "`pasu hold list --all`로 언제 왜 해제되었는지 보십시오",
            "`pasu hold list --all` shows when and why",
        ),
    ),
    "HOLD_UNFINISHED": code(
        "site",
        (
            "보존이 저장소에는 적혔으나 목록에는 아직 없습니다",
            "the hold is in the vault and not in the catalogue",
        ),
        (
            "그 구간은 지워지지 않습니다. 상태 폴더의 디스크를 점검하고, 같은 명령을 보인 --id로 다시 하십시오",
            "it holds all the same; check the state folder's disk, and repeat the command with the --id shown",
        ),
    ),
    "TIME_UNTRUSTED": code(
        "operator",
        ("시각을 믿을 수 없어 아무것도 지우지 않습니다", "the time cannot be relied on: nothing is erased"),
        (
            "`pasu clock`으로 까닭을 보고, 맞으면 확인하십시오",
            "see why with `pasu clock`, and confirm the time there",
        ),
    ),
}
