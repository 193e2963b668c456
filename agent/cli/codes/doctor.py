"""Codes of aiming a camera and of examining a site."""

from __future__ import annotations

from agent.cli.codes.code import code

DOCTOR = {
    "AIM_NOT_RECORDED": code(
        "site",
        ("이 카메라의 그림을 받을 수 없습니다", "no pictures of this camera can be had"),
        (
            "`pasu status`에서 녹화 중인지 보고, 녹화와 같은 사용자나 sudo로 하십시오. RTSP 카메라만 볼 수 있습니다",
            (
                "see in `pasu status` whether it is being recorded, and run this as that user or with sudo; only RTSP "
                "cameras can be looked at"
            ),
        ),
    ),
    "AIM_ENDED": code(
        "site",
        ("카메라의 그림이 끊겼습니다", "the camera's pictures came to an end"),
        (
            "카메라의 전원과 케이블을 확인하고 다시 하십시오",
            "check the camera's power and cable, and try again",
        ),
    ),
    "AIM_ODD": code(
        "site",
        (
            "그림을 재는 프로세스가 수가 아닌 것을 말했습니다",
            "what measures the pictures said more than numbers",
        ),
        (
            "카메라가 보낸 것이 그 프로세스를 바꾸었을 수 있습니다. 카메라를 망에서 떼고 펌웨어를 확인하십시오",
            "what the camera sent may have taken it over: take the camera off the network, and check its firmware",
        ),
    ),
    "AIM_UNCONFINED": code(
        "site",
        (
            "그림을 푸는 프로세스를 가둘 수 없습니다",
            "what decodes the pictures cannot be confined",
        ),
        (
            "sudo로 하거나, Landlock이 있는 커널(Linux 5.13 이상)에서 하십시오",
            "use sudo, or a kernel with Landlock (Linux 5.13 or later)",
        ),
    ),
    "CANARY_FILE": code(
        "types",
        ("카나리아 파일을 쓸 수 없습니다", "the canary's file cannot be used"),
        (
            "쓸 수 있는 곳에 새 이름을 적으십시오. 낱말을 확인하려면 만들 때의 .check 파일이 옆에 있어야 합니다",
            "name a new file where one can be written; to try a word, its .check file must lie beside it",
        ),
    ),
    "CANARY_WORD": code(
        "types",
        ("낱말로 쓸 수 없는 글자입니다", "that is no such word"),
        (
            "센터가 읽은 영문과 숫자 여덟 자를 적으십시오",
            "type the eight letters and digits that the centre read",
        ),
    ),
    "CANARY_OTHER": code(
        "investigator",
        ("카나리아 파일이 아닙니다", "this file is no canary"),
        (
            "`pasu doctor --canary`로 만든 파일인지 현장에 물으십시오. 영상은 `pasu open`으로 엽니다",
            "ask the site for the file that `pasu doctor --canary` made; recordings are opened with `pasu open`",
        ),
    ),
}
